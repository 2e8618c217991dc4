"""No GPU has more processes than it has shares, and a share is free again when its holder is gone."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tasks import devices
from tasks.devices import VISIBLE, lease
from tasks.errors import InputError

HOLDS = """
import sys
from pathlib import Path
from tasks.devices import lease
with lease(["0"], Path(sys.argv[1])) as taken:
    print(*taken, flush=True)
    sys.stdin.read()
"""


def test_processes_spread_over_the_devices_before_they_share_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAROUSEL_DEVICE_SHARES", "2")
    with lease(["0", "1"], tmp_path) as first, lease(["0", "1"], tmp_path) as second:
        with lease(["0", "1"], tmp_path) as third:
            assert [first, second, third] == [("0",), ("1",), ("0",)]
            assert os.environ[VISIBLE] == "0"
        assert os.environ[VISIBLE] == "1"


def test_who_finds_no_free_share_waits_until_the_process_that_has_it_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDS, str(tmp_path)]
    holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "0\n"
    got: list[float] = []

    def wait() -> None:
        with lease(["0"], tmp_path):
            got.append(time.monotonic())

    waiting = threading.Thread(target=wait)
    waiting.start()
    time.sleep(2 * devices.LOOK)
    assert got == []
    killed = time.monotonic()
    holder.kill()
    waiting.join(timeout=20)
    assert killed < got[0] < killed + 10
    holder.wait()


def test_a_trial_that_spans_devices_holds_a_share_of_each(tmp_path: Path) -> None:
    with lease(["0", "1", "2"], tmp_path, count=2) as both, lease(["0", "1", "2"], tmp_path) as another:
        assert (both, another) == (("0", "1"), ("2",))
        assert os.environ[VISIBLE] == "2"


def test_a_machine_without_a_gpu_has_nothing_to_lease(tmp_path: Path) -> None:
    with lease([], tmp_path) as taken:
        assert taken == ()
    assert not list(tmp_path.iterdir())


def test_a_trial_that_would_span_more_gpus_than_there_are_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAROUSEL_TRIAL_DEVICES", "2")
    assert devices.places(["0", "1", "2"]) == 1
    assert devices.places([]) is None
    with pytest.raises(InputError, match=r"CAROUSEL_TRIAL_DEVICES=2, and 1 here \(0\)"):
        devices.places(["0"])
    with pytest.raises(InputError, match=r"2 processes .*, and 1 here \(0\)"), lease(["0"], tmp_path, count=2):
        pass
