"""The servers of a home: those of ``carousel up``, and the temporary Prefect server of a single run.

Every server is the child of a guard (``carousel.guard``), so none outlives the process that started it. While
``carousel up`` runs it holds ``services.lock`` in the home, ``services.pid`` says which process that is, and, as soon
as they answer, ``services.json`` says where the servers listen.
"""

from __future__ import annotations

import atexit
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from carousel.authentication import HOST, VARIABLE, credentials
from carousel.listening import client_variables, prefect_command, prefect_variables
from tasks.environment import Environment
from tasks.errors import InputError

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

PREFECT_PORT, MLFLOW_PORT = 4200, 5000
START_LIMIT = 300.0
LOOK = 1.0
"""Seconds to wait for the home: who looks whether it is held holds it for a moment."""


@dataclass(frozen=True)
class Addresses:
    """Where the servers of ``carousel up`` listen."""

    prefect: str
    mlflow: str
    asks: bool = False
    """Whether they ask for user and password."""

    @property
    def variables(self) -> dict[str, str]:
        """The environment variables that lead Prefect and MLflow there."""
        return {"PREFECT_API_URL": self.prefect_api, "MLFLOW_TRACKING_URI": self.mlflow}

    @property
    def prefect_api(self) -> str:
        return f"{self.prefect}/api"

    @property
    def health(self) -> dict[str, str]:
        """The URL by which each server says that it is well."""
        return {"prefect": f"{self.prefect_api}/health", "mlflow": f"{self.mlflow}/health"}


@dataclass(frozen=True)
class Service:
    """A server or worker and the guard around it. Its output is in ``log``."""

    name: str
    log: Path
    guard: subprocess.Popen[bytes]

    @classmethod
    def start(cls, env: Environment, name: str, command: list[str], variables: Mapping[str, str]) -> Service:
        """Start ``python -m COMMAND...`` with ``variables`` added to the environment."""
        log = env.root / "logs" / f"{name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        guard = [sys.executable, "-m", "carousel.guard", str(os.getpid()), str(log), sys.executable, "-m", *command]
        started = subprocess.Popen(guard, env={**os.environ, **variables}, start_new_session=True)  # noqa: S603
        return cls(name, log, started)

    def wait_for(self, url: str) -> None:
        """Return as soon as ``url`` answers with success.

        Raises:
            RuntimeError: the service ended, or did not answer in time.
        """
        deadline = time.monotonic() + START_LIMIT
        while time.monotonic() < deadline:
            self.check()
            if answers(url):
                return
            time.sleep(0.1)
        raise RuntimeError(f"{self.name} did not answer at {url} within {START_LIMIT:.0f} s: see {self.log}")

    @property
    def alive(self) -> bool:
        return self.guard.poll() is None

    def check(self) -> None:
        """Raise RuntimeError if the service has ended."""
        if not self.alive:
            raise RuntimeError(f"{self.name} has ended: see {self.log}\n{self.tail()}")

    def tail(self) -> str:
        """Return the end of the log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])

    def stop(self) -> None:
        """End the service and everything that it started."""
        if self.alive:
            self.guard.send_signal(signal.SIGTERM)
        self.guard.wait()


def answers(url: str) -> bool:
    """Say whether an HTTP GET of ``url`` succeeds."""
    try:
        with urllib.request.urlopen(url, timeout=5) as response:  # noqa: S310
            return response.status == 200
    except (urllib.error.URLError, OSError):
        return False


def running(env: Environment) -> Addresses | None:
    """Return where the servers of a living ``carousel up`` on this home listen, or None."""
    text = _told(env, _addresses_file(env))
    return Addresses(**json.loads(text)) if text else None


def holder(env: Environment) -> int | None:
    """Return the process of the living ``carousel up`` on this home, or None."""
    text = _told(env, _pid_file(env))
    return int(text) if text else None


def abandoned(env: Environment) -> bool:
    """Say whether a ``carousel up`` on this home was killed: what it wrote is there, and nobody holds the home."""
    return any(path.exists() for path in (_addresses_file(env), _pid_file(env))) and not _held(env)


@contextmanager
def announced(env: Environment, addresses: Addresses) -> Iterator[None]:
    """Let other processes find ``addresses`` for as long as the block runs."""
    path = _addresses_file(env)
    _write(path, json.dumps(asdict(addresses)))
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


@contextmanager
def alone(env: Environment) -> Iterator[None]:
    """Hold the home for the one ``carousel up`` that it may have.

    Raises:
        InputError: another one holds it.
    """
    env.root.mkdir(parents=True, exist_ok=True)
    lock = _lock(env)
    try:
        lock.acquire(timeout=LOOK)
    except Timeout:
        raise InputError(
            "one home has one set of servers",
            f"'carousel up' is running on {env.root} already, process {holder(env)}",
            "use that one, stop it with 'carousel down', or set CAROUSEL_HOME to another directory",
        ) from None
    try:
        # What a killed one left must lead nobody to its servers.
        _addresses_file(env).unlink(missing_ok=True)
        _write(_pid_file(env), str(os.getpid()))
        yield
    finally:
        _pid_file(env).unlink(missing_ok=True)
        lock.release()


def use_prefect(env: Environment) -> Addresses | None:
    """Point Prefect at a server: the user's, that of ``carousel up``, or a temporary one that ends with this process.

    Must be called before a flow is. Returns the addresses of ``carousel up``, if it runs.
    """
    if os.environ.get("PREFECT_API_URL"):
        return None
    if addresses := running(env):
        know_credentials(addresses)
        os.environ.setdefault("MLFLOW_TRACKING_URI", addresses.mlflow)
        use_api(addresses.variables["PREFECT_API_URL"])
        return addresses
    server, url = _start_temporary(env)
    atexit.register(server.stop)
    use_api(url)
    return None


def prefect_client(addresses: Addresses) -> SyncPrefectClient:
    """Return a client of the Prefect server at ``addresses``, to be used in a ``with`` block.

    Raises:
        InputError: it asks for user and password, and ``CAROUSEL_AUTH`` is not set.
    """
    from prefect.client.orchestration import SyncPrefectClient

    know_credentials(addresses)
    return SyncPrefectClient(addresses.prefect_api, auth_string=credentials())


def know_credentials(addresses: Addresses) -> None:
    """Let the clients of this process say who they are, if the servers at ``addresses`` ask.

    Raises:
        InputError: ``CAROUSEL_AUTH`` is not set.
    """
    if addresses.asks and credentials() is None:
        rule, remedy = "the servers of this home ask for user and password", "set it as where they were started"
        raise InputError(rule, f"no {VARIABLE}", remedy)
    os.environ.update(client_variables())


def _start_temporary(env: Environment) -> tuple[Service, str]:
    """Start Prefect's server without user interface; the lock keeps two first starts from migrating one database."""
    port = free_port()
    url = f"http://{HOST}:{port}/api"
    variables = {"PREFECT_UI_ENABLED": "0", "PREFECT__SERVER_EPHEMERAL": "1", **prefect_variables(port)}
    env.prefect_home.mkdir(parents=True, exist_ok=True)
    with FileLock(env.prefect_home / "starting.lock"):
        server = Service.start(env, "prefect-temporary", prefect_command(port, "error"), variables)
        try:
            importlib.import_module("mlflow")  # every flow needs it, and the start of the server hides its cost
            server.wait_for(f"{url}/health")
        except BaseException:
            server.stop()
            raise
    return server, url


def use_api(url: str) -> None:
    """Tell this process's Prefect, imported or not, where its server is."""
    os.environ["PREFECT_API_URL"] = url
    if "prefect" in sys.modules:
        import prefect.context

        prefect.context.refresh_global_settings_context()


def free_port(preferred: int = 0) -> int:
    """Return ``preferred`` if nothing listens there, else any free port."""
    for port in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return probe.getsockname()[1]
    raise RuntimeError("no free port")


def _held(env: Environment) -> bool:
    """Say whether a living process holds the home."""
    try:
        with _lock(env).acquire(timeout=0):
            return False
    except Timeout:
        return True


def _told(env: Environment, path: Path) -> str | None:
    """Return what whoever holds the home wrote into ``path``; None: nobody holds it, or nothing is there any more."""
    try:
        return path.read_text() if path.exists() and _held(env) else None
    except FileNotFoundError:
        return None


def _write(path: Path, text: str) -> None:
    """Write a file that others may be looking at: whole or not at all."""
    partial = path.with_suffix(".partial")
    partial.write_text(text)
    partial.replace(path)


def _pid_file(env: Environment) -> Path:
    return env.root / "services.pid"


def _addresses_file(env: Environment) -> Path:
    return env.root / "services.json"


def _lock(env: Environment) -> FileLock:
    return FileLock(env.root / "services.lock")
