"""Signs of life of processes that train: each says every second that it lives and gets on; one that is silent is ended.

Only time in which the one who waits is awake counts: a run that was stopped as a whole goes on when it is continued.
"""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
import traceback
from pathlib import Path

DIRECTORY = "CAROUSEL_PULSE"
"""Variable that names the directory, on this machine, in which a child keeps its sign of life."""
BEAT = 1.0
"""Seconds between signs of life."""
FIRST, SLOWER = 10, 10
"""What the first step may take, times the patience, and what any other may, times the longest so far."""
STACK = 12
"""Calls that a process which is stuck tells of, the innermost ones."""


class Pulse:
    """Keeps a file fresh from a thread as long as this process lives, and ends the process if a step never ends.

    A step may take ``patience`` seconds or ten times the longest before it, whichever is more. The file is named by the
    process id, holds ``name``, and lies in the directory that the environment names; without one there is no file.
    """

    def __init__(self, name: str, patience: float) -> None:
        directory = os.environ.get(DIRECTORY)
        self.name, self.patience = name, patience
        self._path = Path(directory) / str(os.getpid()) if directory else None
        self._beats = 0
        self._longest: int | None = None
        self._began: int | None = None
        self._over = threading.Event()
        self._main = threading.get_ident()
        self._thread = threading.Thread(target=self._keep, daemon=True)

    def __enter__(self) -> Pulse:
        if self._path:
            self._path.write_text(self.name)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()
        if self._path:
            self._path.unlink(missing_ok=True)

    def begin(self) -> None:
        """Say that a step begins."""
        self._began = self._beats

    def end(self) -> None:
        """Say that it has ended."""
        assert self._began is not None, "a step ends after it began"
        self._longest = max(self._longest or 0, self._beats - self._began)
        self._began = None

    def _keep(self) -> None:
        while not self._over.wait(BEAT):
            self._beats += 1
            began = self._began
            if began is not None and (self._beats - began) * BEAT > self._limit():
                self._give_up()
            if self._path:
                os.utime(self._path)

    def _limit(self) -> float:
        if self._longest is None:
            return FIRST * self.patience
        return max(self.patience, SLOWER * self._longest * BEAT)

    def _give_up(self) -> None:
        """Say where the main thread is, and leave: it may be where no exception reaches it."""
        frames = traceback.format_stack(sys._current_frames()[self._main])[-STACK:]
        print(f"{self.name} hangs: a step took more than {self._limit():.0f} s\n{''.join(frames)}", file=sys.stderr)
        sys.stderr.flush()
        os._exit(1)


class Watch:
    """Looks after the processes that keep a pulse in ``directory``, which is made anew."""

    def __init__(self, directory: Path, patience: float) -> None:
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir()
        self.directory, self.patience = directory, patience
        self._stamps: dict[Path, int] = {}
        self._silence: dict[Path, float] = {}
        self._looked = time.monotonic()

    def silent(self) -> tuple[int, str] | None:
        """Return process id and name of one that gave no sign for longer than the patience; call it often."""
        now = time.monotonic()
        passed, self._looked = min(now - self._looked, BEAT), now
        for path in self.directory.iterdir():
            try:
                name, stamp = path.read_text(), path.stat().st_mtime_ns
            except FileNotFoundError:
                continue  # It has ended as it should.
            fresh = stamp != self._stamps.get(path)
            self._stamps[path] = stamp
            self._silence[path] = 0.0 if fresh else self._silence[path] + passed
            if self._silence[path] > self.patience:
                return int(path.name), name
        return None
