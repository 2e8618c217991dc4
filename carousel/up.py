"""``carousel up``: Prefect server, MLflow server and worker, the deployments registered, until told to stop."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import partial

from carousel.authentication import HOST, check_host, credentials
from carousel.automations import take_up_again
from carousel.databases import check_databases
from carousel.listening import address, client_variables, mlflow_command, prefect_command, prefect_variables
from carousel.ports import demanded_port, listener
from carousel.registration import POOL, register
from carousel.schedules import catch_up
from carousel.services import (
    MLFLOW_PORT,
    PREFECT_PORT,
    Addresses,
    Service,
    alone,
    announced,
    free_port,
    prefect_client,
)
from carousel.supervision import Supervised
from tasks.environment import HEARTBEAT, Environment

_log = logging.getLogger("carousel.up")


@contextmanager
def servers(
    env: Environment, prefect_port: int | None, mlflow_port: int | None, host: str = HOST
) -> Iterator[tuple[Addresses, list[Supervised]]]:
    """Run all services at ``host``, with all state below the home, for as long as the block runs.

    Yields their addresses, once they answer, and the services.

    Raises:
        InputError: the home is taken, a port is, a database is of another version, or ``host`` needs ``CAROUSEL_AUTH``.
        RuntimeError: a service ended, or did not answer in time.
    """
    check_host(host)
    with ExitStack() as stack:
        stack.enter_context(alone(env))
        check_databases(env)
        ports = [_port("Prefect", prefect_port, PREFECT_PORT), _port("MLflow", mlflow_port, MLFLOW_PORT)]
        addresses = Addresses(address(host, ports[0]), address(host, ports[1]), credentials() is not None)
        variables = _variables(addresses, ports[0], host)
        started: list[Supervised] = []

        def start(
            name: str, command: list[str], needs: str | None = None, first: Callable[[], None] | None = None
        ) -> Service:
            started.append(Supervised(partial(Service.start, env, name, command, variables), needs, first))
            stack.callback(started[-1].stop)
            return started[-1].service

        store = f"sqlite:///{env.root / 'mlflow.db'}"
        prefect = start("prefect", prefect_command(ports[0], "warning", host))
        mlflow = start("mlflow", mlflow_command(store, env.artifacts, ports[1], host))
        prefect.wait_for(addresses.health["prefect"])
        _register(addresses, variables)
        start("worker", _worker_command(), addresses.health["prefect"], partial(_tidy, addresses))
        mlflow.wait_for(addresses.health["mlflow"])
        stack.enter_context(announced(env, addresses))
        yield addresses, started


def stop_on_signals() -> None:
    """Let SIGTERM and SIGINT raise KeyboardInterrupt, also where a shell started this process with SIGINT ignored."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)


def _register(addresses: Addresses, variables: dict[str, str]) -> None:
    """Bring the server up to date, and give up the runs that were missed while there was none."""
    with prefect_client(addresses) as client:
        register(client, variables)
        catch_up(client, datetime.now(UTC))


def _tidy(addresses: Addresses) -> None:
    """Take up again what has lost its process, as long as there is no worker that gives it another."""
    with prefect_client(addresses) as client:
        take_up_again(client, POOL)


def _variables(addresses: Addresses, prefect_port: int, host: str) -> dict[str, str]:
    """What the services read, and the flow runs that the worker starts."""
    return {
        **addresses.variables,
        **client_variables(),
        **prefect_variables(prefect_port, host),
        "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
        "PREFECT_LOGGING_LEVEL": "INFO",
        "PREFECT_WORKER_QUERY_SECONDS": "2",
        # A run waits for a server that is started again: for some two minutes, not one.
        "PREFECT_CLIENT_MAX_RETRIES": "6",
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(HEARTBEAT),
        "PREFECT_LOGGING_EXTRA_LOGGERS": "carousel",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "CAROUSEL_DIRECTORY": os.getcwd(),
    }


def _worker_command() -> list[str]:
    return ["prefect", "worker", "start", "--pool", POOL, "--type", "process", "--install-policy", "never"]


def _port(owner: str, demanded: int | None, usual: int) -> int:
    """Return the port for the server of ``owner``; say so where it is not the usual one."""
    if demanded:
        return demanded_port(demanded)
    if (port := free_port(usual)) != usual:
        _log.warning("port %d is taken by %s: %s gets %d", usual, listener(usual), owner, port)
    return port
