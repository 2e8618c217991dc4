"""Forecasters of any head, and windows for them."""

from __future__ import annotations

from typing import Any

import optuna
import torch
from panels import PLAIN, RICH, make_panel

from models.cores.stacked_lstm import StackedLSTMConfig
from models.forecaster import Forecaster, ForecasterConfig
from models.forecaster_facts import Facts
from models.heads.registry import HEADS
from models.panel import Panel, Windows
from models.training import mean_loss
from models.training_config import TrainingConfig

optuna.logging.set_verbosity(optuna.logging.ERROR)

ATTENTIVE = "direct with attention"
HEAD_CASES = [*HEADS, ATTENTIVE]

ENCODINGS = {"plain": PLAIN, "rich": RICH}


def fixed(configs: type, seed: int, **preset: Any) -> Any:
    """Draw a config of ``configs`` at random, but for the parameters in ``preset``."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed))
    study.enqueue_trial(preset)
    return configs.suggest(study.ask())  # type: ignore[attr-defined]


def make_forecaster(facts: Facts, head: str, seed: int = 0, **changes: Any) -> Forecaster:
    torch.manual_seed(seed)
    point: dict[str, Any] = {
        "context_length": 16,
        "patch_length": 4,
        "skip": "season",
        "core": StackedLSTMConfig(hidden_size=12, num_layers=2, layer_norm=True, residual=True, proj_size=5),
        "head": fixed(HEADS[head.split()[0]], seed, mlp_size=64, attention=head == ATTENTIVE),
    }
    return Forecaster(ForecasterConfig(**(point | changes)), facts).eval()


def windows_of(facts: Facts, context: int = 16) -> tuple[Panel, Windows]:
    panel = make_panel(facts, [40, 30, 9])
    items, ends = torch.tensor([0, 0, 1, 1, 2]), torch.tensor([30, 40, 10, 3, 1])
    return panel, panel.gather(items, ends, context, facts.horizon)


def loss(model: Forecaster, windows: Windows) -> torch.Tensor:
    return mean_loss(model(windows), windows, TrainingConfig(steps=1))
