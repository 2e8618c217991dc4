"""One worker of a search that spans devices: rank 0 asks the study and tells it, the others train what it names.

    rank 0    begin #12   step   step   step   (validates, tells)   begin #7 …   quit
    rank 1    begin #12   step   step   step   (waits)              begin #7 …   quit

So all have the same point, the same state and the same end. What a rank begins with it reads from where rank 0 left
it: the study and the trial's files.
"""

from __future__ import annotations

import os
from datetime import timedelta
from typing import TYPE_CHECKING

import torch
from torch import distributed

from tasks.children import PARENT

if TYPE_CHECKING:
    from models.optimisation import Optimisation
    from tasks.search_worker import Worker

QUIT, STEP, BEGIN, GO_ON = range(4)
"""What rank 0 says: the end; one more step; a trial as its files have it; the same trial as it stands in memory."""

LONGEST = timedelta(hours=6)
"""How long a rank waits for rank 0, which may wait itself; one that is dead ends the others at once."""


def launch(arguments: list[str], count: int) -> None:
    """Run ``count`` ranks of ``tasks.search_worker`` with ``arguments`` under torchrun, in this process."""
    from torch.distributed import run

    os.environ[PARENT] = str(os.getpid())
    run.main(["--standalone", "--nproc-per-node", str(count), "-m", "tasks.search_worker", *arguments])


def join() -> int:
    """Join the ranks that torchrun started, each on a device of its own, and return this one's number."""
    on_gpu = torch.cuda.is_available()
    if on_gpu:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    distributed.init_process_group("nccl" if on_gpu else "gloo", timeout=LONGEST)
    return distributed.get_rank()


def say(word: int, trial_id: int = 0) -> None:
    """As rank 0, tell the others what comes next; alone there is nobody to tell."""
    if distributed.is_initialized():
        distributed.broadcast(torch.tensor([word, trial_id], device=_device()), src=0)


def follow(worker: Worker) -> None:
    """As another rank, do what rank 0 says until it says that this is the end."""
    training: Optimisation | None = None
    while True:
        told = torch.zeros(2, dtype=torch.int64, device=_device())
        distributed.broadcast(told, src=0)
        word, trial_id = told.tolist()
        if word == QUIT:
            return
        if word == STEP:
            assert training is not None, "a step belongs to a trial"
            training.advance()
        elif word == BEGIN:
            training = worker.training_of(worker.storage.get_trial(trial_id))


def _device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"
