"""A tiny experiment and the command line as child processes, in a home of the test's own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny import write_experiment, write_panel

ROOT = Path(__file__).parents[2]


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    """The path of a tiny experiment file, its data beside it."""
    write_panel(tmp_path / "panel.parquet")
    return write_experiment(tmp_path, {})


INITIALISE = """
from tasks.environment import environment, quiet
quiet(environment())
from carousel.services import use_prefect
from tasks.registry import client
use_prefect(environment())
client()
"""


@pytest.fixture(scope="session")
def empty_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose databases have their tables and nothing else, made once: that costs some ten seconds."""
    home = tmp_path_factory.mktemp("empty") / "mlruns"
    env = {**os.environ, "CAROUSEL_HOME": str(home)}
    subprocess.run([sys.executable, "-c", INITIALISE], cwd=ROOT, env=env, check=True)
    return home


@pytest.fixture
def carousel(tmp_path: Path, empty_home: Path) -> Callable[..., subprocess.Popen[str]]:
    """Start ``carousel ARGUMENTS`` in a process group of its own, with its state below the test's directory."""
    shutil.copytree(empty_home, tmp_path / "mlruns")

    def start(*arguments: str, **variables: str) -> subprocess.Popen[str]:
        env = {**os.environ, "CAROUSEL_HOME": str(tmp_path / "mlruns"), **variables}
        return subprocess.Popen(
            [str(Path(sys.executable).with_name("carousel")), *arguments],
            cwd=ROOT,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    return start
