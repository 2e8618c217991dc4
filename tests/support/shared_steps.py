"""Trainings under Lightning whose steps are dealt into shares; as a script, what each rank of torchrun runs.

``torchrun --nproc-per-node N tests/support/shared_steps.py OUT CASE ...`` leaves what the cases came to in ``OUT``.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as lightning
import torch
from panels import RICH, make_facts, make_panel
from pytorch_lightning.callbacks import Callback, ModelCheckpoint
from sequence_cases import UNDISTURBED, make_arrays, make_model
from sequence_cases import make_facts as make_sequence_facts

from models import ranks
from models.batching import TokenBatches
from models.cores.stacked_lstm import StackedLSTMConfig
from models.forecaster import Forecaster, ForecasterConfig
from models.heads.direct import DirectHeadConfig
from models.lightning_forecaster import LightningForecaster
from models.lightning_sequence import LightningSequence
from models.lightning_training import LightningTraining
from models.sampling import WindowSampler
from models.sequence_training import SequenceTrainingConfig
from models.training_config import TrainingConfig

STEPS = 5
Result = tuple[list[float], torch.Tensor]
"""The loss of each step, and the average of the weights at the end."""

SEQUENCES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "classify": ("classify", "numeric", {}),
    "classify in chunks": ("classify", "numeric", {"chunk_length": 4}),
    "classify by class weights": ("classify", "tokens", {"class_weights": [1.0, 5.0, 20.0]}),
    "regress": ("regress", "numeric", {}),
    "tag": ("tag", "numeric", {"crf": True}),
    "tag in chunks": ("tag", "numeric", {"crf": False, "chunk_length": 4}),
    "transcribe": ("transcribe", "audio", {}),
    "fewer items than shares": ("classify", "numeric", {"batch_size": 1}),
    "disturbed": ("classify", "numeric", {"disturbed": True}),
}
FORECASTS: dict[str, dict[str, Any]] = {
    "forecast": {},
    "forecast unweighted": {"weighting": "none"},
    "fewer windows than shares": {"batch_size": 1},
}
CASES = [*FORECASTS, *SEQUENCES]


def module_of(case: str) -> LightningTraining:
    """Return a fresh training of ``case``, the same whoever asks."""
    return _forecaster(**FORECASTS[case]) if case in FORECASTS else _sequence(*SEQUENCES[case])


def _forecaster(**changes: Any) -> LightningForecaster:
    torch.manual_seed(0)
    config = TrainingConfig(**{"steps": STEPS, "batch_size": 7} | changes)
    core = StackedLSTMConfig(hidden_size=8, num_layers=1)
    point = ForecasterConfig(context_length=16, patch_length=4, skip="season", core=core, head=DirectHeadConfig())
    # Of the last series little is observed, so that shares differ in what they weigh.
    panel = make_panel(make_facts(RICH), [40, 30, 25])
    panel.target[40 + 30 :: 2] = torch.nan
    sampler = WindowSampler.before(np.array([40, 30, 25]), 5, 4, config.batch_size, seed=0)
    return LightningForecaster(Forecaster(point, make_facts(RICH)), panel, sampler, config)


def _sequence(kind: str, given: str, options: dict[str, Any]) -> LightningSequence:
    config = SequenceTrainingConfig(steps=STEPS, batch_size=options.get("batch_size", 7))
    given_facts, arrays = make_arrays(kind, given, count=20)
    facts = make_sequence_facts(kind, given_facts, arrays, options.get("chunk_length", 1000))
    if "class_weights" in options:
        target = facts.target.model_copy(update={"class_weights": options["class_weights"]})
        facts = facts.model_copy(update={"target": target})
    calm: dict[str, Any] = {} if options.get("disturbed") else UNDISTURBED | {"dropout": 0.0}
    chosen = {"crf": options["crf"]} if "crf" in options else {}
    model = make_model(facts, **calm, **chosen)
    return LightningSequence(
        model, arrays, TokenBatches.sized(arrays.lengths(model.config.input.view), config.batch_size, 0), config
    )


class Curve(Callback):
    """Notes what each share gives to its step's loss, the mean over ranks; Lightning has divided it by the parts."""

    def __init__(self) -> None:
        self.parts: list[float] = []

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.parts.append(float(trainer.strategy.reduce(outputs["loss"].clone(), reduce_op="mean")))


def trainer(devices: int = 1, accumulate: int = 1, callbacks: Sequence[Callback] = ()) -> lightning.Trainer:
    """Return a trainer for ``STEPS``, each dealt to ``devices`` ranks and ``accumulate`` parts."""
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    return lightning.Trainer(
        accelerator="cpu",
        devices=devices,
        strategy="ddp" if devices > 1 else "auto",
        accumulate_grad_batches=accumulate,
        max_steps=STEPS,
        gradient_clip_val=1.0,
        callbacks=list(callbacks),
        logger=False,
        enable_checkpointing=any(isinstance(callback, ModelCheckpoint) for callback in callbacks),
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )


def trained(case: str, devices: int = 1, accumulate: int = 1) -> Result:
    """Train ``case`` from its beginning to its end."""
    module, curve = module_of(case), Curve()
    trainer(devices, accumulate, [curve]).fit(module)
    losses = np.array(curve.parts).reshape(STEPS, accumulate).sum(axis=1).tolist()
    return losses, weights(module)


def weights(module: LightningTraining) -> torch.Tensor:
    """Return what the training gave, as one vector."""
    return torch.cat([parameter.detach().flatten() for parameter in module.average.parameters()])


if __name__ == "__main__":
    torch.set_num_threads(1)
    told = {case: trained(case, devices=2) for case in sys.argv[2:]}
    if torch.distributed.get_rank() == 0:
        torch.save(told, Path(sys.argv[1]))
    ranks.leave()
