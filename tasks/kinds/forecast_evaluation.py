"""Problem kind ``forecast``: the sealed windows, forecast by the model, the champion and the baselines.

This is the one module that opens ``sealed/``.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from models import bundle
from models.calendar import Frequency, wall_clock
from models.forecaster_facts import Facts
from models.panel import Panel
from tasks.kinds.forecast_calendar import lay_calendar
from tasks.kinds.forecast_dataset import ForecastDataset
from tasks.kinds.kind import median_seconds
from tasks.scoring import contest, forecast_contest
from tasks.scoring.baselines import BASELINES, Setting
from tasks.scoring.forecast_contest import ForecastContest, Forecaster
from tasks.scoring.metrics import per_window

EXAMPLES = 6
MOST_HISTORY = 400
UNITS = {
    "s": "second",
    "m": "minute",
    "h": "hour",
    "d": "day",
    "w": "week",
    "mo": "month",
    "q": "quarter",
    "y": "year",
}


class Predictor(Protocol):
    """What ``models.bundle.load`` returns."""

    kind: str
    facts: Facts

    def predict(self, panel: Panel, items: np.ndarray, ends: np.ndarray) -> np.ndarray: ...


def evaluate(
    dataset: Path,
    model: Path,
    rival: tuple[str, Predictor] | None,
    rival_note: str | None,
    baselines: list[str],
    workers: int,
    out: Path,
) -> dict[str, Any]:
    """Hold the contest on the sealed windows of ``dataset`` and write the files of ``forecast_contest`` into ``out``.

    Args:
        dataset: directory of a prepared data set.
        model: directory of a bundle.
        rival: the present champion and its name in the leaderboard.
        rival_note: why there is a champion that cannot be compared.
        baselines: names in ``BASELINES``.
        workers: processes that AutoETS may use.
        out: the directory to write into.

    Returns:
        The facts of an ``Evaluation``: best_baseline, beats_baselines, beats_champion.
    """
    opened, panel = ForecastDataset(dataset), Panel.open(dataset / "sealed")
    proved = bundle.load(model)
    items_W, ends_W = opened.test_windows()
    if rival is not None and (difference := _difference(rival[1], opened.facts)):
        rival, rival_note = None, difference
    entries = [_predicted("lstm", "lstm", proved, panel, items_W, ends_W)]
    series = pl.read_parquet(dataset / "series.parquet")
    if rival is not None:
        entries.append(_champion(*rival, panel, opened.facts, series, items_W, ends_W))
    entries += _baselines(opened, panel, items_W, ends_W, baselines, workers)
    held = ForecastContest(
        item_ids=_names(series),
        items_W=items_W,
        ends_W=ends_W,
        steps_W=_steps(series, opened.facts.frequency)[items_W] + ends_W,
        truth_WF=panel.truth(torch.from_numpy(items_W), torch.from_numpy(ends_W), opened.facts.horizon).numpy(),
        scale_W=panel.error_scale.numpy()[items_W],
        levels=opened.facts.quantiles,
        forecasters=entries,
    )
    facts = forecast_contest.summary(held, rival_note)
    facts |= {"season_length": opened.facts.season_length, "frequency": opened.facts.frequency}
    facts |= {"reach": [proved.reach(panel, items_W, ends_W)._asdict()]}
    facts = headed(facts, opened.facts.targets)
    forecast_contest.write(held, facts, _examples(held, opened, panel, series), out)
    return contest.decision(facts)


def headed(facts: dict[str, Any], targets: list[str]) -> dict[str, Any]:
    """Return ``facts`` of an evaluation with the title and the first sentence of the report."""
    ahead = _in_words(facts["horizon"], facts["frequency"])
    lead = (
        f"{ahead} ahead; proved on {facts['windows']:,} sealed windows of {facts['items']:,} series that the search "
        "never saw."
    )
    return {"title": f"Forecast of {', '.join(targets)}", "lead": lead, **facts}


def _in_words(count: int, frequency: str) -> str:
    """Return ``count`` steps of ``frequency`` in words: 24 months, 24 steps of 15 minutes."""
    name = frequency.lstrip("0123456789")
    unit, width = UNITS.get(name, "step"), int(frequency.removesuffix(name) or 1)
    plural = unit if count == 1 and width == 1 else f"{unit}s"
    return f"{count} {plural}" if width == 1 else f"{count} steps of {width} {plural}"


def _predicted(
    name: str, kind: Any, predictor: Predictor, panel: Panel, items_W: NDArray[np.int64], ends_W: NDArray[np.int64]
) -> Forecaster:
    started = time.perf_counter()
    quantiles_WFQ = predictor.predict(panel, items_W, ends_W)
    seconds = time.perf_counter() - started
    latency = median_seconds(lambda: predictor.predict(panel, items_W[:1], ends_W[:1]))
    return Forecaster(name, kind, quantiles_WFQ, seconds, latency_ms=1000 * latency)


def _steps(series: pl.DataFrame, frequency: str) -> NDArray[np.int64]:
    """Return how many steps after the first of all series each one begins [N]."""
    starts, between = series["start"].to_list(), Frequency.parse(frequency).steps_between
    first = min(starts)
    return np.array([between(first, start) for start in starts], np.int64)


def _champion(
    name: str,
    rival: Predictor,
    panel: Panel,
    facts: Facts,
    series: pl.DataFrame,
    items_W: NDArray[np.int64],
    ends_W: NDArray[np.int64],
) -> Forecaster:
    longer = _reaching(rival.facts.horizon, panel, facts, series)
    return _aligned(_predicted(name, "champion", rival, longer, items_W, ends_W), rival, facts)


def _reaching(horizon: int, panel: Panel, facts: Facts, series: pl.DataFrame) -> Panel:
    """Return ``panel`` with a calendar that reaches ``horizon`` steps past each series."""
    if horizon <= facts.horizon:
        return panel
    steps, frequency = series["steps"].to_numpy(), Frequency.parse(facts.frequency)
    calendar, starts = lay_calendar(series, steps, horizon, frequency, facts.time_zone)
    return replace(panel, calendar=torch.from_numpy(calendar), calendar_start=torch.from_numpy(starts))


def _aligned(entry: Forecaster, rival: Predictor, facts: Facts) -> Forecaster:
    """Cut a champion's forecast to the horizon and the levels of the data set."""
    places = [rival.facts.quantiles.index(level) for level in facts.quantiles]
    return replace(entry, quantiles_WFQ=entry.quantiles_WFQ[:, : facts.horizon, places])


def _difference(rival: Predictor, ours: Facts) -> str | None:
    """Say why ``rival`` cannot forecast windows of ``ours``; None if it can."""
    if rival.kind != "forecast":
        return f"it is of the kind {rival.kind}"
    theirs = rival.facts
    if theirs.targets != ours.targets:
        return f"it forecasts {', '.join(theirs.targets)} and the target is now {', '.join(ours.targets)}"
    if theirs.horizon < ours.horizon:
        return f"it forecasts {theirs.horizon} steps and the horizon is now {ours.horizon}"
    if theirs.frequency != ours.frequency:
        return f"its step is {theirs.frequency} and that of the data {ours.frequency}"
    if not set(ours.quantiles) <= set(theirs.quantiles):
        return f"it knows the quantiles {theirs.quantiles} and {ours.quantiles} are asked for"
    if theirs.encoding.roles() != ours.encoding.roles():
        return "it was trained on other covariates"
    return None


def _baselines(
    opened: ForecastDataset,
    panel: Panel,
    items_W: NDArray[np.int64],
    ends_W: NDArray[np.int64],
    names: list[str],
    workers: int,
) -> list[Forecaster]:
    starts_N, calendar = panel.calendar_start.numpy(), panel.calendar.numpy()
    setting = Setting(
        training=[panel.history(item, int(end)) for item, end in enumerate(opened.train_end)],
        items_W=items_W,
        horizon=opened.facts.horizon,
        season_length=opened.facts.season_length,
        levels=opened.facts.quantiles,
        workers=workers,
        training_calendar=[calendar[starts_N[i] : starts_N[i] + end] for i, end in enumerate(opened.train_end)],
        calendar_WA=calendar[starts_N[items_W] + ends_W],
    )
    histories = [panel.history(int(item), int(end)) for item, end in zip(items_W, ends_W, strict=True)]
    entries = []
    for name in names:
        started = time.perf_counter()
        forecasts = BASELINES[name](histories, setting)
        seconds = time.perf_counter() - started
        entries.append(Forecaster(name, "baseline", forecasts.quantiles_WFQ, seconds, forecasts.notes))
    return entries


def _names(series: pl.DataFrame) -> list[str]:
    if series["target"].n_unique() == 1:
        return series["item_id"].to_list()
    return series.select(pl.concat_str("item_id", "target", separator="|")).to_series().to_list()


def _examples(
    held: ForecastContest, opened: ForecastDataset, panel: Panel, series: pl.DataFrame
) -> list[dict[str, Any]]:
    """Return ``EXAMPLES`` windows spread evenly from the smallest to the largest error, the best first."""
    error_W = per_window(held.scaled_errors(held.forecasters[0]))
    ranked = np.argsort(error_W)[: np.isfinite(error_W).sum()]
    if not len(ranked):
        return []
    places = np.unique(np.linspace(0, len(ranked) - 1, EXAMPLES).round().astype(int))
    examples = []
    for place in places:
        window = int(ranked[place])
        last = len(ranked) - 1
        title = "best" if place == 0 else "worst" if place == last else f"rank {place + 1} of {last + 1}"
        drawn = _drawn(held, opened, panel, window, int(series["start"][int(held.items_W[window])]))
        examples.append({"rank": title, "mase": float(error_W[window]), **drawn})
    return examples


def _drawn(held: ForecastContest, opened: ForecastDataset, panel: Panel, window: int, start: int) -> dict[str, Any]:
    facts, item, end = opened.facts, int(held.items_W[window]), int(held.ends_W[window])
    shown = min(end, max(2 * facts.horizon, 2 * facts.season_length), MOST_HISTORY)
    model, *others = held.forecasters
    return {
        "item_id": held.item_ids[item],
        "end": end,
        "times": _stamps(facts, start, end + facts.horizon)[end - shown :],
        "history": panel.history(item, end)[end - shown :].tolist(),
        "actual": held.truth_WF[window].tolist(),
        "quantiles": {f"{level:g}": model.quantiles_WFQ[window, :, q].tolist() for q, level in enumerate(held.levels)},
        "others": {entry.name: held.median(entry)[window].tolist() for entry in others},
    }


def _stamps(facts: Facts, start: int, steps: int) -> list[Any]:
    frequency = Frequency.parse(facts.frequency)
    stamps = frequency.grid(start, steps)
    if not frequency.unit:
        return stamps.tolist()
    local = wall_clock(stamps, facts.time_zone if frequency.subdaily else None)
    return np.datetime_as_string(local.astype("datetime64[us]"), unit="s").tolist()
