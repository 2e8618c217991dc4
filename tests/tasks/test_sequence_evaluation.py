"""The contest on sealed items of sequences: a real data set, a bundle that has learned nothing, real baselines."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import polars as pl
import pytest
import torch
from sequence_cases import make_arrays, make_facts

from models import bundle
from models.sequence_bundle import SequenceBundle
from models.sequence_model import SequenceFacts, SequenceModel, SequenceSpace
from models.sequence_training import SequenceTrainingConfig
from tasks import store
from tasks.evaluate import EvaluateConfig, check_baselines, evaluate_model
from tasks.ingest import SequenceData, ingest_table
from tasks.kinds import sequence_keys, sequence_rival
from tasks.kinds.classify import Classify
from tasks.kinds.registry import kind
from tasks.kinds.sequence_dataset import SequenceDataset
from tasks.kinds.sequence_learner import Recipe
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


def prepared(
    home: Path, frame: pl.DataFrame, name: str = "texts", seed: int = 0, group: str | None = None, **section: Any
) -> Dataset:
    source = home.parent / f"{name}.parquet"
    frame.write_parquet(source)
    data = SequenceData(source=str(source), input={"kind": "text", "column": "text"}, target="label", **section)
    return prepare_dataset.fn(ingest_table.fn(data), Classify(), SplitConfig(seed=seed, group=group))


def untrained(dataset: Dataset, seed: int = 0) -> Model:
    facts = SequenceDataset(store.path(dataset)).facts
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    torch.manual_seed(seed)
    trial = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed)).ask()
    config = SequenceSpace(facts).suggest(trial)
    recipe = Recipe(model=config, training=SequenceTrainingConfig.suggest(trial, 10, facts))

    def write(out: Path) -> dict[str, Any]:
        kind("classify").describe(store.path(dataset), [recipe.model_dump(mode="json")], [1], out)
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


def test_a_champion_that_lacks_a_label_is_compared_and_errs_on_it(home: Path, tmp_path: Path) -> None:
    richer = prepared(home, sentences({**WORDS, "news": ["vote", "court", "price", "war"]}, 150))
    poorer = prepared(home, sentences(WORDS), "poorer")
    facts = contest_with(richer, champion := bundle.load(store.path(untrained(poorer, 1))), tmp_path / "out")
    assert champion.facts.target.labels == ["food", "sport"]
    assert facts["tests"]["champion"]["count"] == 30
    items = pl.read_parquet(tmp_path / "out" / "items.parquet").filter(truth="news")
    assert items["error champion v1"].to_list() == [1.0] * 10
    assert "champion v1 does not know the labels 'news': they count as its errors" in facts["notes"]


def test_a_champion_is_measured_on_the_sealed_items_that_it_was_not_trained_on(home: Path, tmp_path: Path) -> None:
    table = sentences(WORDS, 300)
    dataset, earlier = prepared(home, table), prepared(home, table.head(150), "earlier", seed=1)
    facts = contest_with(dataset, bundle.load(store.path(untrained(earlier, 1))), tmp_path / "out")
    known = SequenceDataset(store.path(earlier)).frame("train", ["input"])["input"].to_list()
    items = pl.read_parquet(tmp_path / "out" / "items.parquet")
    fresh = items.filter(pl.col("error champion v1").is_not_null())
    assert len(items) == 60
    assert items.filter(pl.col("error champion v1").is_null())["input"].is_in(known).all()
    assert not fresh["input"].is_in(known).any()
    assert 12 <= len(fresh) == facts["tests"]["champion"]["count"] < 60
    (row,) = (row for row in facts["leaderboard"] if row["kind"] == "champion")
    assert row["items"] == len(fresh)
    assert row["accuracy"] == pytest.approx(1 - fresh["error champion v1"].mean())  # type: ignore[operator]
    assert facts["beats_champion"] is (facts["tests"]["champion"]["outcome"] == "better")
    assert set(facts["miscalibration"]) == {"lstm", "champion"}
    assert facts["tests"]["best_baseline"]["count"] == 60
    assert facts["notes"][0] == (
        f"champion v1 was trained on {60 - len(fresh)} of the 60 sealed items: it was measured, and lstm was compared "
        f"with it, on the other {len(fresh)}"
    )


def test_a_champion_of_a_table_that_grew_is_compared_on_nearly_all_sealed_items(home: Path, tmp_path: Path) -> None:
    table = sentences(WORDS, 320, seed=2)
    dataset, earlier = prepared(home, table), prepared(home, table.head(300), "earlier")
    facts = contest_with(dataset, bundle.load(store.path(untrained(earlier, 1))), tmp_path / "out")
    assert facts["items"] == 64
    assert facts["tests"]["champion"]["count"] >= 60


def test_items_of_one_group_are_tested_together_where_groups_are_enough(home: Path, tmp_path: Path) -> None:
    table = sentences(WORDS, 400).with_columns(author=pl.int_range(pl.len()) // 4)
    for authors, by, test in (
        (table, "group", "signed rank"),
        (table.with_columns(pl.col("author") // 25), "item", "McNemar"),
    ):
        dataset = prepared(home, authors, f"by {by}", group="author")
        facts = facts_of(evaluate_model.fn(untrained(dataset), dataset, None, EvaluateConfig(baselines=["linear"])))
        found, groups = (
            facts["tests"]["best_baseline"],
            len(np.unique(SequenceDataset(store.path(dataset)).sealed_keys[:, 1])),
        )
        assert (found["by"], found["test"], found["count"]) == (by, test, facts["items"])
        assert found["clusters"] == (groups if by == "group" else facts["items"])
        assert (groups >= 6) is (by == "group")


def test_a_champion_that_was_trained_on_nearly_all_sealed_items_is_not_compared(home: Path, tmp_path: Path) -> None:
    table = sentences(WORDS)
    dataset, earlier = prepared(home, table), prepared(home, table, "earlier", seed=1)
    facts = contest_with(dataset, bundle.load(store.path(untrained(earlier, 1))), tmp_path / "out")
    assert facts["beats_champion"] is False
    said = (
        r"The champion was not comparable: it was trained on \d+ of the 24 sealed items, and at least 10 must be new .*"
    )
    assert re.fullmatch(said, facts["verdict"][-1])


def speller() -> SequenceFacts:
    return make_facts("transcribe", *make_arrays("transcribe", "tokens"))


def rival(columns: dict[str, Any] | None = None, **target: Any) -> SequenceBundle:
    """A champion that transcribes and was trained on items 1 and 2."""
    facts = speller()
    changed = {
        "target": facts.target.model_copy(update=target),
        "columns": facts.columns.model_copy(update=columns or {}),
    }
    held = SequenceBundle(facts.model_copy(update=changed), [])
    held.trained = sequence_keys.of_items(pl.Series(["1", "2"]))
    return held


def test_a_champion_whose_trained_items_cannot_be_told_is_not_compared() -> None:
    ours, sealed = speller(), sequence_keys.of_items(pl.Series(["3", "4"]))[:, None]
    assert sequence_rival.difference(rival(), ours, sealed) is None
    untold = rival()
    untold.trained = None
    assert sequence_rival.difference(untold, ours, sealed) == "it does not say which items it was trained on"
    renamed = sequence_rival.difference(rival({"item_id": ["key"]}), ours, sealed)
    assert renamed is not None
    assert "told apart by key and are now by their content" in renamed


def test_a_champion_that_writes_capitals_is_not_compared_where_case_is_of_no_account() -> None:
    ours, sealed = speller(), sequence_keys.of_items(pl.Series(["3", "4"]))[:, None]
    found = sequence_rival.difference(rival(lowercase=True), ours, sealed)
    assert found == "its lowercase is True and now False"


def test_the_symbols_that_a_champion_lacks_are_named_and_surplus_ones_are_not() -> None:
    known = rival(symbols=["p"]).facts.target
    ours = known.model_copy(update={"symbols": ["p", "q"]})  # type: ignore[union-attr]
    assert sequence_rival.unknown("champion v1", known, ours) == [
        "champion v1 does not know the symbols 'q': they count as its errors"
    ]
    assert sequence_rival.unknown("champion v1", ours, known) == []


def test_a_champion_that_knew_others_of_a_sealed_items_group_has_seen_it() -> None:
    items, groups = pl.Series(["a", "b", "c", "d"]), pl.Series(["a", "x", "y", "y"])
    keys = np.stack([sequence_keys.of_items(items), sequence_keys.of_groups(groups)], axis=1)
    trained = np.unique(keys[[0, 2]])
    assert sequence_keys.unseen(keys, trained).tolist() == [False, True, False, False]
    assert sequence_keys.unseen(keys[:, :1], trained).tolist() == [False, True, False, True]
