"""Where the workers of a search run: ``CAROUSEL_ENGINE`` names one of these."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tasks.engines.engine import Engine
from tasks.environment import environment


def engine(assignment: str, work: Path, count: int) -> Engine:
    """Return what starts the ``count`` workers of ``assignment`` (JSON), with files of this machine in ``work``."""
    return ENGINES[environment().engine](assignment, work, count)


def _local(assignment: str, work: Path, count: int) -> Engine:
    from tasks.engines.local import LocalEngine

    return LocalEngine(assignment, work)


def _pool(assignment: str, work: Path, count: int) -> Engine:
    from tasks.engines.pool import PoolEngine

    return PoolEngine(assignment)


def _ray(assignment: str, work: Path, count: int) -> Engine:
    from tasks.engines.ray_cluster import RayEngine

    return RayEngine(assignment, count)


ENGINES: dict[str, Callable[[str, Path, int], Engine]] = {"local": _local, "pool": _pool, "ray": _ray}
