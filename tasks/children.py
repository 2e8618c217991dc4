"""Child processes that never outlive their parent: the kernel ends them when the thread that started them dies."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

PARENT = "CAROUSEL_PARENT"
_PR_SET_PDEATHSIG = 1
_OF_A_LAUNCHER = (
    *("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"),
    *("GROUP_RANK", "GROUP_WORLD_SIZE", "TORCHELASTIC_RUN_ID"),
)

_KEEPING_MEMORY = {"MALLOC_TRIM_THRESHOLD_": str(2**31 - 1), "MALLOC_MMAP_THRESHOLD_": str(2**30)}
"""Lets glibc keep what a training step frees for the next one; to fetch it anew can take as long as the step itself."""


def start(
    module: str, *arguments: str, log: Path, threads: int = 1, variables: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start ``python -m module arguments`` with its output in ``log`` and ``variables`` in its environment.

    It stays in this process group, so that a signal to the group reaches it. The module's ``main`` must call
    ``die_with_parent`` first.
    """
    env = {name: value for name, value in os.environ.items() if name not in _OF_A_LAUNCHER}
    env = _KEEPING_MEMORY | env
    env |= {PARENT: str(os.getpid()), "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    env |= variables or {}
    with log.open("ab") as stream:
        return subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", module, *arguments], stdout=stream, stderr=stream, stdin=subprocess.DEVNULL, env=env
        )


def die_with_parent() -> None:
    """Ask the kernel for SIGKILL when the parent dies, and leave at once if it already has.

    The parent is the one that wrote its process id into ``PARENT``: ``start``, or the launcher of the ranks.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(os.environ[PARENT]):
        os._exit(1)


@contextmanager
def stopped_at_exit(children: list[subprocess.Popen[bytes]]) -> Iterator[None]:
    """End every child that still runs when the block is left, however it is left."""
    try:
        yield
    finally:
        stop(children)


def stop(children: Iterable[subprocess.Popen[bytes]]) -> None:
    """End every child that still runs: asked first, killed after ten seconds."""
    children = list(children)
    for child in children:
        child.terminate()
    for child in children:
        try:
            child.wait(timeout=10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def tail(log: Path, lines: int = 15) -> str:
    """Return the last ``lines`` of ``log``, for the message of a failure."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:]) if log.exists() else "(no log)"
