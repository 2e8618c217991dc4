"""The store that machines share: any fsspec URL. Each machine keeps whole outputs below its home, and fetches once.

    s3://bucket/stages/prepare/3f2a…/…      what a stage wrote
                                    /manifest.json     written last: without it the output is not there
    s3://bucket/stages/work/…/              what a killed stage leaves for its successor, and workers for each other

An object appears whole or not at all. Two machines that compute one output write the same objects.
"""

from __future__ import annotations

import json
import uuid
from functools import cache
from pathlib import Path
from typing import Any

from tasks.environment import environment
from tasks.errors import InputError
from tasks.references import MANIFEST

WORK = "work"


def work_folder(directory: Path) -> str:
    """Return the folder of the store for what a stage has in its work ``directory``, by whose name others find it."""
    return f"{WORK}/{directory.name}"


class SharedStore:
    """Outputs at ``url``, such as ``s3://bucket/stages``; a name is a path below it."""

    def __init__(self, url: str) -> None:
        """Open ``url``.

        Raises:
            InputError: the protocol is unknown, or its package is not installed.
        """
        from fsspec.core import url_to_fs

        try:
            # What another machine has written must be seen at once.
            self.files, root = url_to_fs(url, use_listings_cache=False)
        except (ImportError, ValueError) as error:
            rule, remedy = "CAROUSEL_STORE must be an fsspec URL", "install the extra for it, for S3: carousel[s3]"
            raise InputError(rule, str(error), remedy) from None
        self.root = root.rstrip("/")

    def place(self, name: str) -> str:
        return f"{self.root}/{name}"

    def manifest(self, uri: str) -> dict[str, Any] | None:
        """Return the manifest of the output ``uri``, or None if it is not there."""
        told = self.read(f"{uri}/{MANIFEST}")
        return None if told is None else json.loads(told)

    def read(self, name: str) -> bytes | None:
        """Return the object ``name``, or None if it is not there."""
        try:
            return self.files.cat_file(self.place(name))
        except FileNotFoundError:
            return None

    def names(self, folder: str) -> list[str]:
        """Return the names of what lies directly in ``folder``, without it, sorted."""
        try:
            found = self.files.ls(self.place(folder), detail=False, refresh=True)
        except FileNotFoundError:
            return []
        return sorted(path.rstrip("/").rpartition("/")[2] for path in found)

    def put(self, source: Path, name: str) -> None:
        """Write the file ``source`` as ``name``."""
        if not self._has_folders:
            self.files.put_file(str(source), self.place(name))
            return
        self.files.makedirs(self.place(name).rpartition("/")[0], exist_ok=True)
        # Two machines may write one object at the same time.
        partial = f"{self.place(name)}.{uuid.uuid4().hex}.partial"
        self.files.put_file(str(source), partial)
        self.files.mv(partial, self.place(name))

    def get(self, name: str, target: Path) -> bool:
        """Write the object ``name`` into the file ``target``, whole or not at all; False: it is not there."""
        partial = target.with_name(f"{target.name}.{uuid.uuid4().hex}.fetched")
        try:
            self.files.get_file(self.place(name), str(partial))
        except FileNotFoundError:
            partial.unlink(missing_ok=True)
            return False
        partial.replace(target)
        return True

    def remove(self, name: str) -> None:
        """Remove the object ``name`` if it is there."""
        if self.files.exists(self.place(name)):
            self.files.rm_file(self.place(name))

    def remove_folder(self, folder: str) -> None:
        """Remove all that lies below ``folder``."""
        if self.files.exists(self.place(folder)):
            self.files.rm(self.place(folder), recursive=True)

    def put_output(self, source: Path, uri: str) -> None:
        """Write the directory of an output, its manifest last."""
        written = sorted(path for path in source.rglob("*") if path.is_file() and path != source / MANIFEST)
        for path in [*written, source / MANIFEST]:
            self.put(path, f"{uri}/{path.relative_to(source).as_posix()}")

    def get_folder(self, folder: str, target: Path) -> None:
        """Fetch what lies below ``folder`` into the directory ``target``, but for what is there already.

        Raises:
            InputError: the name of an object leads elsewhere.
        """
        root = self.place(folder)
        for path in self.files.find(root):
            name = path.removeprefix(f"{root}/")
            local = (target / name).resolve()
            if not local.is_relative_to(target.resolve()):
                raise InputError("an object of the store must lie in its output", repr(path), "remove that object")
            if not local.exists():
                local.parent.mkdir(parents=True, exist_ok=True)
                self.get(f"{folder}/{name}", local)

    @property
    def _has_folders(self) -> bool:
        """Say whether this is a file system, on which a file appears before it is whole."""
        protocol = self.files.protocol
        return "file" in ((protocol,) if isinstance(protocol, str) else protocol)


def shared_store() -> SharedStore | None:
    """Return the store that ``CAROUSEL_STORE`` names, or None: this machine keeps its outputs to itself."""
    url = environment().shared_store
    return _opened(url) if url else None


@cache
def _opened(url: str) -> SharedStore:
    return SharedStore(url)
