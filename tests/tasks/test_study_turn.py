"""Of all workers of a study one at a time asks what is next, on a database that machines share, too."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tasks.studies import open_storage
from tasks.study_turn import turn

HOLDS = """
import sys
from pathlib import Path
from tasks.studies import open_storage
from tasks.study_turn import turn
with turn(open_storage(sys.argv[1]), "study", Path(sys.argv[2])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def uri(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'optuna.db'}"
    return request.getfixturevalue("postgresql").replace("postgresql://", "postgresql+psycopg://")


def test_a_turn_is_waited_for_and_free_again_when_its_holder_is_killed(uri: str, tmp_path: Path) -> None:
    lock, storage = tmp_path / "ask.lock", open_storage(uri)
    command = [sys.executable, "-c", HOLDS, uri, str(lock)]
    holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with turn(storage, "another study", tmp_path / "another.lock"):
        pass
    got: list[float] = []

    def wait() -> None:
        with turn(storage, "study", lock):
            got.append(time.monotonic())

    waiting = threading.Thread(target=wait)
    waiting.start()
    time.sleep(1)
    assert got == []
    killed = time.monotonic()
    holder.kill()
    waiting.join(timeout=30)
    assert killed < got[0] < killed + 20
    holder.wait()
