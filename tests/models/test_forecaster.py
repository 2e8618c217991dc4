"""The space of forecasters, the fields of their configs, and bundles of them on disk."""

from __future__ import annotations

import tracemalloc
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
import torch
from forecasters import ENCODINGS, make_forecaster, windows_of
from panels import RICH, make_facts, make_panel

from models import bundle
from models.distributions import DISTRIBUTIONS
from models.encoding import Affine
from models.forecast_bundle import Bundle
from models.forecaster import Forecaster, ForecasterConfig
from models.forecaster_space import ForecasterSpace
from models.heads.direct import DirectHeadConfig
from models.heads.registry import HEADS
from models.training_config import TrainingConfig

SPACES: dict[str, dict[str, Any]] = {
    "monthly": {"season_length": 12, "horizon": 24, "longest": 300, "frequency": "1mo"},
    "hourly": {"season_length": 24, "horizon": 24, "longest": 5000, "frequency": "1h"},
    "daily": {"season_length": 7, "horizon": 10, "longest": 700},
    "no season": {"season_length": 1, "horizon": 3, "longest": 400, "frequency": "1"},
    "no season, short": {"season_length": 1, "horizon": 3, "longest": 5, "frequency": "1"},
    "one step": {"season_length": 1, "horizon": 1, "longest": 1, "frequency": "1"},
    "shorter than a season": {"season_length": 12, "horizon": 7, "longest": 9, "frequency": "1mo"},
    "two seasons": {"season_length": 7, "horizon": 5, "longest": 15},
    "prime season": {"season_length": 13, "horizon": 5, "longest": 200},
    "long season": {"season_length": 1440, "horizon": 60, "longest": 10_000, "frequency": "1m"},
}


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("case", SPACES)
def test_every_point_of_the_space_is_valid_and_builds(case: str, encoding: str) -> None:
    facts = make_facts(ENCODINGS[encoding], **SPACES[case])
    space, study = ForecasterSpace(facts), optuna.create_study(sampler=optuna.samplers.RandomSampler(0))
    for _ in range(50):
        config = space.suggest(study.ask())
        assert ForecasterConfig.model_validate_json(config.model_dump_json()) == config
        assert config.context_length >= config.skip_seasons * facts.season_length
        with torch.device("meta"):
            Forecaster(config, facts)


@pytest.mark.parametrize("case", [name for name in SPACES if name != "long season"])
def test_the_portfolio_lies_in_the_space_and_forecasts(case: str) -> None:
    facts = make_facts(RICH, **SPACES[case])
    space, study = ForecasterSpace(facts), optuna.create_study()
    panel = make_panel(facts, [max(2, min(facts.longest, 60)), 2])
    for point in space.portfolio():
        study.enqueue_trial(point)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            trial = study.ask()
            config = space.suggest(trial)
            TrainingConfig.suggest(trial, 10)
        assert {name: point[name] for name in trial.params} == trial.params
        model = Forecaster(config, facts).eval()
        windows = panel.gather(torch.tensor([0, 1]), torch.tensor([2, 1]), config.context_length, facts.horizon)
        assert model(windows).unscaled().isfinite().all()


MODEL_CHANGES: dict[str, Any] = {
    "context_length": 12,
    "patch_length": 2,
    "skip": "last_value",
    "skip_seasons": 2,
    "theta": True,
    "damped": True,
    "highway": True,
    "correction": False,
    "scaling": "mean_abs",
    "core": {"core": "stacked_lstm", "hidden_size": 9, "num_layers": 2},
    "head": {"head": "decoder"},
    "distribution": "student_t",
}


def output_of(config: ForecasterConfig) -> torch.Tensor:
    facts = make_facts(RICH)
    torch.manual_seed(0)
    model = Forecaster(config, facts).train()
    _, windows = windows_of(facts, config.context_length)
    return model(windows).unscaled()


def base() -> dict[str, Any]:
    core, head = {"core": "stacked_lstm", "hidden_size": 8, "num_layers": 2}, {"head": "direct", "mlp_size": 0}
    return {"context_length": 16, "patch_length": 4, "skip": "season", "core": core, "head": head}


@pytest.mark.parametrize("field", MODEL_CHANGES)
def test_every_field_of_the_forecaster_config_changes_the_forecast(field: str) -> None:
    changed = ForecasterConfig.model_validate(base() | {field: MODEL_CHANGES[field]})
    assert not torch.equal(output_of(changed), output_of(ForecasterConfig.model_validate(base())))


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
@pytest.mark.parametrize("head", ["direct", "decoder"])
def test_without_correction_the_middle_is_the_naive_forecast(head: str, distribution: str) -> None:
    """In scaled units, before a mean of counts is made positive."""
    facts = make_facts(RICH)
    told = base() | {"head": {"head": head}, "distribution": distribution, "skip_seasons": 2}
    model = Forecaster(ForecasterConfig.model_validate(told | {"correction": False}), facts).eval()
    _, windows = windows_of(facts, model.config.context_length)
    forecast = model(windows)
    naive_BF = model._naive(forecast.scaled(windows.target_BL))
    torch.testing.assert_close(forecast.y_BFP[..., model.middle], naive_BF)
    spread_BF = forecast.y_BFP.max(dim=2).values - forecast.y_BFP.min(dim=2).values
    assert (spread_BF > 0).all(), "the rest lies around it"


@pytest.mark.parametrize("head", [DirectHeadConfig(mlp_size=16), DirectHeadConfig(attention=True)])
def test_every_field_of_the_direct_head_changes_the_forecast(head: DirectHeadConfig) -> None:
    changed = ForecasterConfig.model_validate(base() | {"head": head})
    assert not torch.equal(output_of(changed), output_of(ForecasterConfig.model_validate(base())))


def test_no_field_of_a_model_config_is_left_untested() -> None:
    assert set(ForecasterConfig.model_fields) == set(MODEL_CHANGES)
    assert set(DirectHeadConfig.model_fields) == {"head", "mlp_size", "attention"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"patch_length": 5}, "context_length must be a multiple of patch_length"),
        ({"core": {"core": "stacked_lstm", "hidden_size": 8, "proj_size": 8}}, "proj_size must be below hidden_size 8"),
        ({"cores": {}}, "Extra inputs"),
        ({"context_length": 0}, "greater than or equal to 1"),
    ],
)
def test_a_config_that_cannot_be_built_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ForecasterConfig.model_validate(base() | changes)


@pytest.mark.parametrize("head", HEADS)
def test_weights_come_back_from_safetensors_to_the_last_bit(head: str, tmp_path: Path) -> None:
    facts = make_facts(RICH)
    panel, windows = windows_of(facts)
    members = [make_forecaster(facts, head, seed) for seed in range(2)]
    bundle.write_description(tmp_path, "forecast", facts, [member.config for member in members])
    for i, member in enumerate(members):
        bundle.save_weights(member, tmp_path / f"member-{i}.safetensors")
    loaded = bundle.load(tmp_path)
    assert (loaded.facts, [member.config for member in loaded.members]) == (facts, [m.config for m in members])
    for mine, theirs in zip(members, loaded.members, strict=True):
        assert mine.state_dict().keys() == theirs.state_dict().keys()
        assert all(torch.equal(mine.state_dict()[name], tensor) for name, tensor in theirs.state_dict().items())
    items, ends = np.array([0, 0, 1, 1, 2]), np.array([30, 40, 10, 3, 1])
    mean = sum(member(windows).unscaled() for member in members) / 2
    assert isinstance(mean, torch.Tensor)
    np.testing.assert_array_equal(loaded.predict(panel, items, ends), mean.detach().numpy())
    np.testing.assert_allclose(loaded.predict(panel, items, ends, batch_size=2), mean.detach().numpy(), rtol=5e-6)
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".safetensors"}


def test_a_model_of_another_encoding_recodes_its_windows_and_never_the_panel() -> None:
    facts = make_facts(RICH)
    panel = make_panel(facts, [40, 200_000])
    earlier = RICH.model_copy(update={"affine": {column: Affine(mean=1, std=2) for column in RICH.affine}})
    model = Bundle(facts.model_copy(update={"encoding": earlier}), [make_forecaster(facts, "direct")])
    places = np.array([0, 1]), np.array([30, 900])
    model.predict(panel, *places)
    tracemalloc.start()
    forecast = model.predict(panel, *places)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200_000, "a column of the panel alone is larger"
    whole = replace(panel, encoding=earlier)
    for i, column in enumerate(RICH.numeric):
        whole.numeric[:, i] = (panel.numeric[:, i] * RICH.affine[column].std + RICH.affine[column].mean - 1) / 2
    for i, column in enumerate(RICH.static_numeric):
        whole.static_numeric[:, i] = (
            whole.static_numeric[:, i] * RICH.affine[column].std + RICH.affine[column].mean - 1
        ) / 2
    np.testing.assert_allclose(forecast, model.predict(whole, *places), rtol=1e-4)


def test_a_bundle_of_a_later_format_is_refused(tmp_path: Path) -> None:
    facts = make_facts()
    bundle.write_description(tmp_path, "forecast", facts, [])
    path = tmp_path / "model.json"
    path.write_text(path.read_text().replace('"format": 2', '"format": 99'))
    with pytest.raises(ValueError, match=r"\(got 99\): update"):
        bundle.load(tmp_path)
