"""``carousel up`` without a terminal, and its end by another command."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from carousel import services
from carousel.services import Addresses
from tasks.environment import Environment

START_LIMIT, STOP_LIMIT = 600.0, 60.0
"""Seconds."""


def start(env: Environment, arguments: Sequence[str]) -> tuple[Addresses, Path]:
    """Start ``carousel up`` with ``arguments`` in a session of its own; return where it listens, and its log.

    Raises:
        SystemExit: it ended with this status, after what it said was printed.
        RuntimeError: it did not answer in time.
    """
    log = env.root / "logs" / "up.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        started = subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", "carousel", "up", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    deadline = time.monotonic() + START_LIMIT
    while time.monotonic() < deadline:
        if started.poll() is not None:
            print(log.read_text(errors="replace").strip(), file=sys.stderr)
            raise SystemExit(started.returncode)
        if services.holder(env) == started.pid and (addresses := services.running(env)):
            return addresses, log
        time.sleep(0.2)
    started.terminate()
    raise RuntimeError(f"'carousel up' did not answer within {START_LIMIT:.0f} s: see {log}")


def stop(env: Environment) -> int | None:
    """End the ``carousel up`` of this home, in the background or not; return which process it was, None without one.

    Raises:
        RuntimeError: it did not end in time.
    """
    if (pid := services.holder(env)) is None:
        return None
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_LIMIT
    while services.holder(env) == pid:
        if time.monotonic() > deadline:
            raise RuntimeError(f"process {pid} did not end within {STOP_LIMIT:.0f} s: 'kill -9 {pid}' ends all of it")
        time.sleep(0.1)
    return pid
