"""Who computes on which GPU of this machine: a lease for each share of one, which ends with its holder's process."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from tasks.environment import environment
from tasks.errors import InputError

VISIBLE = "CUDA_VISIBLE_DEVICES"
LOOK = 0.5
"""Seconds between two looks for a share that has become free."""


def visible() -> list[str]:
    """Return the GPUs that this process may use, as ``CUDA_VISIBLE_DEVICES`` names them."""
    import torch

    # ``is_available`` would begin to use CUDA, which reads the variable at that moment and never again.
    if not (count := torch.cuda.device_count()):
        return []
    named = os.environ.get(VISIBLE, "")
    return named.split(",") if named else [str(number) for number in range(count)]


def places(devices: Sequence[str] | None = None) -> int | None:
    """Return how many workers may compute on ``devices`` (by default the visible GPUs) at once; None: there are none.

    Raises:
        InputError: a trial is to span more of them than there are.
    """
    devices, env = visible() if devices is None else devices, environment()
    _check_enough(env.trial_devices, devices, f"CAROUSEL_TRIAL_DEVICES={env.trial_devices}")
    return len(devices) * env.device_shares // env.trial_devices or None


@contextmanager
def lease(
    devices: Sequence[str] | None = None, folder: Path | None = None, count: int = 1
) -> Iterator[tuple[str, ...]]:
    """Hold a share of each of ``count`` of ``devices`` (by default the visible ones); this process sees no others.

    It waits until they are free, and must be called before CUDA is used. Processes of one user share ``folder``.

    Raises:
        InputError: there are fewer than ``count``.
    """
    devices = visible() if devices is None else devices
    if not devices or not count:
        yield ()
        return
    _check_enough(count, devices, f"{count} processes (CAROUSEL_TRIAL_DEVICES of a search, CAROUSEL_DEVICES of fit)")
    folder = folder or Path(tempfile.gettempdir()) / f"carousel-devices-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    before = os.environ.get(VISIBLE)
    with ExitStack() as held:
        # One waits at a time: two that hold a part each of what both want would wait for ever.
        with FileLock(folder / "waiting.lock"):
            taken: list[str] = []
            while len(taken) < count:
                taken.append(_take([device for device in devices if device not in taken], folder, held))
        os.environ[VISIBLE] = ",".join(taken)
        try:
            yield tuple(taken)
        finally:
            os.environ.pop(VISIBLE) if before is None else os.environ.update({VISIBLE: before})


def _check_enough(count: int, devices: Sequence[str], asked: str) -> None:
    if devices and count > len(devices):
        rule, received = "processes that compute together need a GPU each", f"{asked}, and {len(devices)} here"
        remedy = f"ask for {len(devices)} at most, or let CUDA_VISIBLE_DEVICES name more"
        raise InputError(rule, f"{received} ({', '.join(devices)})", remedy)


def _take(devices: Sequence[str], folder: Path, held: ExitStack) -> str:
    """Wait for a free share and hold it: the second share of a device only when every first one is held."""
    while True:
        for share in range(environment().device_shares):
            for device in devices:
                lock = FileLock(folder / f"{device}-{share}.lock")
                try:
                    lock.acquire(timeout=0)
                except Timeout:
                    continue
                held.callback(lock.release)
                return device
        time.sleep(LOOK)
