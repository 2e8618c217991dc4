"""Seconds add up to the wall clock, whatever is nested."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tasks.clock import ACCOUNTS, Clock, total


def test_every_second_stands_in_one_account(tmp_path: Path) -> None:
    began = time.perf_counter()
    clock = Clock()
    with clock.on("training"):
        time.sleep(0.05)
        with clock.on("validation"):
            time.sleep(0.03)
    time.sleep(0.02)
    clock.write(tmp_path / "clock-0.json")
    passed = time.perf_counter() - began
    assert sum(clock.seconds.values()) == pytest.approx(passed, abs=0.02)
    assert clock.seconds["training"] >= 0.05
    assert clock.seconds["validation"] >= 0.03
    assert clock.seconds["bookkeeping"] >= 0.02
    assert clock.seconds["idle"] == 0


def test_an_account_is_closed_by_an_error_too() -> None:
    clock = Clock()
    with pytest.raises(RuntimeError), clock.on("training"):
        raise RuntimeError
    with clock.on("idle"):
        pass
    assert clock._account == "bookkeeping"


def test_the_clocks_of_workers_add_up(tmp_path: Path) -> None:
    for name in ("a", "b"):
        clock = Clock()
        clock.seconds["training"] = 2.0
        clock.write(tmp_path / f"{name}.json")
    told = total(sorted(tmp_path.glob("*.json")))
    assert told["training"] == pytest.approx(4.0)
    assert set(told) == set(ACCOUNTS)
