"""The contest on the sealed windows: exact on arrays, then on a prepared data set and a stored model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import polars as pl
import pytest
import torch
from pydantic import BaseModel

from models import bundle
from models.forecaster import Forecaster
from models.forecaster_space import ForecasterSpace
from models.problem import Forecast
from tasks import store
from tasks.errors import InputError
from tasks.evaluate import EvaluateConfig, check_baselines, evaluate_model
from tasks.ingest import SeriesData, ingest_table
from tasks.kinds import forecast_evaluation
from tasks.kinds.forecast_dataset import ForecastDataset
from tasks.prepare import SplitConfig, prepare_dataset
from tasks.references import Dataset, Model
from tasks.scoring import forecast_contest as contest
from tasks.scoring.forecast_contest import ForecastContest

LEVELS = [0.1, 0.5, 0.9]
CHEAP: Any = ["last_value", "seasonal_naive", "linear"]


def entry(name: str, kind: Any, truth: Any, error: float) -> contest.Forecaster:
    return contest.Forecaster(name, kind, truth[:, :, None] + error + np.array([-1.0, 0.0, 1.0]), 0.5)


def held(model_error: float, baseline_error: float, champion_error: float | None = None) -> ForecastContest:
    rng = np.random.default_rng(0)
    truth = rng.normal(100, 10, (40, 6))
    champion = [] if champion_error is None else [entry("champion v1", "champion", truth, champion_error)]
    entries = [
        entry("lstm", "lstm", truth, model_error),
        *champion,
        entry("linear", "baseline", truth, baseline_error),
        entry("last_value", "baseline", truth, baseline_error + 5),
    ]
    truth = truth + rng.normal(0, 0.01, truth.shape)
    truth[3, 2] = np.nan
    ids = [f"item {i}" for i in range(40)]
    return ForecastContest(
        ids, np.arange(40), np.full(40, 50), np.full(40, 50), truth, np.full(40, 2.0), LEVELS, entries
    )


def test_a_model_that_is_ahead_leads_the_board_and_beats_everyone() -> None:
    facts = contest.summary(held(1.0, 3.0, 2.0))
    assert [row["name"] for row in facts["leaderboard"]] == ["lstm", "champion v1", "linear", "last_value"]
    assert facts["leaderboard"][0]["mase"] == pytest.approx(0.5, abs=0.01)
    assert (facts["best_baseline"], facts["beats_baselines"], facts["beats_champion"]) == ("linear", True, True)
    assert facts["verdict"][0].startswith("lstm 0.500 beats linear 1.500 on 40 windows (won 100 %")
    assert (facts["windows"], facts["items"], len(facts["by_horizon"]["linear"])) == (40, 40, 6)


def test_a_baseline_that_wins_is_named_first() -> None:
    facts = contest.summary(held(4.0, 3.0))
    assert facts["beats_baselines"] is False
    assert facts["verdict"][0] == "A baseline wins: linear 1.500 against lstm 2.000"
    assert "is beaten by linear" in facts["verdict"][1]


def test_a_champion_that_is_as_good_is_not_beaten() -> None:
    facts = contest.summary(held(1.0, 3.0, 1.0))
    assert facts["beats_champion"] is False
    assert "No evidence of a difference between lstm" in facts["verdict"][1]


def test_without_a_champion_there_is_none_to_beat_and_one_not_comparable_is_not_beaten() -> None:
    assert contest.summary(held(1.0, 3.0))["beats_champion"] is True
    facts = contest.summary(held(1.0, 3.0), "it forecasts 12 steps")
    assert facts["beats_champion"] is False
    assert facts["verdict"][-1] == "The champion was not comparable: it forecasts 12 steps"


def test_what_is_written_is_strict_json_and_complete_parquet(tmp_path: Path) -> None:
    arrays = held(1.0, 3.0, 2.0)
    arrays.truth_WF[:, 5] = np.nan
    contest.write(arrays, contest.summary(arrays), [{"actual": [float("nan")]}], tmp_path)
    assert json.loads((tmp_path / "evaluation.json").read_text())["by_horizon"]["lstm"][5] is None
    assert json.loads((tmp_path / "examples.json").read_text()) == [{"actual": [None]}]
    forecasts = pl.read_parquet(tmp_path / "forecasts.parquet")
    assert forecasts.columns == [
        "item_id", "end", "step", "actual", "lstm_0.1", "lstm_0.5", "lstm_0.9", "champion v1", "linear", "last_value",
    ]  # fmt: skip
    assert (len(forecasts), forecasts["actual"].null_count()) == (240, 41)
    assert forecasts["item_id"][6] == "item 1"
    windows = pl.read_parquet(tmp_path / "windows.parquet")
    assert windows.columns == ["item_id", "end", "lstm", "champion v1", "linear", "last_value"]
    assert windows["linear"].mean() == pytest.approx(1.5, abs=0.01)
    assert len(pl.read_parquet(tmp_path / "items.parquet")) == 40


class Made(BaseModel):
    """The Config of an output that a test writes by hand."""

    name: str


def prepared(home: Path, horizon: int = 7) -> Dataset:
    """Prepare eight daily series of 90 steps with two sealed windows, and a hole in the last one."""
    source, rng = home.parent / "series.csv", np.random.default_rng(0)
    days = np.datetime64("2024-01-01") + np.arange(90)
    lines = ["k,t,y"]
    for item in range(8):
        y = 10 * (item + 1) + 3 * np.sin(np.arange(90) * 2 * np.pi / 7) + rng.normal(0, 0.5, 90)
        lines += [f"s{item},{days[i]},{'' if i in (20, 85) else round(y[i], 3)}" for i in range(90)]
    source.write_text("\n".join(lines) + "\n")
    table = ingest_table.fn(SeriesData(source=str(source), item_id="k", timestamp="t", target="y"))
    return prepare_dataset.fn(table, Forecast(horizon=horizon, quantiles=LEVELS), SplitConfig(test_windows=2))


def untrained(dataset: Dataset, seed: int = 0) -> Model:
    facts = ForecastDataset(store.path(dataset)).facts
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed))
    study.enqueue_trial({"head": "direct"})
    torch.manual_seed(seed)
    forecaster = Forecaster(ForecasterSpace(facts).suggest(study.ask()), facts)

    def write(out: Path) -> dict[str, Any]:
        bundle.write_description(out, "forecast", facts, [forecaster.config])
        bundle.save_weights(forecaster, out / "member-0.safetensors")
        return {}

    key = store.Key("fit", 1, Made(name=f"untrained {seed}"), (dataset.fingerprint,))
    store.commit(key, write)
    return Model(key.uri, key.fingerprint, "forecast", 1, 1)


def test_evaluation_opens_the_sealed_windows_beside_the_baselines(home: Path) -> None:
    dataset = prepared(home)
    model = untrained(dataset)
    evaluation = evaluate_model.fn(model, dataset, None, EvaluateConfig(baselines=CHEAP))
    out = store.path(evaluation)
    facts = json.loads((out / "evaluation.json").read_text())
    assert (facts["windows"], facts["items"], facts["season_length"], facts["frequency"]) == (16, 8, 7, "1d")
    assert {row["name"] for row in facts["leaderboard"]} == {"lstm", *CHEAP}
    assert (evaluation.best_baseline, evaluation.beats_champion) == (facts["best_baseline"], True)
    forecasts = pl.read_parquet(out / "forecasts.parquet")
    assert forecasts.filter(pl.col("end") == 83)["actual"].null_count() == 8
    naive = {row["name"]: row["mase"] for row in facts["leaderboard"]}["seasonal_naive"]
    assert 0.8 < naive < 1.3


def test_examples_run_from_best_to_worst_with_stamps_and_history(home: Path) -> None:
    dataset = prepared(home)
    evaluation = evaluate_model.fn(untrained(dataset), dataset, None, EvaluateConfig(baselines=["last_value"]))
    examples = json.loads((store.path(evaluation) / "examples.json").read_text())
    assert [example["rank"] for example in examples[:: len(examples) - 1]] == ["best", "worst"]
    errors = [example["mase"] for example in examples]
    assert errors == sorted(errors)
    for example in examples:
        assert len(example["times"]) == len(example["history"]) + 7
        assert example["times"][-1] == ("2024-03-30T00:00:00" if example["end"] == 83 else "2024-03-23T00:00:00")


def test_the_same_evaluation_is_not_held_twice(home: Path) -> None:
    dataset = prepared(home)
    model = untrained(dataset)
    first = evaluate_model.fn(model, dataset, None, EvaluateConfig(baselines=["last_value"]))
    written = (store.path(first) / "evaluation.json").stat().st_mtime_ns
    assert evaluate_model.fn(model, dataset, None, EvaluateConfig(baselines=["last_value"])) == first
    assert (store.path(first) / "evaluation.json").stat().st_mtime_ns == written
    assert evaluate_model.fn(model, dataset, None, EvaluateConfig(baselines=["seasonal_naive"])) != first


def contest_with(home: Path, rival_horizon: int, out: Path) -> dict[str, Any]:
    dataset = prepared(home)
    other = dataset if rival_horizon == 7 else prepared(home, rival_horizon)
    rival = bundle.load(store.path(untrained(other, seed=1)))
    out.mkdir()
    directory, model = store.path(dataset), store.path(untrained(dataset))
    forecast_evaluation.evaluate(directory, model, ("champion v1", rival), None, ["last_value"], 1, out)
    return json.loads((out / "evaluation.json").read_text())


@pytest.mark.parametrize("rival_horizon", [7, 10])
def test_a_champion_with_at_least_this_horizon_is_compared(home: Path, tmp_path: Path, rival_horizon: int) -> None:
    facts = contest_with(home, rival_horizon, tmp_path / "out")
    mase = {row["kind"]: row["mase"] for row in facts["leaderboard"]}
    test = facts["tests"]["champion"]
    assert facts["beats_champion"] is (test["outcome"] == "better")
    assert test["difference"] == pytest.approx(mase["lstm"] - mase["champion"])
    assert (test["count"], test["clusters"], test["by"]) == (16, 8, "series")
    assert set(facts["miscalibration"]) == {"lstm", "champion"}
    assert all(row["latency_ms"] > 0 for row in facts["leaderboard"] if row["kind"] != "baseline")


def test_a_champion_with_a_shorter_horizon_is_not_comparable(home: Path, tmp_path: Path) -> None:
    facts = contest_with(home, 3, tmp_path / "out")
    assert facts["beats_champion"] is False
    assert facts["verdict"][-1] == "The champion was not comparable: it forecasts 3 steps and the horizon is now 7"


def test_baselines_are_all_that_the_kind_has_unless_some_are_named() -> None:
    assert check_baselines("forecast", None) == ["last_value", "seasonal_naive", "auto_ets", "linear"]
    assert check_baselines("forecast", ["linear", "last_value", "linear"]) == ["linear", "last_value"]


def test_a_baseline_that_the_kind_does_not_have_is_refused_with_the_one_that_was_meant(home: Path) -> None:
    dataset = prepared(home)
    with pytest.raises(InputError) as refused:
        evaluate_model.fn(untrained(dataset), dataset, None, EvaluateConfig(baselines=["autoets", "linear"]))
    assert str(refused.value) == (
        "evaluate.baselines: must be ones that problem forecast has (got 'autoets'): did you mean auto_ets? "
        "choose of last_value, seasonal_naive, auto_ets, linear"
    )
