"""The child of ``fit`` that trains one member under Lightning: ``python -m tasks.fit_worker JOB.json``.

With one device it trains in this process; with more it becomes torchrun, whose ranks run this module again. The flow is
never executed again, and no rank outlives its parent.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
import warnings
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from tasks.children import PARENT, die_with_parent


class Job(BaseModel):
    """One member to be trained. ``checkpoints`` is its directory, ``weights`` the safetensors file to write."""

    model_config = ConfigDict(frozen=True)

    kind: str
    dataset: Path
    recipe: dict[str, Any]
    seed: int
    precision: str
    checkpoint_every: int
    devices: int
    threads: int
    checkpoints: Path
    weights: Path


def launch(job: Path, devices: int) -> None:
    """Run ``devices`` ranks of this module under torchrun, in this process."""
    from torch.distributed import run

    os.environ[PARENT] = str(os.getpid())
    run.main(["--standalone", "--nproc-per-node", str(devices), "-m", "tasks.fit_worker", str(job)])


def train(job: Job) -> None:
    """Train the member, from its last checkpoint if there is one, and let rank 0 write its weights."""
    import torch

    from tasks.kinds.registry import kind

    torch.set_num_threads(job.threads)
    trainer = _trainer(job)
    began = time.time()
    module = kind(job.kind).training(job.dataset, job.recipe, job.seed)
    last = job.checkpoints / "last.ckpt"
    facts: dict[str, Any] = {"resumed": last.exists()}
    trainer.fit(module, ckpt_path=last if facts["resumed"] else None)
    facts |= {"steps": trainer.global_step, "seconds": round(time.time() - began, 2), "digests": _digests(module.model)}
    if len(set(facts["digests"])) > 1:
        raise RuntimeError(f"the ranks must end with the same weights (got digests {facts['digests']})")
    if trainer.is_global_zero:
        _write(job, module, facts)


def _trainer(job: Job) -> Any:
    """Return Lightning's trainer, which checkpoints and does nothing else beside training."""
    import pytorch_lightning as lightning
    import torch
    from pytorch_lightning.callbacks import ModelCheckpoint
    from pytorch_lightning.strategies import DDPStrategy

    on_gpu = torch.cuda.is_available()
    strategy: Any = DDPStrategy(process_group_backend="nccl" if on_gpu else "gloo") if job.devices > 1 else "auto"
    keeper = ModelCheckpoint(
        dirpath=job.checkpoints, filename="last", every_n_train_steps=job.checkpoint_every, enable_version_counter=False
    )
    return lightning.Trainer(
        accelerator="gpu" if on_gpu else "cpu",
        devices=job.devices,
        strategy=strategy,
        precision=job.precision,  # type: ignore[arg-type]
        max_steps=job.recipe["training"]["steps"],
        gradient_clip_val=job.recipe["training"]["grad_clip"],
        callbacks=[keeper],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        default_root_dir=job.checkpoints,
    )


def _digests(model: Any) -> list[str]:
    """Return a digest of the weights of each rank."""
    import hashlib

    import torch.distributed as distributed

    mine = hashlib.sha256()
    for tensor in model.state_dict().values():
        mine.update(tensor.detach().cpu().numpy().tobytes())
    if not distributed.is_initialized():
        return [mine.hexdigest()[:16]]
    gathered: list[Any] = [None] * distributed.get_world_size()
    distributed.all_gather_object(gathered, mine.hexdigest()[:16])
    return gathered


def _write(job: Job, module: Any, facts: dict[str, Any]) -> None:
    """Write weights and facts; the weights' name appears by a rename, so that they are whole or absent."""
    from models import bundle

    partial = job.weights.with_suffix(".partial")
    bundle.save_weights(module.model.cpu(), partial)
    facts["parameters"] = sum(parameter.numel() for parameter in module.model.parameters())
    job.weights.with_suffix(".json").write_text(json.dumps(facts))
    partial.rename(job.weights)


if __name__ == "__main__":
    die_with_parent()
    warnings.filterwarnings("ignore", module="pytorch_lightning")
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    described = Job.model_validate_json(Path(sys.argv[1]).read_text())
    if described.devices > 1 and "RANK" not in os.environ:
        launch(Path(sys.argv[1]), described.devices)
    else:
        train(described)
