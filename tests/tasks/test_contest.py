"""The contest decides by the headline metric, whichever way it points, with and without baselines."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tasks.kinds.metric import Metric, parse
from tasks.reporting.markdown import leaderboard
from tasks.scoring import contest
from tasks.scoring.contest import Contest, Entry

ACCURACY = Metric("accuracy", "accuracy", True, "percent")
LOSS = Metric("log_loss", "log loss", False, ".3f")
COVERAGE = Metric("coverage", "coverage", None, ".2f", brief=False)


def entry(name: str, kind: Any, wrong: int, loss: float = 0.5) -> Entry:
    """A contestant that is wrong on the last ``wrong`` of 100 items."""
    errors = np.zeros(100)
    errors[100 - wrong :] = 1
    return Entry(name, kind, {"accuracy": 1 - wrong / 100, "log_loss": loss, "coverage": 0.8}, errors, 0.25)


def held(*entries: Entry) -> dict[str, Any]:
    return contest.summary(Contest([ACCURACY, LOSS, COVERAGE], list(entries), np.ones(100), "item", "error rate"))


def test_where_more_is_better_the_most_leads_and_less_does_not_win() -> None:
    facts = held(entry("lstm", "lstm", 3), entry("linear", "baseline", 15), entry("majority", "baseline", 60))
    assert [row["name"] for row in facts["leaderboard"]] == ["lstm", "linear", "majority"]
    assert (facts["best_baseline"], facts["beats_baselines"], facts["beats_champion"]) == ("linear", True, True)
    assert facts["verdict"] == [
        "lstm 97.0 % beats linear 85.0 % on 100 items (alone right on 12, alone wrong on 0, p = 0.00049)"
    ]


def test_a_baseline_with_more_of_the_headline_wins() -> None:
    facts = held(entry("lstm", "lstm", 15), entry("linear", "baseline", 3))
    assert facts["beats_baselines"] is False
    assert facts["verdict"][0] == "A baseline wins: linear 97.0 % against lstm 85.0 %"


def test_a_problem_without_baselines_is_decided_by_the_champion_alone() -> None:
    first = held(entry("lstm", "lstm", 3))
    assert (first["best_baseline"], first["beats_baselines"], first["beats_champion"]) == (None, True, True)
    assert first["tests"] == {}
    assert first["verdict"] == ["lstm: accuracy 97.0 % on 100 items; there is no baseline to compare it with"]
    second = held(entry("lstm", "lstm", 3), entry("champion v1", "champion", 3))
    assert second["beats_champion"] is False
    assert second["verdict"][0].startswith("No evidence of a difference between lstm 97.0 % and champion v1 97.0 %")


def test_a_better_mean_error_with_a_worse_headline_is_undecided() -> None:
    better_errors = entry("lstm", "lstm", 3)
    worse_headline = Entry("lstm", "lstm", better_errors.scores | {"accuracy": 0.5}, better_errors.errors_N, 0.25)
    facts = held(worse_headline, entry("linear", "baseline", 15))
    assert facts["tests"]["best_baseline"]["outcome"] == "undecided"
    assert facts["beats_baselines"] is False


def test_a_champion_is_met_on_what_is_new_to_it_and_baselines_on_everything() -> None:
    model, champion, linear = (
        entry("lstm", "lstm", 30), replace(entry("champion v1", "champion", 10), measured=60, notes=["why"]),
        entry("linear", "baseline", 40),
    )  # fmt: skip
    fresh = [replace(one, errors_N=one.errors_N[:60], scores={**one.scores, "accuracy": accuracy})
             for one, accuracy in ((model, 0.9), (champion, 0.8))]  # fmt: skip
    fresh[1].errors_N[:6] = 1
    metrics = [ACCURACY, LOSS, COVERAGE]
    everything = Contest(metrics, [model, champion, linear], np.ones(100), "item", "error rate")
    assert contest.summary(everything)["beats_champion"] is False
    rematch = Contest(metrics, fresh, np.ones(60), "item", "error rate")
    facts = contest.summary(everything, rematch=rematch)
    assert (facts["beats_champion"], facts["beats_baselines"]) == (True, True)
    assert [facts["tests"][name]["count"] for name in ("best_baseline", "champion")] == [100, 60]
    assert facts["verdict"][1].startswith("lstm 90.0 % beats champion v1 80.0 % on 60 items")
    assert {row["name"]: row.get("items") for row in facts["leaderboard"]} == {
        "lstm": None, "linear": None, "champion v1": 60,
    }  # fmt: skip
    assert facts["notes"] == ["why"]


def test_a_model_without_a_score_beats_nobody() -> None:
    broken = entry("lstm", "lstm", 3)
    broken.scores["accuracy"] = float("nan")
    facts = held(broken, entry("linear", "baseline", 15), entry("champion v1", "champion", 15))
    assert [row["name"] for row in facts["leaderboard"]][-1] == "lstm"
    assert (facts["beats_baselines"], facts["beats_champion"]) == (False, False)


def test_metrics_survive_json_and_tables_show_the_brief_ones(tmp_path: Path) -> None:
    contest.write_json(
        held(entry("lstm", "lstm", 3), entry("linear", "baseline", 15, float("nan"))), tmp_path / "e.json"
    )
    facts = json.loads((tmp_path / "e.json").read_text())
    assert parse(facts["metrics"]) == [ACCURACY, LOSS, COVERAGE]
    assert leaderboard(facts).splitlines() == [
        "| model | accuracy | log loss |", "|---|---:|---:|", "| lstm | 97.0 % | 0.500 |", "| linear | 85.0 % | – |",
    ]  # fmt: skip


def test_json_has_null_for_what_it_does_not_know_and_plain_numbers_for_numpys(tmp_path: Path) -> None:
    contest.write_json({"a": [np.float64("nan"), np.int64(3)], "b": (float("inf"), "ü")}, tmp_path / "a.json")
    assert json.loads((tmp_path / "a.json").read_text()) == {"a": [None, 3], "b": [None, "ü"]}


@pytest.mark.parametrize(
    ("metric", "value", "cost", "shown"),
    [
        (ACCURACY, 0.97, -0.97, "97.0 %"), (LOSS, 0.5, 0.5, "0.500"), (LOSS, None, float("inf"), "–"),
        (ACCURACY, float("nan"), float("inf"), "–"),
    ],
)  # fmt: skip
def test_a_metric_knows_what_is_better_and_how_it_is_written(
    metric: Metric, value: float | None, cost: float, shown: str
) -> None:
    assert (metric.cost(value), metric.shown(value)) == (cost, shown)
