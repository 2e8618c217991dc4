"""Windows gathered by index against a slow reading of the same arrays, step by step."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from panels import RICH, make_facts, make_panel
from torch.profiler import ProfilerActivity, profile

from models.encoding import Affine, Encoding, Recoding
from models.panel import Panel, Windows, allocate

ARRAYS = [field.name for field in fields(Panel) if field.name != "encoding"]


@pytest.fixture
def panel() -> Panel:
    return make_panel(make_facts(RICH), [9, 1, 30])


def test_windows_are_what_a_slow_reading_gives_inside_and_outside_of_items(panel: Panel) -> None:
    context, horizon = 8, 5
    places = [(0, 1), (0, 9), (1, 1), (2, 3), (2, 8), (2, 26), (2, 28), (2, 30)]
    items, ends = (torch.tensor(column) for column in zip(*places, strict=True))
    windows = panel.gather(items, ends, context, horizon)
    assert same(windows.truth_BF, panel.truth(items, ends, horizon))
    for row, (item, end) in enumerate(places):
        start, length = int(panel.offsets[item]), int(panel.lengths[item])
        for step in range(context):
            assert_past_step(panel, windows, row, step, item, start, end - context + step)
        for step in range(horizon):
            assert_future_step(panel, windows, row, step, item, start, length, end + step)
        assert same(windows.static_numeric_BC[row], panel.static_numeric[item])
        assert torch.equal(windows.static_codes_BK[row], panel.static_codes[item])
        assert windows.error_scale_B[row] == panel.error_scale[item]


def assert_past_step(panel: Panel, windows: Windows, row: int, step: int, item: int, start: int, at: int) -> None:
    assert bool(windows.inside_BL[row, step]) is (at >= 0)
    if at < 0:
        assert windows.target_BL[row, step].isnan()
        assert windows.numeric_BLC[row, step].isnan().all()
        assert not windows.codes_BLK[row, step].any()
        assert not windows.calendar_BLA[row, step].any()
        return
    assert same(windows.target_BL[row, step], panel.target[start + at])
    assert same(windows.numeric_BLC[row, step], panel.numeric[start + at])
    assert torch.equal(windows.codes_BLK[row, step], panel.codes[start + at])
    assert torch.equal(windows.calendar_BLA[row, step], panel.calendar[panel.calendar_start[item] + at])


def assert_future_step(
    panel: Panel, windows: Windows, row: int, step: int, item: int, start: int, length: int, at: int
) -> None:
    assert torch.equal(windows.known_calendar_BFA[row, step], panel.calendar[panel.calendar_start[item] + at])
    if at >= length:
        assert windows.truth_BF[row, step].isnan()
        assert windows.known_numeric_BFC[row, step].isnan().all()
        assert not windows.known_codes_BFK[row, step].any()
        return
    assert same(windows.truth_BF[row, step], panel.target[start + at])
    assert same(windows.known_numeric_BFC[row, step], panel.numeric[start + at, 1:])
    assert torch.equal(windows.known_codes_BFK[row, step], panel.codes[start + at, 1:])


def same(left: torch.Tensor, right: torch.Tensor) -> bool:
    return torch.equal(left.nan_to_num(1e30), right.nan_to_num(1e30))


def test_a_past_covariate_of_the_horizon_is_never_gathered(panel: Panel) -> None:
    items, ends = torch.tensor([2]), torch.tensor([20])
    before = panel.gather(items, ends, 8, 5)
    start = int(panel.offsets[2]) + 20
    panel.numeric[start:, 0], panel.codes[start:, 0] = 1e9, 2
    panel.target[start:] = 1e9
    after = panel.gather(items, ends, 8, 5)
    for field in fields(Windows):
        if field.name != "truth_BF":
            assert same(getattr(before, field.name), getattr(after, field.name)), field.name


def test_the_values_of_another_item_never_reach_a_window(panel: Panel) -> None:
    items, ends = torch.tensor([0, 0, 1]), torch.tensor([2, 9, 1])
    before = panel.gather(items, ends, 12, 5)
    panel.target[10:], panel.numeric[10:], panel.codes[10:] = 1e9, 1e9, 2
    after = panel.gather(items, ends, 12, 5)
    for field in fields(Windows):
        assert same(getattr(before, field.name), getattr(after, field.name)), field.name


def test_history_is_the_target_before_the_end(panel: Panel) -> None:
    np.testing.assert_array_equal(panel.history(2, 4), panel.target[10:14].numpy())
    assert (panel.items, panel.lengths.tolist()) == (3, [9, 1, 30])


def written(panel: Panel, directory: Path) -> Path:
    arrays = allocate(directory, panel.encoding, len(panel.target), panel.items, panel.calendar.numpy())
    for name, array in arrays.items():
        array[:] = getattr(panel, name).numpy()
    for array in arrays.values():
        array.flush()  # type: ignore[attr-defined]
    return directory


def test_a_panel_on_disk_opens_memory_mapped_with_the_same_arrays(panel: Panel, tmp_path: Path) -> None:
    opened = Panel.open(written(panel, tmp_path / "panel"))
    assert opened.encoding == panel.encoding
    for name in ARRAYS:
        assert same(getattr(opened, name), getattr(panel, name)), name
        assert getattr(opened, name).dtype == getattr(panel, name).dtype, name
    mapped = [line for line in Path("/proc/self/maps").read_text().splitlines() if str(tmp_path) in line]
    assert {line.rpartition("/")[2] for line in mapped} >= {f"{name}.npy" for name in ARRAYS}


def test_writing_into_an_opened_panel_leaves_the_file_as_it_is(panel: Panel, tmp_path: Path) -> None:
    directory = written(panel, tmp_path / "panel")
    Panel.open(directory).target[:] = 0
    assert same(Panel.open(directory).target, panel.target)


def test_a_panel_without_covariates_has_empty_columns(tmp_path: Path) -> None:
    plain = make_panel(make_facts(), [9, 20])
    opened = Panel.open(written(plain, tmp_path / "panel"))
    windows = opened.gather(torch.tensor([1]), torch.tensor([12]), 8, 5)
    assert windows.numeric_BLC.shape == (1, 8, 0)
    assert windows.known_codes_BFK.shape == (1, 5, 0)
    assert windows.static_codes_BK.shape == (1, 0)


def other_encoding() -> Encoding:
    changes = {
        "affine": {c: Affine(mean=7.5, std=0.25) for c in RICH.affine},
        "vocabularies": {"sky": ["fog", "rain"], "holiday": ["new year"], "region": ["south", "west", "north"]},
    }
    return RICH.model_copy(update=changes)


def encoded_anew(panel: Panel, other: Encoding) -> Panel:
    """Decode every value of ``panel`` and encode it with ``other``."""

    def numeric(values: torch.Tensor, columns: list[str]) -> torch.Tensor:
        raw = [values[:, i].double().numpy() * RICH.affine[c].std + RICH.affine[c].mean for i, c in enumerate(columns)]
        return torch.from_numpy(np.stack([other.encode_numeric(c, raw[i]) for i, c in enumerate(columns)], axis=1))

    def codes(values: torch.Tensor, columns: list[str]) -> torch.Tensor:
        names = [[[None, *RICH.vocabularies[c]][code] for code in values[:, i]] for i, c in enumerate(columns)]
        return torch.from_numpy(np.stack([other.encode_categories(c, names[i]) for i, c in enumerate(columns)], axis=1))

    return replace(
        panel,
        encoding=other,
        numeric=numeric(panel.numeric, RICH.numeric),
        codes=codes(panel.codes, RICH.categorical),
        static_numeric=numeric(panel.static_numeric, RICH.static_numeric),
        static_codes=codes(panel.static_codes, RICH.static_categorical),
    )


def test_recoded_windows_are_what_the_other_encoding_makes_of_the_raw_values(panel: Panel) -> None:
    other = other_encoding()
    places = torch.tensor([0, 1, 2, 2]), torch.tensor([9, 1, 3, 28])
    expected = encoded_anew(panel, other).gather(*places, 8, 5)
    recoded = panel.gather(*places, 8, 5).recoded(Recoding(RICH, other))
    for field in fields(Windows):
        one, two = getattr(recoded, field.name), getattr(expected, field.name)
        torch.testing.assert_close(one, two, rtol=1e-5, atol=1e-5, equal_nan=True, msg=field.name)


def test_a_batch_takes_no_longer_for_more_items(panel: Panel) -> None:
    """What is asked of the offsets are the batch's, never all of them."""
    many = 1_000_000
    repeated = replace(
        panel,
        offsets=torch.arange(many + 1),
        static_numeric=panel.static_numeric[:1].expand(many, -1),
        static_codes=panel.static_codes[:1].expand(many, -1),
        calendar_start=torch.zeros(1, dtype=torch.int64).expand(many),
        error_scale=torch.ones(1, dtype=torch.float64).expand(many),
    )
    items, ends = torch.tensor([0, 1, 2]), torch.tensor([1, 1, 1])
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        repeated.gather(items, ends, 8, 5)
    assert max(event.self_cpu_memory_usage for event in profiled.events()) < 100_000
