"""The loss by hand, what never counts in it, and one training whoever runs it."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from panels import RICH, make_facts, make_panel
from sklearn.metrics import mean_pinball_loss

from models.cores.stacked_lstm import StackedLSTMConfig
from models.distributions import Quantiles
from models.forecaster import Forecaster, ForecasterConfig
from models.heads.direct import DirectHeadConfig
from models.optimisation import Optimisation
from models.panel import Panel, Windows
from models.sampling import WindowSampler
from models.training import mean_loss, training_of
from models.training_config import TrainingConfig

LEVELS = torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64)
PLAIN = TrainingConfig(steps=10, weighting="none")
CPU = torch.device("cpu")


def batch(seed: int = 0) -> tuple[Panel, Windows]:
    panel = make_panel(make_facts(RICH), [40, 22, 9], seed)
    return panel, panel.gather(torch.tensor([0, 1, 1, 2]), torch.tensor([30, 12, 20, 8]), 16, 5)


def forecast_for(windows: Windows, seed: int = 0) -> Quantiles:
    generator = torch.Generator().manual_seed(seed)
    scaled = torch.randn(len(windows.target_BL), 5, 3, generator=generator)
    location = torch.tensor([50.0, 49, 51, 50], dtype=torch.float64)
    return Quantiles(scaled.requires_grad_(), location, torch.tensor([2.0, 4, 8, 1], dtype=torch.float64), LEVELS)


def small_model(seed: int = 0, **changes: Any) -> Forecaster:
    torch.manual_seed(seed)
    config = ForecasterConfig(
        context_length=16,
        patch_length=4,
        skip="season",
        core=StackedLSTMConfig(hidden_size=8, num_layers=1),
        head=DirectHeadConfig(),
    )
    return Forecaster(config.model_copy(update=changes), make_facts(RICH))


def test_the_loss_is_twice_the_pinball_loss_of_what_was_observed() -> None:
    _, windows = batch()
    forecast = forecast_for(windows)
    truth = (windows.truth_BF - forecast.location_B[:, None]) / forecast.scale_B[:, None]
    seen = ~truth.isnan()
    scaled = forecast.y_BFP.detach()
    by_level = [
        mean_pinball_loss(truth[seen].numpy(), scaled[..., q][seen].numpy(), alpha=level)
        for q, level in enumerate(LEVELS.tolist())
    ]
    assert 0 < int(seen.sum()) < seen.numel()
    assert mean_loss(forecast, windows, PLAIN).item() == pytest.approx(2 * np.mean(by_level), rel=1e-6)


def test_the_loss_of_one_value_by_hand() -> None:
    _, windows = batch()
    one = replace(windows, truth_BF=torch.full((4, 5), torch.nan, dtype=torch.float64))
    one.truth_BF[1, 2] = 49 + 4 * 3.0
    forecast = Quantiles(torch.ones(4, 5, 3), forecast_for(windows).location_B, forecast_for(windows).scale_B, LEVELS)
    assert mean_loss(forecast, one, PLAIN).item() == pytest.approx(2 * (0.1 + 0.5 + 0.9) * 2 / 3)
    one.truth_BF[1, 2] = 49 - 4 * 1.0
    assert mean_loss(forecast, one, PLAIN).item() == pytest.approx(2 * (0.9 + 0.5 + 0.1) * 2 / 3)


def test_weighting_counts_each_window_in_units_of_its_items_error() -> None:
    _, windows = batch()
    windows = replace(windows, error_scale_B=torch.tensor([4.0, torch.nan, 0.0, 1e-9], dtype=torch.float64))
    forecast, alone = forecast_for(windows), []
    weighted = TrainingConfig(steps=10, weighting="error_scale")
    for row in range(4):
        truth = torch.full_like(windows.truth_BF, torch.nan)
        truth[row] = windows.truth_BF[row]
        only = replace(windows, truth_BF=truth)
        with_weight, without = (mean_loss(forecast, only, config) for config in (weighted, PLAIN))
        alone.append((with_weight / without).item())
    assert alone == pytest.approx([2 / 4, 1.0, 1.0, 20.0])


def test_masked_steps_never_count_in_loss_or_gradient() -> None:
    _, windows = batch()
    masked = windows.truth_BF.isnan()
    forecast, other = forecast_for(windows), forecast_for(windows, seed=1)
    mixed = torch.where(masked[..., None], other.y_BFP, forecast.y_BFP).detach().requires_grad_()
    results = []
    for scaled in (forecast.y_BFP, mixed):
        loss = mean_loss(replace(forecast, y_BFP=scaled), windows, PLAIN)
        loss.backward()
        assert scaled.grad is not None
        results.append((loss.item(), scaled.grad))
    assert masked.any()
    assert results[0][0] == results[1][0]
    assert torch.equal(results[0][1], results[1][1])
    assert not results[0][1][masked].any()


def gradients(windows: Windows) -> dict[str, torch.Tensor]:
    model = small_model()
    mean_loss(model(windows), windows, PLAIN).backward()
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


def test_what_lies_outside_of_the_items_own_steps_changes_no_gradient() -> None:
    panel, before = batch()
    panel.target[40 + 22 :], panel.numeric[40 + 22 :], panel.codes[40 + 22 :] = 1e6, -1e6, 1
    after = panel.gather(torch.tensor([0, 1, 1]), torch.tensor([30, 12, 20]), 16, 5)
    cut = Windows(**{name: value[:3] for name, value in vars(before).items()})
    for name, gradient in gradients(cut).items():
        assert torch.equal(gradient, gradients(after)[name]), name


def test_a_batch_in_which_nothing_was_observed_teaches_nothing() -> None:
    _, windows = batch()
    model = small_model()
    empty = replace(windows, truth_BF=torch.full_like(windows.truth_BF, torch.nan))
    loss = mean_loss(model(empty), empty, PLAIN)
    loss.backward()
    assert loss.item() == 0
    assert not any(p.grad.any() for p in model.parameters() if p.grad is not None)


def training(config: TrainingConfig, **changes: Any) -> Optimisation:
    panel = make_panel(make_facts(RICH), [40, 30, 25])
    sampler = WindowSampler.before(np.array([40, 30, 25]), 5, 4, config.batch_size, seed=0)
    return training_of(small_model(**changes), panel, sampler, config, CPU)


def trained(config: TrainingConfig) -> tuple[Forecaster, list[float]]:
    optimisation = training(config)
    losses = [loss for _, loss in optimisation.run()]
    return cast(Forecaster, optimisation.average), losses


def weights(model: torch.nn.Module) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def test_a_training_is_repeatable_to_the_last_bit() -> None:
    config = TrainingConfig(steps=8, batch_size=8)
    one, other = trained(config), trained(config)
    assert one[1] == other[1]
    assert torch.equal(weights(one[0]), weights(other[0]))


def test_a_training_taken_up_again_ends_as_if_it_had_never_stopped(tmp_path: Path) -> None:
    """With dropout, whose draws depend on the step alone; through a file, as a search keeps it."""
    config = TrainingConfig(steps=8, batch_size=8)
    core = StackedLSTMConfig(hidden_size=8, num_layers=2, dropout=0.5)
    whole, stopped, resumed = (training(config, core=core) for _ in range(3))
    for _ in whole.run():
        pass
    while stopped.step < 5:
        stopped.advance()
    torch.save(stopped.state_dict(), tmp_path / "state")
    torch.manual_seed(99)
    resumed.load_state_dict(torch.load(tmp_path / "state", weights_only=True))
    for _ in resumed.run():
        pass
    assert torch.equal(weights(resumed.average), weights(whole.average))
    assert torch.equal(weights(resumed.model), weights(whole.model))


@pytest.mark.parametrize(
    "change",
    [
        {"steps": 9},
        {"learning_rate": 3e-3},
        {"weight_decay": 0.5},
        {"batch_size": 16},
        {"weighting": "none"},
        {"grad_clip": 0.01},
    ],
    ids=lambda change: next(iter(change)),
)
def test_every_field_of_the_training_config_changes_the_training(change: dict[str, Any]) -> None:
    config = TrainingConfig(steps=8, batch_size=8)
    assert set(change) <= set(TrainingConfig.model_fields)
    assert not torch.equal(weights(trained(config)[0]), weights(trained(config.model_copy(update=change))[0]))


def test_no_field_of_the_training_config_is_left_untested() -> None:
    tested = {"steps", "learning_rate", "weight_decay", "batch_size", "weighting", "grad_clip"}
    assert set(TrainingConfig.model_fields) == tested


def test_lightning_trains_the_weights_that_the_bare_loop_does() -> None:
    import pytorch_lightning as lightning

    from models.lightning_forecaster import LightningForecaster

    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    config = TrainingConfig(steps=8, batch_size=8)
    bare, _ = trained(config)
    panel = make_panel(make_facts(RICH), [40, 30, 25])
    sampler = WindowSampler.before(np.array([40, 30, 25]), 5, 4, config.batch_size, seed=0)
    module = LightningForecaster(small_model(), panel, sampler, config)
    trainer = lightning.Trainer(
        accelerator="cpu",
        max_steps=config.steps,
        gradient_clip_val=config.grad_clip,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module)
    assert trainer.global_step == config.steps
    torch.testing.assert_close(weights(module.average), weights(bare), rtol=0, atol=1e-7)
