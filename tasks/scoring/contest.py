"""All forecasters on the same sealed windows: what ``evaluate`` writes and ``report`` reads.

    evaluation.json     leaderboard, tests, verdict, errors by step, calibration
    examples.json       a few windows from best to worst, with their history, to be drawn
    forecasts.parquet   item_id, end, step, actual, a column of the model for each quantile, the medians of the others
    windows.parquet     item_id, end, and each forecaster's error in units of MASE
    items.parquet       item_id, and likewise

Shapes: W windows, F steps of the horizon, Q quantile levels.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tasks.scoring import metrics
from tasks.scoring.comparison import Comparison, compare

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Entry:
    """One forecaster's quantiles for all windows and the seconds that they took."""

    name: str
    kind: Literal["lstm", "baseline", "champion"]
    quantiles_WFQ: Floats
    seconds: float
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Contest:
    """Forecasters and truth on the same windows; the first entry is the model that is being proved.

    ``items_W`` are places in ``item_ids``; ``scale_W`` is the seasonal naive error of each window's training part.
    """

    item_ids: list[str]
    items_W: NDArray[np.int64]
    ends_W: NDArray[np.int64]
    truth_WF: Floats
    scale_W: Floats
    levels: list[float]
    entries: list[Entry]

    def median(self, entry: Entry) -> Floats:
        return entry.quantiles_WFQ[:, :, self.levels.index(0.5)]

    def scaled_errors(self, entry: Entry) -> Floats:
        return metrics.scaled_errors(self.truth_WF, self.median(entry), self.scale_W)

    def of_kind(self, kind: str) -> list[Entry]:
        return [entry for entry in self.entries if entry.kind == kind]

    def mase(self, entry: Entry) -> float:
        return metrics.mase(self.truth_WF, self.median(entry), self.scale_W, self.items_W)


def summary(contest: Contest, champion_note: str | None = None) -> dict[str, Any]:
    """Return the content of ``evaluation.json``; ``champion_note`` says why a champion could not be compared."""
    model, champions = contest.entries[0], contest.of_kind("champion")
    best_baseline = min(contest.of_kind("baseline"), key=contest.mase)
    tests = {"best_baseline": _paired(contest, model, best_baseline)}
    if champions:
        tests["champion"] = _paired(contest, model, champions[0])
    errors = {entry.name: contest.scaled_errors(entry) for entry in contest.entries}
    return {
        "kind": "forecast",
        "windows": int(np.isfinite(contest.truth_WF).any(axis=1).sum()),
        "items": len(np.unique(contest.items_W)),
        "horizon": contest.truth_WF.shape[1],
        "quantiles": contest.levels,
        "leaderboard": _leaderboard(contest),
        "best_baseline": best_baseline.name,
        "beats_baselines": contest.mase(model) <= contest.mase(best_baseline),
        "beats_champion": champion_note is None and all(contest.mase(model) < contest.mase(c) for c in champions),
        "tests": {name: {**asdict(test), "outcome": test.outcome} for name, test in tests.items()},
        "verdict": _verdict(contest, tests, champion_note),
        "notes": [note for entry in contest.entries for note in entry.notes],
        "by_horizon": {name: metrics.by_step(error_WF).tolist() for name, error_WF in errors.items()},
        "calibration": {e.name: metrics.coverage(contest.truth_WF, e.quantiles_WFQ) for e in contest.entries},
    }


def write(contest: Contest, facts: dict[str, Any], examples: list[dict[str, Any]], out: Path) -> None:
    """Write the files that the module's docstring lists into ``out``."""
    import polars as pl

    (out / "evaluation.json").write_text(json.dumps(jsonable(facts), indent=2, allow_nan=False))
    (out / "examples.json").write_text(json.dumps(jsonable(examples), allow_nan=False))
    _forecasts(contest).write_parquet(out / "forecasts.parquet")
    errors = {entry.name: contest.scaled_errors(entry) for entry in contest.entries}
    windows = {name: metrics.per_window(error_WF) for name, error_WF in errors.items()}
    ids_W = [contest.item_ids[item] for item in contest.items_W]
    pl.DataFrame({"item_id": ids_W, "end": contest.ends_W, **windows}).write_parquet(out / "windows.parquet")
    items_N = np.unique(contest.items_W)
    items = {name: metrics.per_item(error_WF, contest.items_W)[1] for name, error_WF in errors.items()}
    pl.DataFrame({"item_id": [contest.item_ids[i] for i in items_N], **items}).write_parquet(out / "items.parquet")


def jsonable(value: Any) -> Any:
    """Return ``value`` with None for every NaN and infinity, which JSON does not know."""
    if isinstance(value, dict):
        return {key: jsonable(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [jsonable(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _leaderboard(contest: Contest) -> list[dict[str, Any]]:
    rows = []
    for entry in contest.entries:
        scores = metrics.score(contest.truth_WF, entry.quantiles_WFQ, contest.levels, contest.scale_W, contest.items_W)
        rows.append({"name": entry.name, "kind": entry.kind, **asdict(scores), "seconds": round(entry.seconds, 2)})
    return sorted(rows, key=lambda row: row["mase"])


def _paired(contest: Contest, model: Entry, other: Entry) -> Comparison:
    weights_W = metrics.window_weights(contest.truth_WF, contest.items_W)
    mine, theirs = (metrics.per_window(contest.scaled_errors(entry)) for entry in (model, other))
    return compare(model.name, other.name, mine, theirs, weights_W)


def _verdict(contest: Contest, tests: dict[str, Comparison], champion_note: str | None) -> list[str]:
    model = contest.entries[0]
    mine = contest.mase(model)
    better = sorted((entry for entry in contest.of_kind("baseline") if contest.mase(entry) < mine), key=contest.mase)
    sentences = [test.sentence() for test in tests.values()]
    if better:
        listed = ", ".join(f"{entry.name} {contest.mase(entry):.3f}" for entry in better)
        sentences.insert(0, f"A baseline wins: {listed} against {model.name} {mine:.3f}")
    if champion_note is not None:
        sentences.append(f"The champion was not comparable: {champion_note}")
    return sentences


def _forecasts(contest: Contest) -> Any:
    import polars as pl

    windows, horizon = contest.truth_WF.shape
    model, *others = contest.entries
    quantiles = {
        f"{model.name}_{level:g}": model.quantiles_WFQ[:, :, place].ravel()
        for place, level in enumerate(contest.levels)
    }
    ids = pl.Series([contest.item_ids[item] for item in contest.items_W], dtype=pl.String)
    return pl.DataFrame(
        {
            "item_id": ids.gather(np.repeat(np.arange(windows), horizon)),
            "end": np.repeat(contest.ends_W, horizon),
            "step": np.tile(np.arange(1, horizon + 1), windows),
            "actual": pl.Series(contest.truth_WF.ravel()).fill_nan(None),
            **quantiles,
            **{entry.name: contest.median(entry).ravel() for entry in others},
        }
    )
