"""Workers as child processes: of one machine, with its memory-mapped data."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from tasks import children
from tasks.engines.engine import Engine, Running

WORKER = "tasks.search_worker"


class Child(Running):
    """A process of a worker's module."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], log: Path) -> None:
        self.name, self.process, self._log = name, process, log

    def succeeded(self) -> bool | None:
        code = self.process.poll()
        return None if code is None else code == 0

    def log(self) -> str:
        return children.tail(self._log)


class LocalEngine(Engine):
    """Child processes of ``module``, whose files and logs are in ``work``."""

    apart = False
    module = WORKER

    def __init__(self, assignment: str, work: Path) -> None:
        self.assignment, self.work = assignment, work

    def start(self, index: int, attempt: int) -> Child:
        return start_child(self.assignment, self.work, str(index), self.module)

    def stop(self, workers: Sequence[Running]) -> None:
        children.stop([worker.process for worker in workers if isinstance(worker, Child)])


def start_child(assignment: str, work: Path, name: str, module: str = WORKER) -> Child:
    """Start the worker ``name`` on ``assignment`` (JSON), with a copy of that and a log of its own in ``work``."""
    told, log = work / f"assignment-{name}.json", work / f"worker-{name}.log"
    told.write_text(assignment)
    process = children.start(module, str(told), name, log=log)
    return Child(name, process, log)
