"""Each kind of sequence problem, and each input, from a source to a registered model that MLflow loads by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import polars as pl
import pytest
import soundfile
from pydantic import TypeAdapter

from carousel.predictions import deliver
from tasks import store
from tasks.evaluate import EvaluateConfig, evaluate_model
from tasks.experiment import check_sections, new_data
from tasks.fit import FitConfig, fit_model
from tasks.gate import GateConfig, judge_model
from tasks.ingest import Data, ingest_table
from tasks.kinds.registry import Problem
from tasks.monitor import MonitorConfig, watch_model
from tasks.predict import predict_table
from tasks.prepare import SplitConfig, prepare_dataset
from tasks.profile import profile_table
from tasks.register import find_rival, register_model
from tasks.report import write_report
from tasks.search import search_models
from tasks.search_config import SearchConfig

pytestmark = pytest.mark.slow
RATE = 8000


def texts(place: Path) -> tuple[dict[str, Any], pd.DataFrame]:
    rows = [(f"please {verb} the {noun} now", verb) for verb in ("open", "close") for noun in "abcdefghijklmnopqrst"]
    pl.DataFrame(rows, schema=["said", "intent"], orient="row").write_csv(place / "texts.csv")
    data = {"source": str(place / "texts.csv"), "input": {"kind": "text", "column": "said"}, "target": "intent"}
    return {"data": data, "problem": {"kind": "classify"}}, pd.DataFrame({"said": ["open the door"]})


def runs(place: Path) -> tuple[dict[str, Any], pd.DataFrame]:
    draw = np.random.default_rng(0)
    levels = draw.normal(size=40)
    frames = [
        pl.DataFrame({"run": f"r{run:02d}", "step": range(5 + run % 7), "level": level}).with_columns(
            x=level + pl.lit(draw.normal(size=5 + run % 7) / 10)
        )
        for run, level in enumerate(levels)
    ]
    pl.concat(frames).write_parquet(place / "runs.parquet")
    given = {"kind": "numeric", "columns": ["x"], "step": "step"}
    data = {"source": str(place / "runs.parquet"), "item_id": "run", "input": given, "target": "level"}
    new = pd.DataFrame({"run": ["a"] * 4, "step": range(4), "x": [0.5, 0.4, 0.6, 0.5]})
    return {"data": data, "problem": {"kind": "regress"}}, new


def tokens(place: Path) -> tuple[dict[str, Any], pd.DataFrame]:
    cities = ["paris", "rome", "oslo", "new york", "los angeles", "lima"] * 7
    words = [["fly", "to", *city.split(), "today"] for city in cities]
    tags = [["O", "O", *["B-city", "I-city"][: len(city.split())], "O"] for city in cities]
    pl.DataFrame({"words": words, "tags": tags}).write_parquet(place / "tokens.parquet")
    data = {"source": str(place / "tokens.parquet"), "input": {"kind": "tokens", "column": "words"}, "target": "tags"}
    return {"data": data, "problem": {"kind": "tag"}}, pd.DataFrame({"words": [["fly", "to", "oslo"]]})


def tones(place: Path) -> tuple[dict[str, Any], pd.DataFrame]:
    time = np.arange(int(0.25 * RATE)) / RATE
    letters = {letter: 0.3 * np.sin(2 * np.pi * pitch * time) for letter, pitch in (("a", 400), ("b", 1200))}
    spoken = [f"{n % 16:04b}".replace("0", "a").replace("1", "b") for n in range(40)]
    for n, text in enumerate(spoken):
        wave = np.concatenate([letters[letter] for letter in text])
        soundfile.write(place / f"{n}.wav", wave + np.random.default_rng(n).normal(0, 0.01, len(wave)), RATE)
    pl.DataFrame({"path": [f"{n}.wav" for n in range(40)], "text": spoken}).write_csv(place / "tones.csv")
    data = {"source": str(place / "tones.csv"), "input": {"kind": "audio", "column": "path"}, "target": "text"}
    return {"data": data, "problem": {"kind": "transcribe"}}, pd.DataFrame({"path": [str(place / "0.wav")]})


@pytest.mark.parametrize("made", [texts, runs, tokens, tones], ids=["classify", "regress", "tag", "transcribe"])
def test_a_source_becomes_a_registered_model_that_predicts_new_items(
    made: Any, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAROUSEL_WORKERS", "1")
    experiment, new = made(tmp_path)
    data = TypeAdapter(Data).validate_python(experiment["data"])
    problem = TypeAdapter(Problem).validate_python(experiment["problem"])
    search = SearchConfig(time_budget="30s", max_trials=2, max_steps=10)
    check_sections(data, problem, SplitConfig(), search, EvaluateConfig())
    table = ingest_table.fn(data)
    dataset = prepare_dataset.fn(table, problem, SplitConfig())
    study = search_models.fn(dataset, search)
    # Every kind is trained on under Lightning in the tests of the models; here one is, through the stage.
    model = fit_model.fn(dataset, study, FitConfig(members=2, refit="always" if made is texts else "never"))
    rival = find_rival.fn("tiny", model)
    evaluation = evaluate_model.fn(model, dataset, rival, EvaluateConfig())
    decision = judge_model.fn(model, evaluation, GateConfig())
    report = write_report.fn(table, dataset, study, model, evaluation, decision)
    assert "Leaderboard" in (store.path(report) / "report.html").read_text()
    profile = profile_table.fn(table, dataset, evaluation)
    version = register_model.fn("tiny", experiment, model, rival, evaluation, decision, report, profile)
    health = watch_model.fn(version, table, MonitorConfig())
    assert not health.degraded
    assert "0 items are new" in (store.path(health) / "health.html").read_text()
    served = mlflow.pyfunc.load_model(f"models:/tiny/{version.version}").predict(new)
    assert len(served) == 1
    predictions = predict_table.fn(version, ingest_table.fn(new_data(experiment, experiment["data"]["source"])))
    written = pl.read_parquet(store.path(predictions) / "*.parquet")
    assert len(written) == predictions.items == table.items
    assert set(served.columns) <= {*written.columns, *data.item_id}
    handed_over = pl.read_csv(deliver(predictions, tmp_path / "predictions.csv"))
    assert handed_over.columns == written.columns
    assert len(handed_over) == len(written)
