"""Retrainings of one model take turns; those of another model do not wait for them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from carousel.services import Addresses
from tasks.turns import limit_name

ROOT = Path(__file__).parents[2]
RUN = """
import sys, time
from pathlib import Path
from prefect import flow
from tasks.turns import turn

@flow(name="takes turns")
def work(model, catch_up):
    print("begun", flush=True)
    with turn(model, catch_up) as instead:
        if instead is not None:
            return instead
        print("at work", flush=True)
        while not Path(sys.argv[3]).exists():
            time.sleep(0.1)
    print("done", flush=True)

state = work(sys.argv[1], sys.argv[2], return_state=True)
print(state.name, state.message, flush=True)
"""
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(running: Addresses, tmp_path: Path) -> Iterator[Start]:
    """Starts a flow run that holds the turn of a model until the file ``go`` is there."""
    started: list[subprocess.Popen[str]] = []

    def begin(model: str, catch_up: str) -> subprocess.Popen[str]:
        variables = {"PREFECT_API_URL": running.prefect_api, "PREFECT_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-c", RUN, model, catch_up, str(tmp_path / "go")]
        log = (tmp_path / f"{len(started)}.log").open("w")
        started.append(subprocess.Popen(command, env={**os.environ, **variables}, stdout=log, stderr=log, text=True))
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.wait()


def test_one_works_another_waits_a_third_ends_at_once_and_another_model_works_beside(
    start: Start, tmp_path: Path
) -> None:
    start("sales/1", "latest")
    shows(tmp_path / "0.log", "at work")
    waits = start("sales", "latest")
    start("sales@challenger", "none")
    start("ware", "none")
    shows(tmp_path / "2.log", "Skipped Another run is retraining sales.")
    shows(tmp_path / "3.log", "at work")
    shows(tmp_path / "1.log", "begun")
    start("sales", "latest")
    shows(tmp_path / "4.log", "Skipped Another run waits to retrain sales with the newest data.")
    assert "at work" not in (tmp_path / "1.log").read_text()
    (tmp_path / "go").touch()
    shows(tmp_path / "1.log", "at work\ndone")
    assert waits.wait(timeout=60) == 0
    assert "Completed" in (tmp_path / "1.log").read_text()


def test_the_limit_of_any_name_is_one_that_prefect_takes_and_its_own() -> None:
    names = ["sales", "a & b", "a < b", "Grün 100", "x" * 200]
    limits = [limit_name(name) for name in names]
    assert len(set(limits)) == len(names)
    assert not any(set(limit) & set("/%&<> ") for limit in limits)
    assert max(map(len, limits)) < 128


def shows(log: Path, text: str) -> None:
    """Wait until ``log`` holds ``text``."""
    deadline = time.monotonic() + 120
    while text not in (said := log.read_text()):
        assert time.monotonic() < deadline, said
        time.sleep(0.1)
