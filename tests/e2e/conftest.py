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
from tests.conftest import FEW_WORKERS, ROOT

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    """The path of a tiny experiment file, its data beside it."""
    write_panel(tmp_path / "panel.parquet")
    return write_experiment(tmp_path, {})


@pytest.fixture(scope="session")
def prefect_api(tmp_path_factory: pytest.TempPathFactory, empty_home: Path) -> Iterator[str]:
    """The address of a server of Prefect; a run that has none starts one of its own, which takes seconds."""
    home = shutil.copytree(empty_home, tmp_path_factory.mktemp("prefect") / "home")
    server, url = services._start_temporary(Environment(home=home))
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
