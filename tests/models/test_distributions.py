"""What a forecast says of each step: losses and quantiles beside scipy's, and learning of what data are like."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from forecasters import ENCODINGS, loss, make_forecaster, windows_of
from panels import RICH, make_facts, make_panel
from scipy import stats
from torch.nn.functional import softplus

from models.distributions import DISTRIBUTIONS, Forecast, NegativeBinomial, StudentT
from models.forecaster_space import ForecasterSpace

LEVELS = [0.05, 0.1, 0.5, 0.9, 0.99]
B, F = 4, 6

each = pytest.mark.parametrize("name", DISTRIBUTIONS)


def made(name: str, seed: int = 0, location: float = 40.0, scale: float = 20.0) -> Forecast:
    kind, generator = DISTRIBUTIONS[name], torch.Generator().manual_seed(seed)
    y_BFP = torch.randn(B, F, len(kind.leads(LEVELS)), generator=generator)
    location_B, scale_B = (torch.full((B,), value, dtype=torch.float64) for value in (location, scale))
    return kind(y_BFP, location_B, scale_B, torch.tensor(LEVELS, dtype=torch.float64))


def by_hand(forecast: Forecast) -> Any:
    """Return scipy's distribution of each step, in the target's units."""
    y = forecast.y_BFP
    location, scale = forecast.location_B[:, None].numpy(), forecast.scale_B[:, None].numpy()
    if isinstance(forecast, StudentT):
        freedom, spread = softplus(y[..., 2]).double() + 2, softplus(y[..., 1]).double() + 1e-4
        return stats.t(freedom.numpy(), y[..., 0].numpy() * scale + location, spread.numpy() * scale)
    assert isinstance(forecast, NegativeBinomial)
    mean = (np.log1p(np.exp(4 * (y[..., 0].numpy() + location / scale))) / 4 + 1e-4) * scale
    dispersion = softplus(y[..., 1]).double().numpy() + 1e-4
    return stats.nbinom(1 / dispersion, 1 / (1 + mean * dispersion))


def test_the_likelihood_of_a_student_t_is_scipys() -> None:
    forecast, truth = made("student_t"), 40 + 30 * torch.randn(B, F, dtype=torch.float64)
    expected = -by_hand(forecast).logpdf(truth.numpy()) - np.log(20)  # of scaled values
    np.testing.assert_allclose(forecast.loss_BF(truth).numpy(), expected, rtol=1e-4)


def test_the_likelihood_of_a_negative_binomial_is_scipys() -> None:
    forecast, truth = made("negative_binomial"), torch.arange(B * F, dtype=torch.float64).view(B, F) * 3
    np.testing.assert_allclose(forecast.loss_BF(truth).numpy(), -by_hand(forecast).logpmf(truth.numpy()), rtol=1e-4)


@each
def test_a_training_that_diverges_gives_a_loss_that_is_no_number(name: str) -> None:
    forecast = made(name)
    lost = replace(forecast, y_BFP=torch.full_like(forecast.y_BFP, torch.nan))
    assert lost.loss_BF(torch.ones(B, F, dtype=torch.float64)).isnan().all()


@pytest.mark.parametrize("name", [name for name in DISTRIBUTIONS if name != "quantiles"])
def test_quantiles_are_scipys_and_those_of_counts_are_counts(name: str) -> None:
    forecast = made(name)
    values = forecast.unscaled()
    assert values.dtype == torch.float64
    expected = np.stack([by_hand(forecast).ppf(level) for level in LEVELS], axis=2)
    np.testing.assert_allclose(values.numpy(), expected, rtol=1e-5, atol=1e-9)
    if name == "negative_binomial":
        assert not (values % 1).any()
        assert (values >= 0).all()


@each
@pytest.mark.parametrize(("location", "scale"), [(0.0, 1e-9), (1e9, 1.0), (0.0, 1e9), (0.0, 1.0)])
def test_losses_quantiles_and_gradients_are_finite_in_any_unit(name: str, location: float, scale: float) -> None:
    forecast = made(name, location=location, scale=scale)
    y = forecast.y_BFP.mul(20).requires_grad_()
    forecast = replace(forecast, y_BFP=y)
    losses = forecast.loss_BF(torch.full((B, F), location + 3 * scale, dtype=torch.float64).round())
    losses.sum().backward()
    assert y.grad is not None
    assert losses.isfinite().all()
    assert y.grad.isfinite().all()
    assert replace(forecast, y_BFP=y.detach()).unscaled().isfinite().all()


@each
@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("head", ["direct", "decoder"])
def test_a_forecaster_of_any_distribution_learns_with_all_it_has_and_forecasts(
    head: str, encoding: str, name: str
) -> None:
    facts = make_facts(ENCODINGS[encoding], counts=True)
    panel = make_panel(facts, [40, 30, 25])
    panel.target.round_()
    windows = panel.gather(torch.arange(3).repeat(8), torch.arange(16, 40).clamp(max=25), 16, 5)
    model = make_forecaster(facts, head, distribution=name)
    loss(model, windows).backward()
    assert [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []
    values = model(windows).unscaled()
    assert values.isfinite().all()
    assert (values.diff(dim=2) >= 0).all()


@pytest.mark.parametrize(
    ("name", "drawn", "counts"),
    [
        ("student_t", lambda rng, n: 5 + 2 * rng.standard_t(3, n), False),
        ("negative_binomial", lambda rng, n: rng.negative_binomial(2, 0.25, n), True),
    ],
)
def test_a_distribution_learns_what_was_drawn_from_it(name: str, drawn: Any, counts: bool) -> None:
    truth = torch.from_numpy(np.asarray(drawn(np.random.default_rng(0), 4000), dtype=np.float64)).view(-1, 1)
    y = torch.zeros(1, 1, len(DISTRIBUTIONS[name].leads(LEVELS)), requires_grad=True)
    one, optimizer = torch.ones(1, dtype=torch.float64), torch.optim.Adam([y], lr=0.05)
    levels = torch.tensor(LEVELS, dtype=torch.float64)
    for _ in range(400):
        forecast = DISTRIBUTIONS[name](y.expand(len(truth), -1, -1), 5 * one, 4 * one, levels)
        optimizer.zero_grad()
        forecast.loss_BF(truth).mean().backward()
        optimizer.step()
    found = DISTRIBUTIONS[name](y.detach(), 5 * one, 4 * one, levels).unscaled()[0, 0]
    np.testing.assert_allclose(found.numpy(), np.quantile(truth, LEVELS), atol=1 if counts else 0.3, rtol=0.1)


def test_only_counts_are_offered_as_negative_binomial() -> None:
    assert ForecasterSpace(make_facts(RICH)).distributions == ["quantiles"]
    assert "negative_binomial" in ForecasterSpace(make_facts(RICH, counts=True)).distributions


@each
def test_what_was_not_observed_never_counts(name: str) -> None:
    _, windows = windows_of(make_facts(RICH))
    model = make_forecaster(make_facts(RICH), "direct", distribution=name)
    empty = replace(windows, truth_BF=torch.full_like(windows.truth_BF, torch.nan))
    nothing = loss(model, empty)
    nothing.backward()
    assert nothing.item() == 0
    assert not any(p.grad.any() for p in model.parameters() if p.grad is not None)
