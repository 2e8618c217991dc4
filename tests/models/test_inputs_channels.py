"""Numeric channels: what is fitted in one pass, what a gap becomes, what training disturbs."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from models.inputs.channels import NumericInputConfig, fit_numeric
from models.ragged import Ragged

NAN = float("nan")


def test_moments_of_one_pass_are_those_of_all_steps_together() -> None:
    generator = np.random.default_rng(0)
    items = [generator.normal([1e9, -3.0], [1e-1, 5.0], (steps, 2)) for steps in (1, 7, 300)]
    items[1][2:5, 1] = NAN
    facts = fit_numeric(["a", "b"], iter(items))
    steps = np.concatenate(items)
    np.testing.assert_allclose(facts.means, np.nanmean(steps, axis=0), rtol=1e-12)
    np.testing.assert_allclose(facts.stds, np.nanstd(steps, axis=0), rtol=1e-5)
    assert facts.gaps == [False, True]


def test_constant_and_empty_channels_become_zeros() -> None:
    items = [np.array([[5.0, NAN, 0.0]] * 4)]
    facts = fit_numeric(["constant", "missing", "zero"], items)
    x_BTC, _ = (
        NumericInputConfig().build(facts).eval()(*Ragged.of([facts.encode("channels", items[0])]).gather(np.array([0])))
    )
    assert not x_BTC[..., :3].any()
    assert (x_BTC[..., 3] == 1).all()


def test_a_gap_is_the_mean_and_a_flag_only_where_training_had_gaps() -> None:
    facts = fit_numeric(["a", "b"], [np.array([[1.0, 2.0], [3.0, NAN], [5.0, 4.0]])])
    encoded = facts.encode("channels", np.array([[NAN, NAN], [3.0, 4.0]]))
    x_BTC, _ = NumericInputConfig().build(facts).eval()(torch.from_numpy(encoded)[None], torch.tensor([2]))
    torch.testing.assert_close(x_BTC[0], torch.tensor([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0]]))


def test_differences_stand_beside_the_values() -> None:
    facts = fit_numeric(["a"], [np.array([[-1.0], [1.0]])])
    values = torch.tensor([[[1.0], [4.0], [2.0]]])
    x_BTC, _ = NumericInputConfig(deltas=True).build(facts).eval()(values, torch.tensor([3]))
    assert x_BTC[0].tolist() == [[1.0, 0.0], [4.0, 3.0], [2.0, -2.0]]


def test_an_item_of_another_number_of_channels_is_refused_with_the_columns_wanted() -> None:
    facts = fit_numeric(["speed", "height"], [np.zeros((2, 2))])
    with pytest.raises(ValueError, match=r"2 channels \(got shape \(3, 1\)\).*speed, height"):
        facts.encode("channels", np.zeros((3, 1)))


def test_an_item_without_steps_is_one_step_of_gaps() -> None:
    facts = fit_numeric(["a", "b"], [np.zeros((2, 2))])
    assert np.isnan(facts.encode("channels", np.empty((0, 2)))).tolist() == [[True, True]]


@pytest.mark.parametrize(
    ("field", "axis"), [("step_dropout", 2), ("channel_dropout", 1)], ids=["whole steps", "whole channels"]
)
def test_what_is_blanked_is_blanked_as_a_whole(field: str, axis: int) -> None:
    torch.manual_seed(0)
    facts = fit_numeric(list("abcdef"), [np.random.default_rng(0).normal(size=(9, 6))])
    module = NumericInputConfig.model_validate({field: 0.3}).build(facts).train()
    x_BTC, _ = module(torch.ones(200, 20, 6), torch.full((200,), 20))
    blank = x_BTC == 0
    assert (blank.all(dim=axis) == blank.any(dim=axis)).all()
    assert blank.float().mean() == pytest.approx(0.3, abs=0.03)


def test_an_offset_moves_a_channel_of_an_item_as_a_whole_and_only_in_training() -> None:
    torch.manual_seed(0)
    facts = fit_numeric(["a", "b"], [np.zeros((2, 2))])
    module = NumericInputConfig(offset=0.4, deltas=True).build(facts)
    values, lengths_B = torch.randn(300, 5, 2), torch.full((300,), 5)
    shift_BTC = module.train()(values, lengths_B)[0] - module.eval()(values, lengths_B)[0]
    torch.testing.assert_close(shift_BTC[..., :2], shift_BTC[:, :1, :2].expand(-1, 5, -1))
    assert shift_BTC[:, 0, :2].std(dim=0).tolist() == pytest.approx([0.4, 0.4], abs=0.04)
    torch.testing.assert_close(shift_BTC[..., 2:], torch.zeros(300, 5, 2))


def test_a_missing_value_is_the_mean_however_much_training_disturbs() -> None:
    facts = fit_numeric(["a", "b"], [np.array([[1.0, 2.0], [3.0, NAN]])])
    module = NumericInputConfig(noise=1.0, offset=1.0).build(facts).train()
    x_BTC, _ = module(torch.full((4, 3, 2), NAN), torch.full((4,), 3))
    assert not x_BTC[..., :2].any()
    assert (x_BTC[..., 2] == 1).all()


def test_an_infinite_value_is_a_missing_one() -> None:
    facts = fit_numeric(["a", "b"], [np.array([[1.0, 2.0], [3.0, 4.0]])])
    assert np.isnan(facts.encode("channels", np.array([[np.inf, 2.0], [-np.inf, np.nan]]))).tolist() == [
        [True, False],
        [True, True],
    ]
