"""A guard around one child process: ``python -m carousel.guard PARENT LOG COMMAND...``.

The child and everything that it started end when the guard is told to end and when the guard's parent dies, however it
dies; if the guard itself is killed, the kernel tells the child. Standard library and psutil only: it starts at once.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

import psutil

GRACE = 8.0
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36


def main(log: str, command: list[str], parent: int) -> int:
    """Run ``command`` with its output appended to the file ``log`` until it ends or must end; return its status."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _leave)
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    try:
        with Path(log).open("ab") as output:
            child = subprocess.Popen(  # noqa: S603
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, preexec_fn=_end_with_parent
            )
        while os.getppid() == parent:
            try:
                return child.wait(timeout=0.25)
            except subprocess.TimeoutExpired:
                continue
        return 0
    except SystemExit:
        return 0
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        end_descendants(GRACE)


def end_descendants(grace: float) -> None:
    """Ask the direct children to end, then everything below them, and kill what is left after ``grace`` seconds."""
    deadline = time.monotonic() + grace
    for ask in (psutil.Process().children(), psutil.Process().children(recursive=True)):
        for process in ask:
            _signal(process, signal.SIGTERM)
        psutil.wait_procs(ask, timeout=max(0.0, (deadline - time.monotonic()) / 2))
    while left := psutil.Process().children(recursive=True):
        for process in left:
            _signal(process, signal.SIGKILL)
        psutil.wait_procs(left, timeout=1.0)


def _leave(signum: int, frame: FrameType | None) -> None:
    raise SystemExit


def _end_with_parent() -> None:
    _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _signal(process: psutil.Process, number: int) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return


if __name__ == "__main__":
    sys.exit(main(sys.argv[2], sys.argv[3:], int(sys.argv[1])))
