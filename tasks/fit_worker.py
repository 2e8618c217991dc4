"""A child of ``fit`` that trains members under Lightning, one by one: ``python -m tasks.fit_worker JOBS.json``.

With one device it trains in this process; with more it becomes torchrun, whose ranks run this module again. The flow is
never executed again, and no rank outlives its parent. Started by hand on another node, it joins (docs/training.md).
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
import warnings
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from tasks import devices as gpus
from tasks.children import PARENT, die_with_parent
from tasks.environment import environment
from tasks.fit_files import FitFiles
from tasks.pulse import Pulse

NODES = "PET_NNODES"
"""torchrun's own variable; where it is set, torchrun's other variables say where the nodes meet."""
SHUTDOWN = 5
"""Seconds between torchrun's SIGTERM to the ranks that are left and its SIGKILL."""
WRITING = 1.0
"""Seconds of the time that are left for writing a member's weights."""
WAITING = 10
"""How long ranks wait for each other, times the patience: where a rank answers but what it sends never arrives."""


class Job(BaseModel):
    """One member to be trained on from the weights at ``start``.

    ``checkpoints`` is its directory, ``weights`` the safetensors file to write: if it has taken ``enough`` steps when
    time is up.
    """

    model_config = ConfigDict(frozen=True)

    recipe: dict[str, Any]
    enough: int
    start: Path
    seed: int
    checkpoints: Path
    weights: Path


class Probe(BaseModel):
    """A recipe to be trained on older data alone, from its beginning for ``steps``.

    ``known`` is its value after as many steps on newer data, ``result`` the JSON file that says whether those help.
    """

    model_config = ConfigDict(frozen=True)

    recipe: dict[str, Any]
    steps: int
    known: float
    seed: int
    result: Path


class Jobs(BaseModel):
    """What is to be trained, in the directory ``work``; ``began`` and ``deadline`` are on ``time.time``'s clock."""

    model_config = ConfigDict(frozen=True)

    kind: str
    metric: str
    dataset: Path
    work: Path
    jobs: list[Job]
    probe: Probe | None
    precision: str
    accumulate: int
    checkpoint_every: int
    devices: int
    began: float
    deadline: float

    def share(self, file: Path) -> None:
        """Let other machines have ``file``."""
        FitFiles.at(self.work).share(file, self.began)


def together(devices: int) -> bool:
    """Say whether several processes share one training: with several devices a node, or several nodes."""
    return devices > 1 or NODES in os.environ


def launch(path: Path, devices: int) -> None:
    """Run ``devices`` ranks of this module under torchrun, in this process."""
    from torch.distributed import run

    os.environ[PARENT] = str(os.getpid())
    where = [] if NODES in os.environ else ["--standalone"]
    options = ["--nproc-per-node", str(devices), "--shutdown-timeout", str(SHUTDOWN)]
    with Pulse("the launcher of the ranks", environment().patience):
        run.main([*where, *options, "-m", "tasks.fit_worker", str(path)])


def train_as(name: str, jobs: Jobs) -> None:
    """Work under ``name``; torchrun's summary of a failure then holds a rank's first error."""
    import pytorch_lightning  # noqa: F401
    from torch.distributed.elastic.multiprocessing.errors import record

    from models import ranks

    # A pulse only from here on: while a library is loaded no thread of the process gets to say anything.
    with Pulse(name, environment().patience) as pulse:
        record(work)(jobs, pulse)
        ranks.leave()


def work(jobs: Jobs, pulse: Pulse) -> None:
    """Train what no other process has taken, until nothing is left or time is up."""
    import torch

    torch.set_num_threads(1)
    if jobs.probe is not None and _takes(jobs, jobs.probe.result):
        probe(jobs, jobs.probe)
    for job in jobs.jobs:
        if time.time() < jobs.deadline and _takes(jobs, job.weights):
            train(jobs, job, pulse)


def _takes(jobs: Jobs, result: Path) -> bool:
    """Say whether ``result`` is this process's to make; ranks of one training make all of them together."""
    if result.exists():
        return False
    if together(jobs.devices):
        return True
    try:
        os.close(os.open(result.with_suffix(".claim"), os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True


def probe(jobs: Jobs, asked: Probe) -> None:
    """Say whether a recipe comes to less without the newest of the data that a trial is trained on."""
    from tasks.kinds.kind import LearnerOptions
    from tasks.kinds.registry import kind

    learner = kind(jobs.kind).learner(jobs.dataset, LearnerOptions(None, jobs.metric))
    recipe = learner.recipe(asked.recipe)
    training = learner.older(recipe, asked.seed)
    if training is None:
        return
    while training.step < asked.steps:
        training.advance()
        if time.time() >= jobs.deadline:
            return
    value = learner.value([learner.outputs(training.average)])
    if os.environ.get("RANK", "0") != "0":
        return
    written = asked.result.with_suffix(".partial")
    written.write_text(json.dumps({"value": value, "newer data help": asked.known < value}))
    written.rename(asked.result)
    jobs.share(asked.result)


def train(jobs: Jobs, job: Job, pulse: Pulse) -> None:
    """Train the member, from its last checkpoint if there is one; rank 0 writes its weights if it got far enough."""
    from tasks.kinds.registry import kind

    job.checkpoints.mkdir(exist_ok=True)
    trainer = _trainer(jobs, job, pulse)
    began = time.time()
    module = kind(jobs.kind).training(jobs.dataset, job.recipe, job.seed)
    module.begin_with(job.start)
    last = job.checkpoints / "last.ckpt"
    facts: dict[str, Any] = {"resumed": last.exists()}
    trainer.fit(module, ckpt_path=last if facts["resumed"] else None)
    facts |= {"steps": trainer.global_step, "seconds": round(time.time() - began, 2), "digests": _digests(module)}
    if len(set(facts["digests"])) > 1:
        raise RuntimeError(f"the ranks must end with the same weights (got digests {facts['digests']})")
    if trainer.is_global_zero and trainer.global_step >= job.enough:
        _write(jobs, job, module, facts)


def _trainer(jobs: Jobs, job: Job, pulse: Pulse) -> Any:
    """Return Lightning's trainer, which checkpoints, looks at the clock, and does nothing else beside training."""
    import pytorch_lightning as lightning
    import torch
    from pytorch_lightning.callbacks import LambdaCallback, Timer

    from models.lightning_checkpoints import Checkpoints

    left = max(0.0, jobs.deadline - WRITING - time.time())
    timer = Timer(timedelta(seconds=left), interval="step", verbose=False)
    steps = LambdaCallback(on_train_batch_start=lambda *_: pulse.begin(), on_train_batch_end=lambda *_: pulse.end())
    return lightning.Trainer(
        accelerator="gpu" if torch.cuda.is_available() else "cpu",
        devices=jobs.devices,
        num_nodes=int(os.environ.get("GROUP_WORLD_SIZE", "1")),
        strategy=_strategy() if together(jobs.devices) else "auto",
        precision=_precision(jobs.precision),  # type: ignore[arg-type]
        accumulate_grad_batches=jobs.accumulate,
        max_steps=job.recipe["training"]["steps"],
        gradient_clip_val=job.recipe["training"]["grad_clip"],
        callbacks=[timer, steps, Checkpoints(job.checkpoints, jobs.checkpoint_every, jobs.share)],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        default_root_dir=job.checkpoints,
    )


def _strategy() -> Any:
    import torch
    from pytorch_lightning.strategies import DDPStrategy

    backend = "nccl" if torch.cuda.is_available() else "gloo"
    return DDPStrategy(process_group_backend=backend, timeout=timedelta(seconds=WAITING * environment().patience))


def _precision(asked: str) -> str:
    """Return Lightning's name of the precision; auto: bfloat16 where a GPU computes in it."""
    import torch

    if asked != "auto":
        return asked
    able = torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
    return "bf16-mixed" if able else "32-true"


def _digests(module: Any) -> list[str]:
    """Return a digest of the weights of each rank."""
    import hashlib

    import torch.distributed as distributed

    mine = hashlib.sha256()
    for tensor in module.state_dict().values():
        mine.update(tensor.detach().cpu().numpy().tobytes())
    if not distributed.is_initialized():
        return [mine.hexdigest()[:16]]
    gathered: list[Any] = [None] * distributed.get_world_size()
    distributed.all_gather_object(gathered, mine.hexdigest()[:16])
    return gathered


def _write(jobs: Jobs, job: Job, module: Any, facts: dict[str, Any]) -> None:
    """Write facts and weights; the weights' name appears last and by a rename, so that they are whole or absent."""
    from models import bundle

    written = job.weights.with_suffix(".partial")
    bundle.save_weights(module.average.cpu(), written)
    job.weights.with_suffix(".json").write_text(json.dumps(facts))
    written.rename(job.weights)
    for file in (job.weights.with_suffix(".json"), job.weights):
        jobs.share(file)


def main(path: Path) -> None:
    """Do what ``path`` describes, as a process of its own, as a launcher of ranks or as one of them."""
    jobs = Jobs.model_validate_json(path.read_text())
    if time.time() >= jobs.deadline or all(job.weights.exists() for job in jobs.jobs):
        return
    if "RANK" in os.environ:
        train_as(f"rank {os.environ['RANK']}", jobs)
    elif together(jobs.devices):
        with gpus.lease(count=jobs.devices):
            launch(path, jobs.devices)
    else:
        with gpus.lease():
            train_as("a process that trains", jobs)


if __name__ == "__main__":
    # Without a parent, it was started by hand on another node.
    if PARENT in os.environ:
        die_with_parent()
    warnings.filterwarnings("ignore", module="pytorch_lightning")
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    main(Path(sys.argv[1]))
