"""Who computes on which GPU of this machine: a lease for each share of one, which ends with its holder's process."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from tasks.environment import environment

VISIBLE = "CUDA_VISIBLE_DEVICES"
LOOK = 0.5
"""Seconds between two looks for a share that has become free."""


def visible() -> list[str]:
    """Return the GPUs that this process may use, as ``CUDA_VISIBLE_DEVICES`` names them."""
    import torch

    if not torch.cuda.is_available():
        return []
    named = os.environ.get(VISIBLE, "")
    return named.split(",") if named else [str(number) for number in range(torch.cuda.device_count())]


def places() -> int | None:
    """Return how many processes may compute on the GPUs of this machine at once; None: it has no GPU."""
    return len(visible()) * environment().device_shares or None


@contextmanager
def lease(devices: Sequence[str] | None = None, folder: Path | None = None) -> Iterator[str | None]:
    """Hold a share of one of ``devices`` (by default those that are visible), and let this process see no other.

    It waits until one is free, and must be called before CUDA is used. Processes of one user share ``folder``.
    """
    devices = visible() if devices is None else devices
    if not devices:
        yield None
        return
    folder = folder or Path(tempfile.gettempdir()) / f"carousel-devices-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    device, lock = _taken(devices, folder)
    before = os.environ.get(VISIBLE)
    os.environ[VISIBLE] = device
    try:
        yield device
    finally:
        lock.release()
        os.environ.pop(VISIBLE) if before is None else os.environ.update({VISIBLE: before})


def _taken(devices: Sequence[str], folder: Path) -> tuple[str, FileLock]:
    """Wait for a free share and take it: the second share of a device only when every first one is held."""
    while True:
        for share in range(environment().device_shares):
            for device in devices:
                lock = FileLock(folder / f"{device}-{share}.lock")
                try:
                    lock.acquire(timeout=0)
                except Timeout:
                    continue
                return device, lock
        time.sleep(LOOK)
