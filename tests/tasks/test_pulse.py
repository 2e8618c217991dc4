"""A process that is stopped, or stuck in a step, is found out; one that is slow, or slept with its parent, is not."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.pulse import DIRECTORY, Watch

ROOT = Path(__file__).parents[2]
STEPS = """
import sys, time
from tasks.pulse import Pulse
def advance(seconds):
    time.sleep(seconds)
with Pulse("rank 7", 2) as pulse:
    for seconds in map(float, sys.argv[1:]):
        pulse.begin()
        advance(seconds)
        pulse.end()
"""


@pytest.fixture
def watch(tmp_path: Path) -> Watch:
    return Watch(tmp_path / "signs", patience=2)


@pytest.fixture
def started(watch: Watch) -> Iterator[list[subprocess.Popen[str]]]:
    processes: list[subprocess.Popen[str]] = []
    yield processes
    for process in processes:
        process.kill()
        process.communicate()


def start(started: list[subprocess.Popen[str]], watch: Watch, *seconds: float) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", STEPS, *map(str, seconds)]
    env = {DIRECTORY: str(watch.directory), "PYTHONPATH": str(ROOT)}
    started.append(subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True))
    while not any(watch.directory.iterdir()):
        time.sleep(0.01)
    return started[-1]


def await_sign(watch: Watch, process: subprocess.Popen[str]) -> None:
    path = watch.directory / str(process.pid)
    before = path.stat().st_mtime_ns
    while path.stat().st_mtime_ns == before:
        time.sleep(0.01)


def seen(watch: Watch, seconds: float) -> tuple[int, str] | None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not (silent := watch.silent()):
        time.sleep(0.1)
    return silent


def test_a_stopped_process_is_named_after_the_patience_and_not_before(watch: Watch, started: list) -> None:
    process = start(started, watch, 60)
    assert seen(watch, 3) is None
    await_sign(watch, process)
    process.send_signal(signal.SIGSTOP)
    assert seen(watch, 1.5) is None
    assert seen(watch, 3) == (process.pid, "rank 7")


def test_time_in_which_nobody_looked_counts_for_nothing(watch: Watch, started: list) -> None:
    process = start(started, watch, 60)
    assert watch.silent() is None
    process.send_signal(signal.SIGSTOP)
    time.sleep(3)
    assert watch.silent() is None
    process.send_signal(signal.SIGCONT)
    assert seen(watch, 3) is None
    assert process.poll() is None


def test_a_step_that_never_ends_ends_the_process_and_says_where_it_was(watch: Watch, started: list) -> None:
    process = start(started, watch, 0.01, 60)
    _, told = process.communicate(timeout=10)
    assert process.returncode == 1
    assert "rank 7 hangs: a step took more than 2 s" in told
    assert "time.sleep" in told or "in advance" in told


def test_steps_may_be_slow_if_the_first_was_and_a_process_that_ends_leaves_no_sign(watch: Watch, started: list) -> None:
    process = start(started, watch, 1.5, 3.5)
    _, told = process.communicate(timeout=10)
    assert (process.returncode, told) == (0, "")
    assert list(watch.directory.iterdir()) == []
