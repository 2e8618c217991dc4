"""All models on the same sealed part: the leaderboard, the paired tests and the decision, whatever the problem kind.

Shapes: N errors, one for each window or item.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tasks.kinds.metric import Metric
from tasks.scoring.clusters import Clusters
from tasks.scoring.comparison import Comparison, compare

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Entry:
    """One contestant: its scores by metric, its error in each window or item, and the seconds that it took.

    ``measured`` is how many items or windows the scores are of, where they are not of all; the others' errors are NaN.
    ``latency_ms`` is what one of them alone takes, where that was measured.
    """

    name: str
    kind: Literal["lstm", "baseline", "champion"]
    scores: dict[str, float]
    errors_N: Floats
    seconds: float
    notes: list[str] = field(default_factory=list)
    measured: int | None = None
    latency_ms: float | None = None


@dataclass(frozen=True)
class Contest:
    """Contestants on the same sealed part; the first entry is the model that is being proved.

    ``metrics`` has the headline first, by which everything is decided. ``weights_N`` is each error's part in the mean.
    ``noun`` says what is counted, window or item, and ``error`` what ``errors_N`` are. ``clusters`` are the sorts of
    them that the paired tests may count instead, the most cautious first; none: all are independent.
    """

    metrics: list[Metric]
    entries: list[Entry]
    weights_N: Floats
    noun: str
    error: str
    clusters: Sequence[Clusters] = ()

    @property
    def headline(self) -> Metric:
        return self.metrics[0]

    def of_kind(self, kind: str) -> list[Entry]:
        return [entry for entry in self.entries if entry.kind == kind]

    def cost(self, entry: Entry) -> float:
        """Return the headline metric as what is to be small."""
        return self.headline.cost(entry.scores[self.headline.name])

    def shown(self, entry: Entry) -> str:
        return self.headline.shown(entry.scores[self.headline.name])


def summary(contest: Contest, champion_note: str | None = None, rematch: Contest | None = None) -> dict[str, Any]:
    """Return what ``evaluation.json`` says of every kind.

    Args:
        contest: of all contestants.
        champion_note: why a champion could not be compared.
        rematch: of the model and the champion alone, on what is new to the champion, by which the two are compared;
            none: all of ``contest`` is.
    """
    fair = rematch or contest
    mine, champions = contest.cost(contest.entries[0]), fair.of_kind("champion")
    best = min(contest.of_kind("baseline"), key=contest.cost, default=None)
    rivals = ({"best_baseline": (contest, best)} if best else {}) | (
        {"champion": (fair, champions[0])} if champions else {}
    )
    tests = {name: _paired(held, rival) for name, (held, rival) in rivals.items()}
    met = champion_note is None and (not champions or tests["champion"].outcome == "better")
    return {
        "metrics": [metric._asdict() for metric in contest.metrics],
        "noun": contest.noun,
        "error": contest.error,
        "leaderboard": _leaderboard(contest),
        "best_baseline": best.name if best else None,
        "beats_baselines": best is None or (math.isfinite(mine) and mine <= contest.cost(best)),
        "beats_champion": met,
        "champion_note": champion_note,
        "tests": {
            name: {**asdict(test), "outcome": test.outcome, "effect": test.effect} for name, test in tests.items()
        },
        "miscalibration": _miscalibration(fair),
        "verdict": _verdict(contest, rivals, tests, champion_note),
        "notes": [note for entry in contest.entries for note in entry.notes],
    }


def decision(facts: dict[str, Any]) -> dict[str, Any]:
    """Return the facts of an ``Evaluation``."""
    return {name: facts[name] for name in ("best_baseline", "beats_baselines", "beats_champion")}


def write_json(content: Any, path: Path) -> None:
    """Write strict JSON, with null for every NaN and infinity, which JSON does not know."""
    path.write_text(json.dumps(_jsonable(content), indent=2, allow_nan=False, ensure_ascii=False), encoding="utf-8")


def _jsonable(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _jsonable(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(inner) for inner in value]
    if isinstance(value, np.generic):
        return _jsonable(value.item())
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _leaderboard(contest: Contest) -> list[dict[str, Any]]:
    return [
        {"name": entry.name, "kind": entry.kind, **entry.scores, "seconds": round(entry.seconds, 2)}
        | ({} if entry.measured is None else {f"{contest.noun}s": entry.measured})
        | ({} if entry.latency_ms is None else {"latency_ms": round(entry.latency_ms, 3)})
        for entry in sorted(contest.entries, key=contest.cost)
    ]


def _miscalibration(contest: Contest) -> dict[str, float]:
    """Return how far model and champion lie from the aim of the metric that measures calibration, if there is one."""
    aimed = [(metric.name, metric.aim) for metric in contest.metrics if metric.aim is not None]
    gaps = {
        entry.kind: abs(entry.scores[name] - aim)
        for entry in contest.entries
        if entry.kind != "baseline"
        for name, aim in aimed
    }
    return {kind: gap for kind, gap in gaps.items() if math.isfinite(gap)}


def _paired(contest: Contest, other: Entry) -> Comparison:
    model, noun = contest.entries[0], contest.noun
    errors = model.errors_N, other.errors_N
    found = compare(model.name, other.name, *errors, contest.weights_N, noun=noun, clusters=contest.clusters)
    mine, theirs = contest.cost(model), contest.cost(other)
    return replace(found, confirmed=mine < theirs if found.difference < 0 else mine > theirs)


def _verdict(
    contest: Contest,
    rivals: dict[str, tuple[Contest, Entry]],
    tests: dict[str, Comparison],
    champion_note: str | None,
) -> list[str]:
    model = contest.entries[0]
    mine = contest.cost(model)
    better = sorted((entry for entry in contest.of_kind("baseline") if contest.cost(entry) < mine), key=contest.cost)
    sentences = [
        test.sentence(held.shown(held.entries[0]), held.shown(rival))
        for test, (held, rival) in zip(tests.values(), rivals.values(), strict=True)
    ]
    if better:
        listed = ", ".join(f"{entry.name} {contest.shown(entry)}" for entry in better)
        sentences.insert(0, f"A baseline wins: {listed} against {model.name} {contest.shown(model)}")
    if not tests:
        counted = len(model.errors_N)
        sentences.append(
            f"{model.name}: {contest.headline.title} {contest.shown(model)} on {counted} "
            f"{contest.noun}{'' if counted == 1 else 's'}; there is no baseline to compare it with"
        )
    if champion_note is not None:
        sentences.append(f"The champion was not comparable: {champion_note}")
    return sentences
