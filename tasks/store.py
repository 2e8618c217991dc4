"""The stage store: one directory an output, named by its fingerprint, complete if its manifest stands.

    stages/prepare/3f2a…/manifest.json      written last, inside a temporary directory
                        /…                  whatever the stage wrote
    stages/prepare/3f2a….lock               held by the one process that computes it
    work/fit-9c1d…/                         what a killed stage leaves for its successor

Where machines share a store (``tasks.shared``), this one holds what was made or used here.

An output appears by one rename, so it is whole or absent. A retry, a re-run after a crash and an unchanged second run
are the same call of ``commit``. Two runs of one stage wait for each other on the lock, which the kernel drops when
its holder dies.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock
from pydantic import BaseModel

from tasks.environment import environment
from tasks.errors import InputError
from tasks.references import MANIFEST, Reference
from tasks.shared import WORK, shared_store


@dataclass(frozen=True)
class Key:
    """What an output is a function of.

    Args:
        stage: the stage's name.
        version: the stage's code version: raise it when the same input should give another output.
        config: the stage's Config.
        inputs: fingerprints of the input references, in order; for ingest, of the source's content.
    """

    stage: str
    version: int
    config: BaseModel
    inputs: tuple[str, ...]

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits of SHA-256 over the key as canonical JSON."""
        parts = [self.stage, self.version, self.config.model_dump(mode="json"), list(self.inputs)]
        canonical = json.dumps(parts, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]

    @property
    def uri(self) -> str:
        return f"{self.stage}/{self.fingerprint}"

    @property
    def work_name(self) -> str:
        """What the names of all directories begin with that ``commit`` removes once the output stands."""
        return f"{self.stage}-{self.fingerprint}"

    @property
    def work(self) -> Path:
        """A directory that outlives a crash of the stage, until the output stands."""
        path = environment().work / self.work_name
        path.mkdir(parents=True, exist_ok=True)
        return path


def commit(key: Key, compute: Callable[[Path], dict[str, Any]]) -> dict[str, Any]:
    """Return the facts of the output of ``key``, computing it only if it is not there.

    Args:
        key: what the output is a function of.
        compute: writes the output into the directory that it is given and returns the facts for the manifest.
    """
    final, shared = environment().store / key.uri, shared_store()
    if shared is None and (final / MANIFEST).exists():
        return _facts(final)
    final.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(final.with_suffix(".lock")):
        if not (final / MANIFEST).exists():
            if shared is not None and (told := shared.manifest(key.uri)) is not None:
                return told["facts"]
            _make(key, compute, final)
        if shared is not None and shared.manifest(key.uri) is None:
            shared.put_output(final, key.uri)
            for name in shared.names(WORK):
                if name.startswith(key.work_name):
                    shared.remove_folder(f"{WORK}/{name}")
    return _facts(final)


def _make(key: Key, compute: Callable[[Path], dict[str, Any]], final: Path) -> None:
    started = final.with_suffix(".partial")
    shutil.rmtree(started, ignore_errors=True)
    shutil.rmtree(final, ignore_errors=True)
    started.mkdir()
    began = time.monotonic()
    facts = _computed(compute, started)
    manifest = {
        "stage": key.stage,
        "version": key.version,
        "config": key.config.model_dump(mode="json"),
        "inputs": list(key.inputs),
        "facts": facts,
        "seconds": round(time.monotonic() - began, 3),
    }
    _write_durably(started / MANIFEST, json.dumps(manifest, indent=2))
    os.replace(started, final)
    for left in environment().work.glob(f"{key.work_name}*"):
        # A worker of another run, which is being ended, may still write there.
        shutil.rmtree(left, ignore_errors=True)


def _computed(compute: Callable[[Path], dict[str, Any]], directory: Path) -> dict[str, Any]:
    """Compute into ``directory``, which is removed if that fails.

    Raises:
        InputError: the disk is full.
    """
    try:
        return compute(directory)
    except BaseException as error:
        shutil.rmtree(directory, ignore_errors=True)
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            root = environment().root
            raise InputError(
                "the store must have room", f"a full disk at {root}", "free some, or set CAROUSEL_HOME"
            ) from None
        raise


def path(reference: Reference) -> Path:
    """Return the directory of ``reference``.

    Raises:
        InputError: the URI leaves the store, or nothing complete stands there.
    """
    root = environment().store.resolve()
    found = (root / reference.uri).resolve()
    if not found.is_relative_to(root):
        raise InputError(
            "a reference must lie inside the store",
            repr(reference.uri),
            f"use a URI relative to {root}, as a stage returned it",
        )
    if not (found / MANIFEST).exists() and not _fetched(str(found.relative_to(root)), found):
        raise InputError(
            f"the output of {reference.stage} must be complete in the store",
            f"no {MANIFEST} in {reference.uri}",
            "run the stage again: it computes only what is missing",
        )
    return found


def _fetched(uri: str, target: Path) -> bool:
    """Copy the output ``uri`` from the shared store, if there is one and it has it."""
    shared = shared_store()
    if shared is None or shared.manifest(uri) is None:
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(target.with_suffix(".lock")):
        if not (target / MANIFEST).exists():
            started = target.with_suffix(".partial")
            shutil.rmtree(started, ignore_errors=True)
            shutil.rmtree(target, ignore_errors=True)
            started.mkdir()
            shared.get_folder(uri, started)
            os.replace(started, target)
    return True


def file(uri: str) -> Path | None:
    """Return the file ``uri``, such as ``search/9c1d…/trial-3.safetensors``, or None if its output is nowhere."""
    output = Path(uri).parent
    held = environment().store / output
    if not (held / MANIFEST).exists() and not _fetched(str(output), held):
        return None
    found = held / Path(uri).name
    return found if found.exists() else None


def manifest(reference: Reference) -> dict[str, Any]:
    """Return the whole manifest of ``reference``: stage, version, config, inputs, facts, seconds."""
    return json.loads((path(reference) / MANIFEST).read_text())


def stored(stage: str, fingerprint: str) -> dict[str, Any] | None:
    """Return the manifest of what ``stage`` made under ``fingerprint``, or None if the store does not hold it."""
    if not fingerprint:
        return None
    held, shared = environment().store / stage / fingerprint / MANIFEST, shared_store()
    if held.exists():
        return json.loads(held.read_text())
    return shared.manifest(f"{stage}/{fingerprint}") if shared else None


def made_from(stage: str, fingerprint: str) -> list[Reference]:
    """Return references to all that ``stage`` made with ``fingerprint`` as its first input, in order of their names."""
    names, shared = {path.parent.name for path in (environment().store / stage).glob(f"*/{MANIFEST}")}, shared_store()
    if shared is not None:
        names.update(shared.names(stage))
    manifests = {name: stored(stage, name) for name in sorted(names)}
    return [Reference(f"{stage}/{name}", name) for name, told in manifests.items() if _begins(told, fingerprint)]


def _begins(told: dict[str, Any] | None, fingerprint: str) -> bool:
    return told is not None and told["inputs"][:1] == [fingerprint]


def _facts(directory: Path) -> dict[str, Any]:
    return json.loads((directory / MANIFEST).read_text())["facts"]


def _write_durably(target: Path, text: str) -> None:
    with target.open("w") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
