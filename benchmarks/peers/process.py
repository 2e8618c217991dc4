"""A child process, its time and the peak memory of it and all its descendants."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from typing import NamedTuple

import psutil

EVERY_SECONDS = 0.5


class Used(NamedTuple):
    """What a command used; ``returncode`` is None for one that was stopped at its limit."""

    returncode: int | None
    seconds: float
    peak_mb: float


def run(command: list[str], log: Path, limit_seconds: float, variables: dict[str, str] | None = None) -> Used:
    """Run ``command``, its output added to ``log``; at the limit it and its descendants are killed."""
    began, peak = time.perf_counter(), 0.0
    with log.open("ab") as stream:
        environment = {**os.environ, **(variables or {})}
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, env=environment)
        tree = psutil.Process(child.pid)
        try:
            while (code := child.poll()) is None and time.perf_counter() - began < limit_seconds:
                peak = max(peak, _memory(tree))
                time.sleep(EVERY_SECONDS)
        finally:
            if child.poll() is None:
                _kill(tree)
                child.wait()
    return Used(code, time.perf_counter() - began, peak / 1e6)


def _memory(tree: psutil.Process) -> float:
    """Return the bytes that the tree holds; what processes share is counted once (proportional set size)."""
    total = 0.0
    for process in _all(tree):
        try:
            total += process.memory_full_info().pss
        except psutil.Error:
            continue
    return total


def _kill(tree: psutil.Process) -> None:
    for process in _all(tree):
        try:
            process.kill()
        except psutil.Error:
            continue


def _all(tree: psutil.Process) -> list[psutil.Process]:
    try:
        return [tree, *tree.children(recursive=True)]
    except psutil.Error:
        return []
