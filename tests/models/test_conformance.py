"""What every core and every head must hold, and through them the whole forecaster.

Parametrised over the registries: a new core or head is tested by standing in them.
"""

from __future__ import annotations

import warnings
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
import torch
from panels import PLAIN, RICH, make_facts, make_panel
from torch import nn

from models import bundle
from models.cores.reference import lstm_step
from models.cores.registry import CORES
from models.cores.stacked_lstm import StackedLSTM, StackedLSTMConfig
from models.forecaster import Forecaster, ForecasterConfig, ForecasterSpace
from models.forecaster_facts import Facts
from models.heads.direct import DirectHeadConfig
from models.heads.registry import HEADS
from models.panel import Panel, Windows
from models.training import pinball_loss
from models.training_config import TrainingConfig

optuna.logging.set_verbosity(optuna.logging.ERROR)

B, T, C = 5, 7, 3
LENGTHS = torch.tensor([7, 1, 4, 7, 2])
DRAWS = 4


def fixed(configs: type, seed: int, **preset: Any) -> Any:
    """Draw a config of ``configs`` at random, but for the parameters in ``preset``."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed))
    study.enqueue_trial(preset)
    return configs.suggest(study.ask())  # type: ignore[attr-defined]


ENCODINGS = {"plain": PLAIN, "rich": RICH}


@pytest.fixture
def core(request: pytest.FixtureRequest) -> nn.Module:
    name, seed = request.param
    torch.manual_seed(seed)
    return fixed(CORES[name], seed, hidden_size=32, num_layers=1 + seed % 3).build(C).eval()


each_core = pytest.mark.parametrize("core", [(n, s) for n in CORES for s in range(DRAWS)], indirect=True, ids=str)


def inputs(seed: int = 0) -> torch.Tensor:
    return torch.randn(B, T, C, generator=torch.Generator().manual_seed(seed))


def same_states(left: Any, right: Any, rtol: float = 1e-5, atol: float = 1e-6) -> None:
    for one, other in zip(left, right, strict=True):
        for a, b in zip(one, other, strict=True):
            torch.testing.assert_close(a, b, rtol=rtol, atol=atol)


@each_core
def test_a_core_gives_an_output_for_each_step_and_a_state_for_each_row(core: Any) -> None:
    h_BTR, state = core(inputs(), LENGTHS)
    assert h_BTR.shape == (B, T, core.config.output_size)
    assert all(tensor.shape[0] == B for layer in state for tensor in layer)


@each_core
def test_a_core_is_causal(core: Any) -> None:
    x = inputs().requires_grad_()
    for step in range(T):
        h_BTR, _ = core(x)
        (gradient,) = torch.autograd.grad(h_BTR[:, step].square().sum(), x)
        assert not gradient[:, step + 1 :].any()
        assert gradient[:, : step + 1].flatten(2).any(dim=2).all()


@each_core
def test_padding_never_changes_a_cores_result(core: Any) -> None:
    x, other = inputs(), inputs(1)
    h_BTR, state = core(x, LENGTHS)
    padded = torch.where((torch.arange(T) < LENGTHS[:, None])[..., None], x, 1e6 * other)
    h_padded, state_padded = core(padded, LENGTHS)
    for row, length in enumerate(LENGTHS.tolist()):
        assert torch.equal(h_padded[row, :length], h_BTR[row, :length])
        alone, state_alone = core(x[row : row + 1, :length])
        torch.testing.assert_close(h_BTR[row : row + 1, :length], alone, rtol=0, atol=1e-6)
        same_states([[t[row : row + 1] for t in layer] for layer in state], state_alone, rtol=0, atol=1e-6)
    same_states(state, state_padded, rtol=0, atol=0)


@each_core
def test_step_equals_forward(core: Any) -> None:
    x = inputs()
    whole, state = core(x)
    stepped, carried = [], None
    for step in range(T):
        h_BR, carried = core.step(x[:, step], carried)
        stepped.append(h_BR)
    torch.testing.assert_close(torch.stack(stepped, dim=1), whole, rtol=0, atol=1e-6)
    same_states(carried, state)


@each_core
def test_a_carried_state_equals_one_pass(core: Any) -> None:
    x = inputs()
    whole, state = core(x)
    first, carried = core(x[:, :3])
    second, carried = core(x[:, 3:], None, carried)
    torch.testing.assert_close(torch.cat([first, second], dim=1), whole, rtol=0, atol=1e-6)
    same_states(carried, state)


@each_core
def test_rows_do_not_read_each_other(core: Any) -> None:
    x = inputs().requires_grad_()
    h_BTR, _ = core(x, LENGTHS)
    (gradient,) = torch.autograd.grad(h_BTR[2, :4].square().sum(), x)
    assert gradient[2, :4].any()
    assert not gradient[[0, 1, 3, 4]].any()


@each_core
def test_gradients_reach_every_parameter_of_a_core(core: Any) -> None:
    h_BTR, state = core(inputs(), LENGTHS)
    (h_BTR[:, 0].square().sum() + sum(t.square().sum() for layer in state for t in layer)).backward()
    assert [n for n, p in core.named_parameters() if p.grad is None or not p.grad.any()] == []


@pytest.mark.parametrize("proj_size", [0, 4])
@pytest.mark.parametrize("num_layers", [1, 3])
def test_the_stacked_lstm_equals_the_readable_cell(proj_size: int, num_layers: int) -> None:
    torch.manual_seed(0)
    core = StackedLSTMConfig(hidden_size=6, num_layers=num_layers, proj_size=proj_size).build(C).double()
    h_BTR = x = inputs().double()
    for layer in core.layers:
        h_BTR = read_by_hand(layer, h_BTR, proj_size)
    torch.testing.assert_close(core(x)[0], h_BTR, rtol=0, atol=1e-12)


def read_by_hand(layer: Any, x_BTC: torch.Tensor, proj_size: int) -> torch.Tensor:
    projection = layer.weight_hr_l0 if proj_size else None
    h_BR, c_BH = x_BTC.new_zeros(B, proj_size or 6), x_BTC.new_zeros(B, 6)
    outputs = []
    for step in range(T):
        bias = layer.bias_ih_l0 + layer.bias_hh_l0
        h_BR, c_BH = lstm_step(
            x_BTC[:, step], h_BR, c_BH, layer.weight_ih_l0, layer.weight_hh_l0, bias, projection=projection
        )
        outputs.append(h_BR)
    return torch.stack(outputs, dim=1)


def test_the_forget_gate_begins_open() -> None:
    layer = StackedLSTM(StackedLSTMConfig(hidden_size=6, num_layers=1), C).layers[0]
    assert (layer.bias_ih_l0[6:12] == 1).all()
    assert not (layer.bias_ih_l0[:6] == 1).any()


def make_forecaster(facts: Facts, head: str, seed: int = 0, **changes: Any) -> Forecaster:
    torch.manual_seed(seed)
    point: dict[str, Any] = {
        "context_length": 16,
        "patch_length": 4,
        "skip": "season",
        "core": StackedLSTMConfig(hidden_size=12, num_layers=2, layer_norm=True, residual=True, proj_size=5),
        "head": fixed(HEADS[head], seed, mlp_size=64),
    }
    return Forecaster(ForecasterConfig(**(point | changes)), facts).eval()


def windows_of(facts: Facts, context: int = 16) -> tuple[Panel, Windows]:
    panel = make_panel(facts, [40, 30, 9])
    items, ends = torch.tensor([0, 0, 1, 1, 2]), torch.tensor([30, 40, 10, 3, 1])
    return panel, panel.gather(items, ends, context, facts.horizon)


each_head = pytest.mark.parametrize("head", HEADS)
each_encoding = pytest.mark.parametrize("encoding", ENCODINGS)


@each_head
@each_encoding
@pytest.mark.parametrize("horizon", [1, 4, 5, 9])
def test_a_forecaster_gives_rising_finite_quantiles_for_the_whole_horizon(
    head: str, encoding: str, horizon: int
) -> None:
    facts = make_facts(ENCODINGS[encoding], horizon=horizon)
    _, windows = windows_of(facts)
    forecast = make_forecaster(facts, head)(windows)
    values = forecast.unscaled()
    assert (values.shape, values.dtype) == ((5, horizon, 3), torch.float64)
    assert values.isfinite().all()
    assert (values.diff(dim=2) >= 0).all()
    assert forecast.scaled_BFQ.flatten(1).std(dim=1).min() > 0


@each_head
@each_encoding
@pytest.mark.parametrize("skip", ["none", "last_value", "season"])
@pytest.mark.parametrize("layer_norm", [False, True])
def test_gradients_reach_every_parameter_of_a_forecaster(head: str, encoding: str, skip: str, layer_norm: bool) -> None:
    facts = make_facts(ENCODINGS[encoding])
    panel = make_panel(facts, [40, 30, 25])
    windows = panel.gather(torch.arange(3).repeat(8), torch.arange(16, 40).clamp(max=25), 16, 5)
    core = StackedLSTMConfig(hidden_size=12, num_layers=2, layer_norm=layer_norm)
    model = make_forecaster(facts, head, skip=skip, core=core)
    loss(model, windows).backward()
    dead = [
        n for n, p in model.named_parameters() if p.grad is None or not p.grad.flatten(1 if p.dim() > 1 else 0).any()
    ]
    assert dead == []


@each_head
@pytest.mark.parametrize("skip", ["none", "last_value", "season"])
def test_no_column_of_an_input_weight_is_dead(head: str, skip: str) -> None:
    facts = make_facts(RICH, horizon=4)
    panel = make_panel(facts, [40, 30, 25])
    windows = panel.gather(torch.arange(3).repeat(80), torch.arange(240) % 17 + 6, 16, 4)
    model = make_forecaster(facts, head, skip=skip)
    loss(model, windows).backward()
    for name, parameter in model.named_parameters():
        if parameter.dim() == 2 and "tables" not in name:
            assert parameter.grad is not None
            assert parameter.grad.any(dim=0).all(), name


def loss(model: Forecaster, windows: Windows) -> torch.Tensor:
    return pinball_loss(model(windows), windows, torch.tensor(model.facts.quantiles), TrainingConfig(steps=1))


@each_head
@each_encoding
def test_padding_and_company_never_change_a_forecast(head: str, encoding: str) -> None:
    facts = make_facts(ENCODINGS[encoding])
    panel, windows = windows_of(facts)
    model = make_forecaster(facts, head)
    together = model(windows).scaled_BFQ
    for row, (item, end) in enumerate([(0, 30), (0, 40), (1, 10), (1, 3), (2, 1)]):
        alone = model(panel.gather(torch.tensor([item]), torch.tensor([end]), 16, 5)).scaled_BFQ
        torch.testing.assert_close(together[row : row + 1], alone, rtol=0, atol=2e-6)
    outside = ~windows.inside_BL
    assert outside.any()
    noisy = replace(
        windows,
        numeric_BLC=torch.where(outside[..., None], 1e6, windows.numeric_BLC),
        codes_BLK=torch.where(outside[..., None], 1, windows.codes_BLK),
        calendar_BLA=torch.where(outside[..., None], 1e6, windows.calendar_BLA),
    )
    assert torch.equal(model(noisy).scaled_BFQ, together)


@each_head
def test_a_short_history_is_forecast_as_by_a_model_of_a_short_context(head: str) -> None:
    facts = make_facts(RICH)
    panel, _ = windows_of(facts)
    long, short = make_forecaster(facts, head), make_forecaster(facts, head, context_length=8)
    items, ends = torch.tensor([0, 1]), torch.tensor([8, 7])
    ours, theirs = (model(panel.gather(items, ends, model.config.context_length, 5)) for model in (long, short))
    torch.testing.assert_close(ours.scaled_BFQ, theirs.scaled_BFQ, rtol=0, atol=2e-6)


@each_head
def test_a_forecast_reads_no_truth(head: str) -> None:
    facts = make_facts(RICH)
    _, windows = windows_of(facts)
    model = make_forecaster(facts, head)
    blind = replace(windows, truth_BF=torch.full_like(windows.truth_BF, 1e9), error_scale_B=windows.error_scale_B * 9)
    assert torch.equal(model(windows).unscaled(), model(blind).unscaled())


@each_head
def test_a_forecast_reads_every_input(head: str) -> None:
    facts = make_facts(RICH)
    panel = make_panel(facts, [40], gaps=False)
    windows = panel.gather(torch.tensor([0]), torch.tensor([30]), 16, 5)
    model = make_forecaster(facts, head)
    before = model(windows).unscaled()
    for name in {field.name for field in fields(Windows)} - {"truth_BF", "error_scale_B", "inside_BL"}:
        value = getattr(windows, name)
        changed = (value + 1) % 3 if "codes" in name else value * 1.5 + 0.25
        changed[..., 1:] = value[..., 1:] if name == "target_BL" else changed[..., 1:]
        assert not torch.equal(model(replace(windows, **{name: changed})).unscaled(), before), name


@each_head
def test_weights_come_back_from_safetensors_to_the_last_bit(head: str, tmp_path: Path) -> None:
    facts = make_facts(RICH)
    panel, windows = windows_of(facts)
    members = [make_forecaster(facts, head, seed) for seed in range(2)]
    bundle.write_description(tmp_path, facts, [member.config for member in members])
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


def test_a_bundle_of_a_later_format_is_refused(tmp_path: Path) -> None:
    facts = make_facts()
    bundle.write_description(tmp_path, facts, [])
    path = tmp_path / "model.json"
    path.write_text(path.read_text().replace('"format": 1', '"format": 99'))
    with pytest.raises(ValueError, match=r"\(got 99\): update"):
        bundle.load(tmp_path)


@each_head
def test_a_forecaster_overfits_one_batch(head: str) -> None:
    facts = make_facts(RICH)
    _, windows = windows_of(facts)
    model = make_forecaster(facts, head, core=StackedLSTMConfig(hidden_size=32, num_layers=1)).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    first = loss(model, windows).item()
    for _ in range(150):
        optimizer.zero_grad()
        value = loss(model, windows)
        value.backward()
        optimizer.step()
    assert value.item() < 0.05 * first


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
    space, study = ForecasterSpace(facts, list(HEADS)), optuna.create_study(sampler=optuna.samplers.RandomSampler(0))
    for _ in range(50):
        config = space.suggest(study.ask())
        assert ForecasterConfig.model_validate_json(config.model_dump_json()) == config
        assert config.context_length >= config.skip_seasons * facts.season_length
        with torch.device("meta"):
            Forecaster(config, facts)


@pytest.mark.parametrize("case", [name for name in SPACES if name != "long season"])
def test_the_portfolio_lies_in_the_space_and_forecasts(case: str) -> None:
    facts = make_facts(RICH, **SPACES[case])
    space, study = ForecasterSpace(facts, list(HEADS)), optuna.create_study()
    panel = make_panel(facts, [max(2, min(facts.longest, 60)), 2])
    for point in space.portfolio(10):
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


def test_a_head_that_is_not_offered_is_never_drawn() -> None:
    for head in HEADS:
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(0))
        space = ForecasterSpace(make_facts(), [head])
        assert {space.suggest(study.ask()).head.head for _ in range(10)} == {head}
        assert {point["head"] for point in space.portfolio(10)} == {head}


MODEL_CHANGES: dict[str, Any] = {
    "context_length": 12,
    "patch_length": 2,
    "skip": "last_value",
    "skip_seasons": 2,
    "scaling": "mean_abs",
    "core": {"core": "stacked_lstm", "hidden_size": 9, "num_layers": 2},
    "head": {"head": "decoder"},
}
CORE_CHANGES: dict[str, Any] = {
    "hidden_size": 9,
    "num_layers": 3,
    "proj_size": 4,
    "dropout": 0.5,
    "residual": True,
    "layer_norm": True,
}


def output_of(config: ForecasterConfig) -> torch.Tensor:
    facts = make_facts(RICH)
    torch.manual_seed(0)
    model = Forecaster(config, facts).train()
    _, windows = windows_of(facts, config.context_length)
    return model(windows).unscaled()


def base() -> dict[str, Any]:
    core, head = {"hidden_size": 8, "num_layers": 2}, {"head": "direct", "mlp_size": 0}
    return {"context_length": 16, "patch_length": 4, "skip": "season", "core": core, "head": head}


@pytest.mark.parametrize("field", MODEL_CHANGES)
def test_every_field_of_the_forecaster_config_changes_the_forecast(field: str) -> None:
    changed = ForecasterConfig.model_validate(base() | {field: MODEL_CHANGES[field]})
    assert not torch.equal(output_of(changed), output_of(ForecasterConfig.model_validate(base())))


@pytest.mark.parametrize("field", CORE_CHANGES)
def test_every_field_of_the_stacked_lstm_config_changes_the_forecast(field: str) -> None:
    core = base()["core"] | {field: CORE_CHANGES[field]}
    changed = ForecasterConfig.model_validate(base() | {"core": core})
    assert not torch.equal(output_of(changed), output_of(ForecasterConfig.model_validate(base())))


def test_the_hidden_layer_of_the_direct_head_changes_the_forecast() -> None:
    changed = ForecasterConfig.model_validate(base() | {"head": DirectHeadConfig(mlp_size=16)})
    assert not torch.equal(output_of(changed), output_of(ForecasterConfig.model_validate(base())))


def test_no_field_of_a_model_config_is_left_untested() -> None:
    assert set(ForecasterConfig.model_fields) == set(MODEL_CHANGES)
    assert set(StackedLSTMConfig.model_fields) == {"core", *CORE_CHANGES}
    assert set(DirectHeadConfig.model_fields) == {"head", "mlp_size"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"patch_length": 5}, "context_length must be a multiple of patch_length"),
        ({"core": {"hidden_size": 8, "proj_size": 8}}, "proj_size must be below hidden_size 8"),
        ({"cores": {}}, "Extra inputs"),
        ({"context_length": 0}, "greater than or equal to 1"),
    ],
)
def test_a_config_that_cannot_be_built_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ForecasterConfig.model_validate(base() | changes)
