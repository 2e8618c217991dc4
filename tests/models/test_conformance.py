"""What every core and every head must hold, and through them the whole forecaster.

Parametrised over the registries: a new core or head is tested by standing in them.
"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import optuna
import pytest
import torch
from forecasters import ENCODINGS, HEAD_CASES, fixed, loss, make_forecaster, windows_of
from panels import RICH, make_facts, make_panel
from pydantic import TypeAdapter
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from models.cores.reference import lstm_step
from models.cores.registry import CORES, READERS, CoreConfig
from models.cores.stacked_lstm import StackedLSTM, StackedLSTMConfig
from models.panel import Windows

B, T, C = 5, 7, 3
LENGTHS = torch.tensor([7, 1, 4, 7, 2])
DRAWS = 4


@pytest.fixture
def core(request: pytest.FixtureRequest) -> nn.Module:
    name, seed = request.param
    torch.manual_seed(seed)
    return drawn(name, seed).build(C).eval()


def drawn(name: str, seed: int) -> Any:
    """Draw a small config, of 1 to 3 layers: a dilated core begins with 2."""
    least = 2 if name == "dilated_lstm" else 1
    return fixed(CORES[name], seed, hidden_size=32, num_layers=least + seed % (4 - least))


def rounding(core: Any) -> float:
    """Return how far the same in another batch or in other parts may be off; a norm amplifies what is quiet."""
    return 1e-6 if core.config.core == "stacked_lstm" else 5e-6


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
        torch.testing.assert_close(h_BTR[row : row + 1, :length], alone, rtol=0, atol=rounding(core))
        same_states([[t[row : row + 1] for t in layer] for layer in state], state_alone, rtol=0, atol=rounding(core))
    same_states(state, state_padded, rtol=0, atol=0)


@each_core
def test_step_equals_forward(core: Any) -> None:
    x = inputs()
    whole, state = core(x)
    stepped, carried = [], None
    for step in range(T):
        h_BR, carried = core.step(x[:, step], carried)
        stepped.append(h_BR)
    torch.testing.assert_close(torch.stack(stepped, dim=1), whole, rtol=0, atol=rounding(core))
    same_states(carried, state, atol=rounding(core))


@each_core
def test_a_carried_state_equals_one_pass(core: Any) -> None:
    x = inputs()
    whole, state = core(x)
    first, carried = core(x[:, :3])
    second, carried = core(x[:, 3:], None, carried)
    torch.testing.assert_close(torch.cat([first, second], dim=1), whole, rtol=0, atol=rounding(core))
    same_states(carried, state, atol=rounding(core))


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


@each_core
def test_what_stands_in_the_padding_changes_no_gradient(core: Any) -> None:
    gradients = []
    for padding in (0.0, 1e3):
        x = torch.where((torch.arange(T) < LENGTHS[:, None])[..., None], inputs(), padding)
        h_BTR, state = core(x, LENGTHS)
        loss = h_BTR[torch.arange(T) < LENGTHS[:, None]].square().sum() + state[-1][0].square().sum()
        gradients.append(torch.autograd.grad(loss, list(core.parameters())))
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-5)


@each_core
def test_a_core_goes_on_from_the_states_of_rows_that_ended_apart(core: Any) -> None:
    x, more = inputs(), inputs(1)
    _, state = core(x, LENGTHS)
    onwards, _ = core(more, None, state)
    for row, length in enumerate(LENGTHS.tolist()):
        whole, _ = core(torch.cat([x[row : row + 1, :length], more[row : row + 1]], dim=1))
        torch.testing.assert_close(onwards[row : row + 1], whole[:, length:], rtol=0, atol=rounding(core))


@each_core
def test_a_core_overfits_one_batch(core: Any) -> None:
    x, target = inputs(), torch.randn(B, T, generator=torch.Generator().manual_seed(2))
    inside, out = torch.arange(T) < LENGTHS[:, None], nn.Linear(core.config.output_size, 1)
    optimizer = torch.optim.Adam([*core.parameters(), *out.parameters()], lr=0.01)
    for _ in range(200):
        loss = (out(core(x, LENGTHS)[0])[..., 0] - target)[inside].square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.02


@each_core
def test_a_core_comes_back_from_its_config_as_json_and_its_weights(core: Any) -> None:
    config: Any = TypeAdapter(CoreConfig).validate_json(core.config.model_dump_json())
    assert config == core.config
    other = config.build(C).eval()
    other.load_state_dict(core.state_dict())
    assert torch.equal(other(inputs(), LENGTHS)[0], core(inputs(), LENGTHS)[0])


@pytest.mark.parametrize("name", CORES)
def test_every_config_that_is_drawn_is_valid_and_builds(name: str) -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(0))
    for _ in range(60):
        config = CORES[name].suggest(study.ask())
        assert CORES[name].model_validate_json(config.model_dump_json()) == config
        with torch.device("meta"):
            config.build(C)


def test_one_study_draws_every_core() -> None:
    """Optuna refuses a name that has other choices than before."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(0))
    for _ in range(40):
        trial = study.ask()
        CORES[trial.suggest_categorical("core", list(CORES))].suggest(trial)
        study.tell(trial, 0.0)


@pytest.fixture
def reader(request: pytest.FixtureRequest) -> nn.Module:
    name, seed, bidirectional = request.param
    torch.manual_seed(seed)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed))
    study.enqueue_trial({"hidden_size": 48, "num_layers": 1 + seed % 3, "bidirectional": bidirectional})
    return READERS[name].suggest_reader(study.ask(), bidirectional=bidirectional, longest=100).build(C).eval()


each_reader = pytest.mark.parametrize(
    "reader", [(n, s, both) for n in READERS for s in range(DRAWS) for both in (False, True)], indirect=True, ids=str
)


@each_reader
def test_padding_never_changes_what_is_read(reader: Any) -> None:
    """In float64, since layer norm may amplify the rounding of a quiet cell's output beyond 1e-6."""
    reader, x, other = reader.double(), inputs().double(), inputs(1).double()
    h_BTR = reader.read(x, LENGTHS)
    padded = torch.where((torch.arange(T) < LENGTHS[:, None])[..., None], x, 1e6 * other)
    h_padded = reader.read(padded, LENGTHS)
    for row, length in enumerate(LENGTHS.tolist()):
        assert torch.equal(h_padded[row, :length], h_BTR[row, :length])
        alone = reader.read(x[row : row + 1, :length], LENGTHS[row : row + 1])
        torch.testing.assert_close(h_BTR[row : row + 1, :length], alone, rtol=0, atol=1e-12)


@each_reader
def test_rows_that_are_read_together_do_not_read_each_other(reader: Any) -> None:
    x = inputs().requires_grad_()
    (gradient,) = torch.autograd.grad(reader.read(x, LENGTHS)[2, :4].square().sum(), x)
    assert gradient[2, :4].flatten(1).any(dim=1).all()
    assert not gradient[2, 4:].any()
    assert not gradient[[0, 1, 3, 4]].any()


@each_reader
def test_one_direction_reads_what_forward_does_and_both_read_the_future(reader: Any) -> None:
    x = inputs().requires_grad_()
    h_BTR = reader.read(x, LENGTHS)
    assert h_BTR.shape == (B, T, reader.config.output_size)
    (gradient,) = torch.autograd.grad(h_BTR[0, 3].square().sum(), x, retain_graph=True)
    assert gradient[0, :4].any(dim=1).all()
    assert gradient[0, 4:].any() == reader.config.bidirectional
    if reader.config.bidirectional:
        with pytest.raises(ValueError, match=r"one direction to have a state \(got bidirectional=True\): call read"):
            reader(x, LENGTHS)
        return
    forward, _ = reader(x, LENGTHS)
    for row, length in enumerate(LENGTHS.tolist()):
        torch.testing.assert_close(h_BTR[row, :length], forward[row, :length], rtol=0, atol=1e-6)


@each_reader
def test_gradients_reach_every_parameter_of_a_reader(reader: Any) -> None:
    h_BTR = reader.read(inputs(), LENGTHS)
    h_BTR[torch.arange(T) < LENGTHS[:, None]].square().sum().backward()
    assert [n for n, p in reader.named_parameters() if p.grad is None or not p.grad.any()] == []


@each_reader
def test_a_reader_overfits_one_batch(reader: Any) -> None:
    x, target = inputs(), torch.randn(B, T, generator=torch.Generator().manual_seed(2))
    inside, out = torch.arange(T) < LENGTHS[:, None], nn.Linear(reader.config.output_size, 1)
    optimizer = torch.optim.Adam([*reader.parameters(), *out.parameters()], lr=0.01)
    for _ in range(150):
        loss = (out(reader.read(x, LENGTHS))[..., 0] - target)[inside].square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.02


@pytest.mark.parametrize("proj_size", [0, 4])
def test_both_directions_over_padded_rows_equal_packed_ones(proj_size: int) -> None:
    config = StackedLSTMConfig(hidden_size=6, num_layers=2, proj_size=proj_size, bidirectional=True)
    core = config.build(C).double()
    h_BTR = inputs().double()
    read = core.read(h_BTR, LENGTHS)
    for layer in core.layers:
        packed = pack_padded_sequence(h_BTR, LENGTHS, batch_first=True, enforce_sorted=False)
        h_BTR = pad_packed_sequence(layer(packed)[0], batch_first=True)[0]
    inside = torch.arange(T) < LENGTHS[:, None]
    torch.testing.assert_close(read[inside], h_BTR[inside], rtol=0, atol=1e-12)


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


each_head = pytest.mark.parametrize("head", HEAD_CASES)
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
    assert forecast.y_BFP.flatten(1).std(dim=1).min() > 0


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
@pytest.mark.parametrize("name", CORES)
def test_a_forecaster_of_any_core_learns_with_all_it_has_and_padding_never_acts(head: str, name: str) -> None:
    facts = make_facts(RICH)
    panel, windows = windows_of(facts)
    model = make_forecaster(facts, head, core=drawn(name, 2))
    loss(model, windows).backward()
    assert [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []
    together = model(windows).y_BFP
    for row, (item, end) in enumerate([(0, 30), (0, 40), (1, 10), (1, 3), (2, 1)]):
        alone = model(panel.gather(torch.tensor([item]), torch.tensor([end]), 16, 5)).y_BFP
        torch.testing.assert_close(together[row : row + 1], alone, rtol=0, atol=1e-5)


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


@each_head
@each_encoding
def test_padding_and_company_never_change_a_forecast(head: str, encoding: str) -> None:
    facts = make_facts(ENCODINGS[encoding])
    panel, windows = windows_of(facts)
    model = make_forecaster(facts, head)
    together = model(windows).y_BFP
    for row, (item, end) in enumerate([(0, 30), (0, 40), (1, 10), (1, 3), (2, 1)]):
        alone = model(panel.gather(torch.tensor([item]), torch.tensor([end]), 16, 5)).y_BFP
        torch.testing.assert_close(together[row : row + 1], alone, rtol=0, atol=2e-6)
    outside = ~windows.inside_BL
    assert outside.any()
    noisy = replace(
        windows,
        numeric_BLC=torch.where(outside[..., None], 1e6, windows.numeric_BLC),
        codes_BLK=torch.where(outside[..., None], 1, windows.codes_BLK),
        calendar_BLA=torch.where(outside[..., None], 1e6, windows.calendar_BLA),
    )
    assert torch.equal(model(noisy).y_BFP, together)


@each_head
def test_a_short_history_is_forecast_as_by_a_model_of_a_short_context(head: str) -> None:
    facts = make_facts(RICH)
    panel, _ = windows_of(facts)
    long, short = make_forecaster(facts, head), make_forecaster(facts, head, context_length=8)
    items, ends = torch.tensor([0, 1]), torch.tensor([8, 7])
    ours, theirs = (model(panel.gather(items, ends, model.config.context_length, 5)) for model in (long, short))
    torch.testing.assert_close(ours.y_BFP, theirs.y_BFP, rtol=0, atol=2e-6)


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
def test_a_forecaster_overfits_one_batch(head: str) -> None:
    facts = make_facts(RICH)
    _, windows = windows_of(facts)
    model = make_forecaster(facts, head, core=StackedLSTMConfig(hidden_size=32, num_layers=1)).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    first = loss(model, windows).item()
    for _ in range(250):
        optimizer.zero_grad()
        value = loss(model, windows)
        value.backward()
        optimizer.step()
    assert value.item() < 0.05 * first
