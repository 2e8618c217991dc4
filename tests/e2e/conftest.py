"""A tiny experiment and the command line as child processes, in a home of the test's own, on one server of Prefect."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tiny import write_experiment, write_panel

from carousel import services
from tasks.environment import Environment
from tests.conftest import FEW_WORKERS

Start = Callable[..., subprocess.Popen[str]]
ROOT = Path(__file__).parents[2]


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    """The path of a tiny experiment file, its data beside it."""
    write_panel(tmp_path / "panel.parquet")
    return write_experiment(tmp_path, {})


INITIALISE = """
from tasks.environment import environment, quiet
quiet(environment())
from tasks.registry import client
client()
"""


@pytest.fixture(scope="session")
def empty_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose registry has its tables and nothing else, made once: that takes seconds."""
    home = tmp_path_factory.mktemp("empty") / "mlruns"
    env = {**os.environ, "CAROUSEL_HOME": str(home)}
    subprocess.run([sys.executable, "-c", INITIALISE], cwd=ROOT, env=env, check=True)
    return home


@pytest.fixture(scope="session")
def prefect_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server of Prefect; a run that has none starts one of its own, which takes ten seconds."""
    server, url = services._start_temporary(Environment(home=tmp_path_factory.mktemp("prefect")))
    yield url
    server.stop()


@pytest.fixture
def carousel(tmp_path: Path, empty_home: Path, prefect_api: str) -> Start:
    """Start ``carousel ARGUMENTS`` in a process group of its own, with its state below the test's directory."""
    return starter(tmp_path / "mlruns", empty_home, prefect_api)


def starter(home: Path, empty_home: Path, prefect_api: str) -> Start:
    """Return what starts ``carousel ARGUMENTS`` with ``home``; an empty ``PREFECT_API_URL``: on a server of its own."""
    shutil.copytree(empty_home, home)

    def start(*arguments: str, **variables: str) -> subprocess.Popen[str]:
        env = {**os.environ, "CAROUSEL_HOME": str(home), "PREFECT_API_URL": prefect_api, **FEW_WORKERS, **variables}
        return subprocess.Popen(
            [str(Path(sys.executable).with_name("carousel")), *arguments],
            cwd=ROOT,
            env={name: value for name, value in env.items() if value},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    return start
