"""The stages from ingest to register, called one after the other on a small table, and bundles of untrained weights."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import polars as pl
import torch
from pydantic import BaseModel

from models import bundle
from models.forecaster import Forecaster
from models.forecaster_space import ForecasterSpace
from models.problem import Forecast
from tasks import store
from tasks.evaluate import EvaluateConfig, evaluate_model
from tasks.fit import FitConfig, fit_model
from tasks.gate import GateConfig, judge_model
from tasks.ingest import SeriesData, ingest_table
from tasks.kinds.forecast_dataset import ForecastDataset
from tasks.prepare import SplitConfig, prepare_dataset
from tasks.profile import profile_table
from tasks.references import Dataset, Decision, Evaluation, Model, ModelVersion, Report, StudyResult, Table
from tasks.register import find_rival, register_model
from tasks.report import write_report
from tasks.search import search_models
from tasks.search_config import SearchConfig

HORIZON, STEPS = 5, 70


class Made(BaseModel):
    """The Config of an output that a test writes by hand."""

    name: str


@dataclass(frozen=True)
class Stages:
    """What the stages gave, up to the report."""

    data: SeriesData
    table: Table
    dataset: Dataset
    study: StudyResult
    model: Model
    evaluation: Evaluation
    decision: Decision
    report: Report

    def register(self, name: str, rival: ModelVersion | None, **gate: Any) -> ModelVersion:
        experiment = {"name": name, "data": self.data.model_dump(mode="json"), "problem": {"horizon": HORIZON}}
        decision = judge_model.fn(self.model, self.evaluation, GateConfig(**gate)) if gate else self.decision
        profile = profile_table.fn(self.table, self.dataset, self.evaluation)
        return register_model.fn(name, experiment, self.model, rival, self.evaluation, decision, self.report, profile)

    def measured_against(self, name: str) -> tuple[Stages, ModelVersion | None]:
        """Return the same with an evaluation beside the champion of ``name``, and that champion."""
        rival = find_rival.fn(name, self.model)
        return self.proved(self.model, rival), rival

    def proved(self, model: Model, rival: ModelVersion | None = None) -> Stages:
        """Return the same with another model and its evaluation."""
        evaluation = evaluate_model.fn(model, self.dataset, rival, EvaluateConfig(baselines=["last_value"]))
        decision = judge_model.fn(model, evaluation, GateConfig())
        report = write_report.fn(self.table, self.dataset, self.study, model, evaluation, decision)
        return replace(self, model=model, evaluation=evaluation, decision=decision, report=report)


def sales(seed: int = 0) -> pl.DataFrame:
    """Six daily series of two item columns, one of them integers, with covariates of several roles."""
    rng, frames = np.random.default_rng(seed), []
    for number in range(6):
        day = np.arange(STEPS)
        price = rng.normal(2, 0.2, STEPS)
        values = {
            "shop": ["Köln", "Bonn", "Ulm"][number % 3],
            "ware": number // 3,
            "day": (np.datetime64("2024-01-01") + day).astype("datetime64[us]"),
            "sold": 50 * (number + 1) + 20 * np.sin(2 * np.pi * day / 7) - 5 * price + rng.normal(0, 0.5, STEPS),
            "wind": rng.normal(8, 3, STEPS),
            "price": price,
            "holiday": rng.choice(["none", "eve"], STEPS),
            "region": ["north", "south"][number % 2],
        }
        frames.append(pl.DataFrame(values))
    return pl.concat(frames)


def config_of(source: Path) -> SeriesData:
    return SeriesData(
        source=str(source),
        item_id=["shop", "ware"],
        timestamp="day",
        target="sold",
        past_covariates="wind",
        known_covariates=["price", "holiday"],
        static_covariates="region",
    )


def run_stages(directory: Path) -> Stages:
    """Run ingest, prepare, search, fit, evaluate and report on ``sales``."""
    sales().write_parquet(directory / "sales.parquet")
    data = config_of(directory / "sales.parquet")
    table = ingest_table.fn(data)
    dataset = prepare_dataset.fn(table, Forecast(horizon=HORIZON), SplitConfig())
    study = search_models.fn(dataset, SearchConfig(time_budget="60s", max_trials=2, max_steps=20))
    model = fit_model.fn(dataset, study, FitConfig())
    evaluation = evaluate_model.fn(model, dataset, None, EvaluateConfig(baselines=["last_value"]))
    decision = judge_model.fn(model, evaluation, GateConfig())
    report = write_report.fn(table, dataset, study, model, evaluation, decision)
    return Stages(data, table, dataset, study, model, evaluation, decision, report)


def untrained(dataset: Dataset, seed: int, noise: float = 0.0, head: str = "direct") -> Model:
    """Commit a bundle of one forecaster that has learned nothing, its weights disturbed by ``noise``."""
    facts = ForecastDataset(store.path(dataset)).facts
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed))
    study.enqueue_trial({"head": head, "damped": False, "correction": True})
    torch.manual_seed(seed)
    forecaster = Forecaster(ForecasterSpace(facts).suggest(study.ask()), facts)
    with torch.no_grad():
        for parameter in forecaster.parameters():
            parameter += noise * torch.randn_like(parameter)

    def write(out: Path) -> dict[str, Any]:
        bundle.write_description(out, "forecast", facts, [forecaster.config])
        bundle.save_weights(forecaster, out / "member-0.safetensors")
        return {"refitted": 0}

    key = store.Key("fit", 1, Made(name=f"untrained {seed} {noise}"), (dataset.fingerprint,))
    store.commit(key, write)
    return Model(key.uri, key.fingerprint, "forecast", 1, 1)


def register_untrained(
    name: str, rows: pl.DataFrame, directory: Path, horizon: int, windows: int = 1, **roles: Any
) -> ModelVersion:
    """Prepare ``rows``, evaluate a bundle that has learned nothing on ``windows`` of each series, and register it."""
    rows.write_parquet(directory / f"{name}.parquet")
    data = SeriesData(source=str(directory / f"{name}.parquet"), **roles)
    table = ingest_table.fn(data)
    dataset = prepare_dataset.fn(table, Forecast(horizon=horizon), SplitConfig(test_windows=windows))
    model = untrained(dataset, 0, head="decoder")
    evaluation = evaluate_model.fn(model, dataset, None, EvaluateConfig(baselines=["last_value"]))

    def write(out: Path) -> dict[str, Any]:
        (out / "report.html").write_text("<p>nothing was searched</p>")
        return {"findings": []}

    key = store.Key("report", 1, Made(name=name), (evaluation.fingerprint,))
    store.commit(key, write)
    experiment = {"name": name, "data": data.model_dump(mode="json")}
    decision = judge_model.fn(model, evaluation, GateConfig())
    report, profile = Report(key.uri, key.fingerprint), profile_table.fn(table, dataset, evaluation)
    return register_model.fn(name, experiment, model, None, evaluation, decision, report, profile)
