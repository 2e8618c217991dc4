"""Whether the processors, memory and GPUs are there that the environment asks for."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import psutil

from carousel.doctor.findings import Found, broken, warning
from carousel.doctor.place import TIMEOUT, Place

WORKER_MEMORY = 0.7e9
"""Bytes that a worker of the search takes before it has seen any data, and a little more."""
SHARED, SHARED_MEMORY = "/dev/shm", 256e6  # noqa: S108
"""Where processes of one training exchange data, and the bytes that they need there."""


def look(place: Place) -> Found:
    """Compare workers and devices with what this machine has."""
    env, processors = place.env, len(os.sched_getaffinity(0))
    yield f"{env.workers} workers on {processors} processors, {env.devices} devices"
    if env.workers > processors:
        yield warning(
            "CAROUSEL_WORKERS should not be more than the processors of this process",
            f"{env.workers} workers on {processors} processors",
            f"set CAROUSEL_WORKERS={processors}, or unset it",
        )
    memory = psutil.virtual_memory().total
    for limit in map(Path, ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")):
        if limit.exists() and (text := limit.read_text().strip()).isdigit():
            memory = min(memory, int(text))
    yield f"{memory / env.workers / 1e9:.1f} GB a worker"
    if memory / env.workers < WORKER_MEMORY:
        yield warning(
            f"each worker should have {WORKER_MEMORY / 1e9:.1f} GB of memory",
            f"{memory / 1e9:.1f} GB for {env.workers} workers",
            "lower CAROUSEL_WORKERS, or give the machine or container more memory",
        )
    yield from _shared_memory(env.devices)
    yield from _gpus(env.devices, processors)


def _shared_memory(devices: int) -> Found:
    if not os.path.ismount(SHARED):
        return
    size = shutil.disk_usage(SHARED).total
    yield f"{SHARED} of {size / 1e6:.0f} MB"
    if devices > 1 and size < SHARED_MEMORY:
        yield warning(
            f"{SHARED} should have {SHARED_MEMORY / 1e6:.0f} MB where several processes share a training",
            f"{size / 1e6:.0f} MB",
            "start the container with --shm-size=1g, or ipc: host; in Kubernetes mount an emptyDir of medium Memory",
        )


def _gpus(devices: int, processors: int) -> Found:
    listed = _listed()
    if "CUDA_VISIBLE_DEVICES" in os.environ:
        listed = min(listed, len([one for one in os.environ["CUDA_VISIBLE_DEVICES"].split(",") if one.strip()]))
    if listed == 0:
        yield "no GPU"
        if devices > processors:
            yield warning(
                "CAROUSEL_DEVICES should not be more than GPUs, or processors where there are none",
                f"{devices} devices on {processors} processors",
                f"set CAROUSEL_DEVICES={processors} or less",
            )
        return
    import torch

    seen = torch.cuda.device_count() if torch.cuda.is_available() else 0
    yield f"torch {torch.__version__} sees {seen} of {listed} GPUs"
    rule = "torch must see the GPUs of this machine"
    if torch.version.cuda is None and torch.version.hip is None:
        remedy = "install a build of torch for CUDA (pytorch.org), or hide the GPUs with CUDA_VISIBLE_DEVICES="
        yield broken(rule, f"torch {torch.__version__}, a build for processors only", remedy)
    elif seen < listed:
        remedy = f"update the driver: this torch is built for CUDA {torch.version.cuda}; nvidia-smi shows the driver's"
        yield broken(rule, f"{seen} of {listed}", remedy)
    elif devices > seen:
        yield broken("CAROUSEL_DEVICES must not be more than GPUs", f"{devices} of {seen}", f"set it to {seen} or less")


def _listed() -> int:
    """Return how many GPUs the driver lists."""
    if not (command := shutil.which("nvidia-smi")):
        return 0
    try:
        asked = subprocess.run([command, "-L"], capture_output=True, text=True, timeout=TIMEOUT, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return 0
    return sum(line.startswith("GPU ") for line in asked.stdout.splitlines())
