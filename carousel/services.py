"""The servers on 127.0.0.1: those of ``carousel up``, and the temporary Prefect server of a single run.

Every server is the child of a guard (``carousel.guard``), so none outlives the process that started it. While
``carousel up`` runs it holds ``services.lock`` in the home, and ``services.json`` says where the servers listen.
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

from filelock import FileLock, Timeout

from tasks.environment import Environment
from tasks.errors import InputError

HOST = "127.0.0.1"
PREFECT_PORT, MLFLOW_PORT = 4200, 5000
START_LIMIT = 120.0


@dataclass(frozen=True)
class Addresses:
    """Where the servers of ``carousel up`` listen."""

    prefect: str
    mlflow: str

    @property
    def variables(self) -> dict[str, str]:
        """The environment variables that lead Prefect and MLflow there."""
        return {"PREFECT_API_URL": f"{self.prefect}/api", "MLFLOW_TRACKING_URI": self.mlflow}


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

    def check(self) -> None:
        """Raise RuntimeError if the service has ended."""
        if self.guard.poll() is not None:
            tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])
            raise RuntimeError(f"{self.name} has ended: see {self.log}\n{tail}")

    def stop(self) -> None:
        """End the service and everything that it started."""
        if self.guard.poll() is None:
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
    path = _addresses_file(env)
    if not path.exists():
        return None
    try:
        with _lock(env).acquire(timeout=0):
            return None
    except Timeout:
        return Addresses(**json.loads(path.read_text()))


@contextmanager
def announced(env: Environment, addresses: Addresses) -> Iterator[None]:
    """Let other processes find ``addresses`` for as long as the block runs."""
    path = _addresses_file(env)
    path.write_text(json.dumps(asdict(addresses)))
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
        lock.acquire(timeout=0)
    except Timeout:
        raise InputError(
            "one home has one set of servers",
            f"'carousel up' is running on {env.root} already",
            "use that one, stop it, or set CAROUSEL_HOME to another directory",
        ) from None
    try:
        yield
    finally:
        lock.release()


def use_prefect(env: Environment) -> Addresses | None:
    """Point Prefect at a server: the user's, that of ``carousel up``, or a temporary one that ends with this process.

    Must be called before a flow is. Returns the addresses of ``carousel up``, if it runs.
    """
    if os.environ.get("PREFECT_API_URL"):
        return None
    if addresses := running(env):
        os.environ.setdefault("MLFLOW_TRACKING_URI", addresses.mlflow)
        _use_api(addresses.variables["PREFECT_API_URL"])
        return addresses
    server, url = _start_temporary(env)
    atexit.register(server.stop)
    _use_api(url)
    return None


def _start_temporary(env: Environment) -> tuple[Service, str]:
    """Start Prefect's server without user interface; the lock keeps two first starts from migrating one database."""
    port = free_port()
    url = f"http://{HOST}:{port}/api"
    app = ["--factory", "prefect.server.api.server:create_app", "--host", HOST, "--port", str(port)]
    variables = {"PREFECT_UI_ENABLED": "0", "PREFECT__SERVER_EPHEMERAL": "1", "PREFECT__SERVER_FINAL": "1"}
    env.prefect_home.mkdir(parents=True, exist_ok=True)
    with FileLock(env.prefect_home / "starting.lock"):
        server = Service.start(
            env, "prefect-temporary", ["uvicorn", "--log-level", "error", "--lifespan", "on", *app], variables
        )
        try:
            importlib.import_module("mlflow")  # every flow needs it, and the start of the server hides its cost
            server.wait_for(f"{url}/health")
        except BaseException:
            server.stop()
            raise
    return server, url


def _use_api(url: str) -> None:
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


def demanded_port(port: int) -> int:
    """Return ``port``, which the user asked for.

    Raises:
        InputError: something listens there.
    """
    if free_port(port) != port:
        raise InputError(
            "a port must be free", f"{port}, which is taken", "choose another port, or none to have one found"
        )
    return port


def _addresses_file(env: Environment) -> Path:
    return env.root / "services.json"


def _lock(env: Environment) -> FileLock:
    return FileLock(env.root / "services.lock")
