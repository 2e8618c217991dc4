"""A service that ends is started again, after a pause that grows; one that always ends is given up with its log."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import psutil
import pytest

from carousel import services
from carousel.authentication import HOST
from carousel.services import Service
from carousel.supervision import DEATHS, PERIOD, Supervised
from tasks.environment import Environment

SERVER = "import os, time; print(os.getpid(), flush=True); time.sleep(100)"


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Service]:
    """Starts a server that writes its process into the log."""
    (tmp_path / "served.py").write_text(SERVER)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{Path(__file__).parents[2]}")
    return partial(Service.start, Environment(home=tmp_path), "served", ["served"], {})


def test_a_killed_server_is_started_again_after_a_second_and_stopped_with_the_rest(
    start: Callable[[], Service], caplog: pytest.LogCaptureFixture
) -> None:
    supervised = Supervised(start)
    first = kill(supervised, 1)
    supervised.look(now := time.monotonic())
    assert "served has ended and will be started again in 1 s; its log: " in caplog.text
    supervised.look(now + 0.9)
    assert not supervised.service.alive, "the pause is not over"
    supervised.look(now + 1.1)
    second = pids(supervised, 2)[-1]
    assert psutil.pid_exists(second)
    assert second != first
    supervised.stop()
    assert not psutil.pid_exists(second)


def test_what_needs_another_server_is_started_again_only_when_that_answers(start: Callable[[], Service]) -> None:
    nobody = f"http://{HOST}:{services.free_port()}/health"
    supervised = Supervised(start, nobody)
    kill(supervised, 1)
    now = time.monotonic()
    supervised.look(now)
    supervised.look(now + 10)
    assert not supervised.service.alive


def test_pauses_double_until_the_fifth_end_within_a_minute_which_is_the_last(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    supervised = Supervised(partial(Service.start, Environment(home=tmp_path), "broken", ["no_such_module"], {}))
    now = 0.0
    for pause in (1, 2, 4, 8):
        supervised.service.guard.wait(timeout=120)
        supervised.look(now)
        assert f"will be started again in {pause} s" in caplog.records[-1].getMessage()
        now += pause
        supervised.look(now)
    supervised.service.guard.wait(timeout=120)
    with pytest.raises(RuntimeError, match=r"broken has ended 5 times within 60 s: see (.|\n)*no_such_module"):
        supervised.look(now)


def test_ends_that_are_long_ago_do_not_count(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    supervised = Supervised(partial(Service.start, Environment(home=tmp_path), "broken", ["no_such_module"], {}))
    for end in range(DEATHS):
        supervised.service.guard.wait(timeout=120)
        supervised.look(end * PERIOD)
        assert "will be started again in 1 s" in caplog.records[-1].getMessage()
        supervised.look(end * PERIOD + 1)


def kill(supervised: Supervised, times: int) -> int:
    """Kill the server, and return its process once the guard has ended, too."""
    pid = pids(supervised, times)[-1]
    psutil.Process(pid).kill()
    supervised.service.guard.wait(timeout=120)
    return pid


def pids(supervised: Supervised, times: int) -> list[int]:
    """Return the processes that the log names, once the server was started ``times``."""
    deadline = time.monotonic() + 30
    while len(found := supervised.service.log.read_text().split() if supervised.service.log.exists() else []) < times:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return [int(pid) for pid in found]
