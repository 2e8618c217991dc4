"""Whether the home can be written, has room, and is not what a killed ``carousel up`` left behind."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import psutil

from carousel import services
from carousel.doctor.findings import Fault, Found, broken, told, warning
from carousel.doctor.place import Place

GB = 1e9
WARNING_SPACE, BROKEN_SPACE = 5 * GB, 0.5 * GB
WARNING_FILES, BROKEN_FILES = 100_000, 10_000

SHARED = ("nfs", "cifs", "smb", "9p", "lustre", "gpfs", "ceph", "glusterfs", "beegfs", "fuse.sshfs", "fuse.s3fs")
"""Beginnings of the kinds of file systems whose locks SQLite warns of."""


def look(place: Place) -> Found:
    """Write a file, ask for the room, and look for a holder that is gone."""
    root = place.env.root
    yield str(root) if root.exists() else f"{root}, which the first run makes"
    existing = next(path for path in (root, *root.parents) if path.exists())
    if fault := _unwritable(root, existing):
        yield fault
        return
    kind = file_system(existing)
    free, files = shutil.disk_usage(existing).free, os.statvfs(existing)
    yield f"{kind}, {free / GB:.1f} GB free"
    yield from no_room(root, free, files.f_favail if files.f_files else None)
    if kind.startswith(SHARED):
        yield warning(
            "the home should lie on a disk of this machine",
            f"{root} on {kind}, whose locks SQLite cannot rely on",
            "set CAROUSEL_HOME to a local directory and share what is to be shared: CAROUSEL_STORE, databases, MLflow",
        )
    if services.abandoned(place.env):
        yield broken(
            "a home must not be one whose 'carousel up' has died",
            f"services.pid or services.json in {root}, and no living process that holds them",
            "start it again with 'carousel up'; if it shall stay down, delete these two files",
        )


def no_room(root: Path, free: float, files: int | None) -> Found:
    """Say whether ``free`` bytes and as many new ``files`` are enough; None: the file system does not count them."""
    remedy = "delete what is not needed, old directories in work and stages first, or set CAROUSEL_HOME elsewhere"
    for what, has, little, nothing in (
        (f"{free / GB:.2f} GB", free, WARNING_SPACE, BROKEN_SPACE),
        (f"room for {files} files", files, WARNING_FILES, BROKEN_FILES),
    ):
        if has is not None and has < little:
            fault = broken if has < nothing else warning
            asked = f"{little / GB:.0f} GB" if little is WARNING_SPACE else f"room for {little} files"
            yield fault(f"the file system of the home should have {asked} left", f"{what} at {root}", remedy)


def file_system(path: Path) -> str:
    """Return the kind of the file system that ``path`` lies on."""
    mounts = [one for one in psutil.disk_partitions(all=True) if path.is_relative_to(one.mountpoint)]
    return max(mounts, key=lambda one: len(one.mountpoint)).fstype if mounts else "unknown file system"


def _unwritable(root: Path, existing: Path) -> Fault | None:
    """Write into ``existing``, the home or the directory in which it will be made."""
    rule = "the home must be a directory that can be written"
    remedy = f"give this user the right to write {existing}, or set CAROUSEL_HOME to another directory"
    if not existing.is_dir():
        return broken(rule, f"{root}, but {existing} is a file", "set CAROUSEL_HOME to another directory")
    try:
        with tempfile.NamedTemporaryFile(dir=existing, prefix=".doctor-") as file:
            file.write(b"well")
            file.flush()
    except OSError as error:
        return broken(rule, f"{root}: {told(error)}", remedy)
    return None
