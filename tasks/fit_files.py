"""What a fit leaves for the one that takes it up again: on this machine, and where a store is shared on any.

began                   its time is when the fit began, earlier attempts taken off
spent                   seconds until the newest of these files was shared
chosen.json             which trials the ensemble is of
older.json              whether newer data help
checkpoints-M/last.ckpt where the training of member M stands
member-M.safetensors, .json
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from tasks.shared import SharedStore, shared_store, work_folder


class FitFiles:
    """The files of a fit in ``directory``, and in its ``work_folder`` of the shared store, if any."""

    def __init__(self, directory: Path, shared: SharedStore | None) -> None:
        self.directory, self.shared = directory, shared
        self.folder = work_folder(directory)

    @classmethod
    def at(cls, directory: Path) -> FitFiles:
        return cls(directory, shared_store())

    def begin(self) -> float:
        """Fetch what another machine left, and return when the fit began: on ``time.time``'s clock, without pauses."""
        if self.shared is not None:
            self.shared.get_folder(self.folder, self.directory)
        return time.time() - self._spent()

    def share(self, file: Path, began: float) -> None:
        """Let other machines go on from ``file``, and know how long the fit has taken since it ``began``."""
        if self.shared is None:
            return
        spent = self.directory / "spent"
        partial = spent.with_suffix(f".{os.getpid()}")
        partial.write_text(f"{time.time() - began:.1f}")
        partial.replace(spent)
        for path in (file, spent):
            self.shared.put(path, f"{self.folder}/{path.relative_to(self.directory).as_posix()}")

    def _spent(self) -> float:
        """Return the seconds that earlier attempts took, by what they left."""
        marks = [path.stat().st_mtime for path in self.directory.iterdir() if path.name not in ("began", "spent")]
        began, spent = self.directory / "began", self.directory / "spent"
        if not began.exists():
            elsewhere = float(spent.read_text()) if spent.exists() else 0.0
            began.touch()
            os.utime(began, (now := time.time() - elsewhere, now))
            return elsewhere
        return max(0.0, max(marks, default=0.0) - began.stat().st_mtime)
