"""The gate: what is not shown to be better is not promoted, and what is better is, as far as the windows can tell.

The simulations go from forecasts to the decision by the code that a run takes. They draw from the errors of real
champions and their successors on the sealed windows of two examples, as ``benchmarks/gate.py`` measured them: whole
days or series with replacement, the two models swapped by a coin in each, so that neither is better on average.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tasks.gate import GateConfig, decide
from tasks.kinds.metric import Metric
from tasks.scoring import contest, forecast_contest
from tasks.scoring.contest import Contest, Entry
from tasks.scoring.forecast_contest import ForecastContest, Forecaster

MEASURED = json.loads((Path(__file__).parents[2] / "benchmarks" / "results" / "gate.json").read_text())
PAIRS = [(name, row) for name in ("weather", "tourism") for row in range(len(MEASURED[name]["rows"]))]
HORIZON, CHALLENGERS = 2, 200


def judged(challenger: np.ndarray, champion: np.ndarray) -> bool:
    """Say whether a challenger with these errors passes; both [series, dates]."""
    series, dates = champion.shape
    items, ends = np.repeat(np.arange(series), dates), np.tile(np.arange(dates) * HORIZON, series)
    truth, spread = np.full((series * dates, HORIZON), 100.0), np.array([-50.0, 0.0, 50.0])
    entries = [
        Forecaster(kind, kind, truth[:, :, None] + errors.ravel()[:, None, None] + spread, 1.0)  # type: ignore[arg-type]
        for kind, errors in (("lstm", challenger), ("champion", champion), ("baseline", 3 * champion))
    ]
    ids = [f"series {item}" for item in range(series)]
    held = ForecastContest(ids, items, ends, ends, truth, np.ones(len(items)), [0.1, 0.5, 0.9], entries)
    return decide(forecast_contest.summary(held), 1.0, GateConfig())["passed"]


def passes(name: str, row: int, gain: float) -> int:
    """Count, of ``CHALLENGERS`` with ``gain`` less error than their champions, those that pass."""
    pair = MEASURED[name]["rows"][row]
    ours, theirs = np.array(pair["challenger"]), np.array(pair["champion"])
    theirs *= ours.mean() / theirs.mean()
    by_date = ours.shape[1] > 1
    if not by_date:
        ours, theirs = ours.T, theirs.T
    rng, passed, units = np.random.default_rng(row), 0, ours.shape[1]
    for _ in range(CHALLENGERS):
        drawn, swapped = rng.integers(0, units, units), rng.random(units) < 0.5
        challenger = (1 - gain) * np.where(swapped, theirs[:, drawn], ours[:, drawn])
        champion = np.where(swapped, ours[:, drawn], theirs[:, drawn])
        passed += judged(challenger, champion) if by_date else judged(challenger.T, champion.T)
    return passed


@pytest.mark.parametrize(("name", "row"), PAIRS)
def test_of_200_challengers_that_are_no_better_at_most_5_percent_pass(name: str, row: int) -> None:
    assert passes(name, row, 0.0) <= 0.05 * CHALLENGERS


@pytest.mark.parametrize(("name", "row"), PAIRS)
def test_of_200_challengers_with_10_percent_less_error_at_least_80_percent_pass(name: str, row: int) -> None:
    assert passes(name, row, 0.1) >= 0.8 * CHALLENGERS


def test_a_challenger_that_is_worse_does_not_pass() -> None:
    assert [passes(name, 0, -0.05) for name in ("weather", "tourism")] == [0, 0]


@pytest.mark.parametrize(("series", "dates"), [(3, 28), (12, 12), (7, 6)])
def test_luck_of_a_few_days_that_all_series_share_promotes_nobody(series: int, dates: int) -> None:
    rng, passed = np.random.default_rng(0), 0
    for _ in range(CHALLENGERS):
        shared, own = rng.normal(0, 0.3, (2, 1, dates)), rng.normal(0, 0.1, (2, series, dates))
        challenger, champion = np.exp(shared + own)
        passed += judged(challenger, champion)
    assert passed <= 0.05 * CHALLENGERS


ACCURACY = Metric("accuracy", "Accuracy", True, "percent")


def labelled(rng: np.random.Generator, items: int, error: float, gain: float, disputed: float) -> bool:
    """Say whether a classifier passes; ``disputed`` is the share of the champion's errors that it has not got."""
    champion = rng.random(items) < error
    mended = rng.random(items) < disputed
    spoilt = rng.random(items) < error * (disputed - gain) / (1 - error)
    mine = np.where(champion, ~mended, spoilt)
    entries = [Entry(name, name, {"accuracy": 1 - wrong.mean()}, wrong.astype(float), 1.0)  # type: ignore[arg-type]
               for name, wrong in (("lstm", mine), ("champion", champion))]  # fmt: skip
    facts = contest.summary(Contest([ACCURACY], entries, np.ones(items), "item", "error rate"))
    return decide(facts, 1.0, GateConfig())["passed"]


@pytest.mark.parametrize(("items", "error"), [(2596, 0.1), (370, 0.02)], ids=["languages", "japanese vowels"])
def test_of_200_classifiers_that_are_no_better_at_most_5_percent_pass(items: int, error: float) -> None:
    rng = np.random.default_rng(3)
    assert sum(labelled(rng, items, error, 0.0, 0.3) for _ in range(CHALLENGERS)) <= 0.05 * CHALLENGERS


def test_10_percent_fewer_wrong_labels_are_seen_where_hundreds_are_wrong_and_the_two_agree_on_most() -> None:
    rng = np.random.default_rng(4)
    assert sum(labelled(rng, 2596, 0.1, 0.1, 0.2) for _ in range(CHALLENGERS)) >= 0.8 * CHALLENGERS


def test_no_improvement_can_be_shown_where_the_champion_has_five_errors() -> None:
    rng = np.random.default_rng(5)
    assert not any(labelled(rng, 370, 0.005, 0.1, 0.2) for _ in range(CHALLENGERS))


def evaluated(**changes: Any) -> dict[str, Any]:
    """Facts of an evaluation in which the model is better than linear and than the champion, on 40 series."""
    rng = np.random.default_rng(0)
    truth = rng.normal(100, 10, (40, 4))
    spread = np.array([-3.0, 0.0, 3.0])
    entries = [
        Forecaster(name, kind, truth[:, :, None] + error + rng.normal(0, 0.1, (40, 4, 1)) + spread, 1.0, [], latency)
        for name, kind, error, latency in (
            ("lstm", "lstm", 1.0, 12.5), ("champion v3", "champion", 1.25, 9.0), ("linear", "baseline", 2.0, None),
        )
    ]  # fmt: skip
    here = np.full(40, 8)
    held = ForecastContest(
        list(map(str, range(40))), np.arange(40), here, here, truth, np.full(40, 2.0), [0.1, 0.5, 0.9], entries
    )  # type: ignore[arg-type]
    return json.loads(json.dumps(forecast_contest.summary(held))) | changes


def test_a_better_challenger_passes_and_the_reason_has_the_evidence() -> None:
    decision = decide(evaluated(), 1.0, GateConfig())
    assert (decision["passed"], decision["promotes"]) == (True, True)
    assert decision["reason"].startswith("no baseline is better, and it is better than champion v3: MASE 0.49")
    assert " against 0.62" in decision["reason"]
    assert " % less (95 %: -2" in decision["reason"]
    assert decision["reason"].endswith(" on 40 windows")
    assert [check["name"] for check in decision["checks"]] == ["baselines", "champion", "calibration"]
    assert decision["against"]["effect"] == pytest.approx(-0.2, abs=0.03)


def test_a_challenger_with_more_error_is_told_so() -> None:
    facts = evaluated()
    worse = facts["tests"]["champion"] | {"difference": 0.1, "low": -0.01, "high": 0.2, "other_error": 1.0}
    decision = decide(facts | {"tests": {"champion": worse}, "beats_champion": False}, 1.0, GateConfig())
    assert ", 10.0 % more (95 %: -1.0 to +20.0 %), p" in decision["reason"]


def test_the_first_version_needs_no_champion_to_beat() -> None:
    alone = evaluated(tests={}, miscalibration={"lstm": 0.7})
    decision = decide(alone, 1.0, GateConfig())
    assert (decision["passed"], decision["against"]) == (True, None)
    assert decision["reason"] == "no baseline is better, and there was no champion"
    without = decide(alone | {"best_baseline": None}, 1.0, GateConfig())
    assert without["reason"] == "there is no baseline, and there was no champion"
    assert not decide(alone | {"beats_baselines": False}, 1.0, GateConfig())["passed"]


def test_with_promotion_off_the_evidence_is_still_weighed() -> None:
    decision = decide(evaluated(), 1.0, GateConfig(promote="never"))
    assert (decision["passed"], decision["promotes"]) == (True, False)
    assert decision["reason"].startswith("register.promote is never, else the gate had let it pass: no baseline is ")


def test_where_somebody_is_asked_the_evidence_is_weighed_and_nothing_promoted() -> None:
    decision = decide(evaluated(), 1.0, GateConfig(promote="approve"))
    assert (decision["passed"], decision["promotes"]) == (True, False)
    assert decision["reason"].startswith("no baseline is better, and ")
    assert decision["limits"]["promote"] == "approve"


WORSE = "it is worse calibrated than the champion: 0.200 from its aim, and at most 0.150 is allowed"
REFUSALS = [
    ({"beats_baselines": False}, {}, "the baseline linear is better"),
    ({"champion_note": "it reads audio"}, {}, "the champion could not be compared: it reads audio"),
    ({"miscalibration": {"lstm": 0.2, "champion": 0.1}}, {}, WORSE),
    ({}, {"max_latency_ms": 10}, "its latency is 12.5 ms for one window, and at most 10 is allowed"),
    ({}, {"max_size_mb": 0.5}, "its size is 1 MB, and at most 0.5 is allowed"),
]


@pytest.mark.parametrize(("facts", "limits", "reason"), REFUSALS)
def test_each_condition_refuses_alone_and_says_why(facts: dict[str, Any], limits: dict[str, Any], reason: str) -> None:
    decision = decide(evaluated(**facts), 1.0, GateConfig(**limits))
    assert (decision["passed"], decision["reason"]) == (False, reason)
    assert [check["passed"] for check in decision["checks"]].count(False) == 1


def test_limits_that_are_kept_are_shown_with_what_was_found() -> None:
    decision = decide(evaluated(), 1.0, GateConfig(max_latency_ms=20, max_size_mb=2))
    found = {check["name"]: (check["asked"], check["found"], check["passed"]) for check in decision["checks"]}
    assert found["latency"] == ("at most 20 ms for one window", "12.5 ms for one window", True)
    assert found["size"] == ("at most 2 MB", "1 MB", True)


def test_too_few_windows_are_named_with_the_remedy() -> None:
    facts = evaluated()
    few = facts["tests"]["champion"] | {"count": 3, "clusters": 3, "p_value": 0.25, "outcome": "undecided"}
    decision = decide(facts | {"tests": {"champion": few}, "beats_champion": False}, 1.0, GateConfig())
    assert decision["reason"].startswith("it is not shown to be better than champion v3: MASE 0.49")
    assert decision["reason"].endswith(
        "p = 0.25 on 3 windows; nothing is shown by fewer than 6 independent windows: raise split.test_windows"
    )
