"""The contest on sealed items of sequences: a real data set, a bundle that has learned nothing, real baselines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import polars as pl
import pytest
import torch

from models import bundle
from models.sequence_model import SequenceModel, SequenceSpace
from tasks import store
from tasks.evaluate import EvaluateConfig, check_baselines, evaluate_model
from tasks.ingest import SequenceData, ingest_table
from tasks.kinds.classify import Classify
from tasks.kinds.registry import kind
from tasks.kinds.sequence_dataset import SequenceDataset
from tasks.prepare import SplitConfig, prepare_dataset
from tasks.references import Dataset, Evaluation, Model

WORDS = {"food": ["bread", "soup", "apple", "salt"], "sport": ["ball", "run", "goal", "team"]}


def sentences(labels: dict[str, list[str]], items: int = 120, seed: int = 0) -> pl.DataFrame:
    """Sentences of 2 to 8 words, of which one in two tells the label."""
    rng, rows = np.random.default_rng(seed), []
    for item in range(items):
        label = list(labels)[item % len(labels)]
        told = rng.choice([*labels[label], "the", "a", "of"], rng.integers(2, 9))
        rows.append({"text": " ".join(told) + f" {labels[label][item % 4]}", "label": label})
    return pl.DataFrame(rows)


def prepared(home: Path, frame: pl.DataFrame, name: str = "texts") -> Dataset:
    source = home.parent / f"{name}.parquet"
    frame.write_parquet(source)
    data = SequenceData(source=str(source), input={"kind": "text", "column": "text"}, target="label")
    return prepare_dataset.fn(ingest_table.fn(data), Classify(), SplitConfig())


def untrained(dataset: Dataset, seed: int = 0) -> Model:
    facts = SequenceDataset(store.path(dataset)).facts
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    torch.manual_seed(seed)
    config = SequenceSpace(facts).suggest(optuna.create_study(sampler=optuna.samplers.RandomSampler(seed)).ask())

    def write(out: Path) -> dict[str, Any]:
        bundle.write_description(out, facts.kind, facts, [config])
        bundle.save_weights(SequenceModel(config, facts), out / "member-0.safetensors")
        return {}

    key = store.Key("fit", 1, SplitConfig(seed=seed), (dataset.fingerprint,))
    store.commit(key, write)
    return Model(key.uri, key.fingerprint, "classify", 1, 1)


def facts_of(evaluation: Evaluation) -> dict[str, Any]:
    return json.loads((store.path(evaluation) / "evaluation.json").read_text())


def contest_with(dataset: Dataset, rival: Any, out: Path) -> dict[str, Any]:
    """Hold the contest against a champion's bundle; return what was written."""
    out.mkdir()
    found, model = store.path(dataset), store.path(untrained(dataset))
    kind("classify").evaluate(found, model, ("champion v1", rival), None, ["majority"], 1, out)
    return json.loads((out / "evaluation.json").read_text())


def test_model_and_baselines_are_scored_on_the_sealed_items(home: Path) -> None:
    dataset = prepared(home, sentences(WORDS))
    evaluation = evaluate_model.fn(untrained(dataset), dataset, None, EvaluateConfig())
    facts = facts_of(evaluation)
    accuracy = {row["name"]: row["accuracy"] for row in facts["leaderboard"]}
    assert set(accuracy) == {"lstm", *check_baselines("classify", None)}
    assert accuracy["linear"] > 0.9
    assert accuracy["majority"] == pytest.approx(0.5, abs=0.15)
    assert (evaluation.best_baseline, evaluation.beats_baselines, evaluation.beats_champion) == ("linear", False, True)
    assert facts["items"] == len(SequenceDataset(store.path(dataset)).frame("sealed")) == 24
    assert (facts["kind"], facts["title"]) == ("classify", "Classify label")
    assert facts["tests"]["best_baseline"]["test"] == "McNemar"


def test_the_items_stand_with_their_text_their_truth_and_everybodys_errors(home: Path) -> None:
    dataset = prepared(home, sentences(WORDS))
    evaluation = evaluate_model.fn(untrained(dataset), dataset, None, EvaluateConfig(baselines=["linear"]))
    items = pl.read_parquet(store.path(evaluation) / "items.parquet")
    assert {"item_id", "input", "steps", "truth", "label", "probability", "error lstm", "error linear"} <= {
        *items.columns
    }
    wrong = (items["truth"] != items["label"]).cast(pl.Float64).to_numpy()
    assert wrong.tolist() == items["error lstm"].to_list()
    row = facts_of(evaluation)["leaderboard"]
    assert next(one["accuracy"] for one in row if one["name"] == "lstm") == pytest.approx(1 - wrong.mean())


def test_the_report_has_the_kinds_sections_and_the_error_by_length(home: Path) -> None:
    dataset = prepared(home, sentences(WORDS))
    model = untrained(dataset)
    evaluation = evaluate_model.fn(model, dataset, None, EvaluateConfig())
    titles = [section.title for section in kind("classify").sections(store.path(evaluation), store.path(model))]
    assert len(titles) > 1
    assert titles[-1] == "Error by length"


def test_a_champion_of_other_vocabularies_reads_the_texts_anew(home: Path, tmp_path: Path) -> None:
    dataset = prepared(home, sentences(WORDS))
    richer = {**WORDS, "news": ["vote", "court", "price", "war"]}
    other = prepared(home, sentences(richer, 150, seed=1), "other")
    facts = contest_with(dataset, bundle.load(store.path(untrained(other, 1))), tmp_path / "out")
    assert {row["kind"] for row in facts["leaderboard"]} == {"lstm", "champion", "baseline"}
    assert facts["tests"]["champion"]["count"] == 24


def test_a_champion_that_lacks_a_label_is_named_as_not_comparable(home: Path, tmp_path: Path) -> None:
    richer = prepared(home, sentences({**WORDS, "news": ["vote", "court", "price", "war"]}, 150))
    poorer = prepared(home, sentences(WORDS), "poorer")
    facts = contest_with(richer, bundle.load(store.path(untrained(poorer, 1))), tmp_path / "out")
    assert facts["beats_champion"] is False
    assert facts["verdict"][-1] == "The champion was not comparable: it does not know the labels 'news'"
