"""Monitor of whole sequences: new items against those that a version was made from, by what they look like."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from pydantic import TypeAdapter
from sequence_cases import make_model
from sequence_tables import AUDIO, LISTS, TEXT, ingested, sentences, tone, wav, write_clips

from models.sequence_bundle import SequenceBundle
from tasks import store
from tasks.errors import InputError
from tasks.kinds.kind import Kind
from tasks.kinds.registry import Problem, kind
from tasks.kinds.sequence_dataset import SequenceDataset
from tasks.monitoring import drift, health
from tasks.prepare import SplitConfig, prepare_dataset

ITEMS = 300


def profiled(source: Path, name: str, out: Path, group: str | None = None, **section: Any) -> tuple[Kind, Path, Path]:
    """Describe a data set of ``source`` for kind ``name``; a third of the sealed items is wrong."""
    problem: Any = TypeAdapter(Problem).validate_python({"kind": name})
    table = ingested(source, **section)
    dataset = store.path(prepare_dataset.fn(table.table, problem, SplitConfig(group=group)))
    sealed = len(SequenceDataset(dataset).sealed_keys)
    (out / "evaluated").mkdir(parents=True)
    (out / "profile").mkdir()
    errors = (np.arange(sealed) % 3 == 0).astype(float)
    pl.DataFrame({"error lstm": errors}).write_parquet(out / "evaluated" / "items.parquet")
    kind(name).profile(table.directory, dataset, out / "evaluated", out / "profile")
    return kind(name), out / "profile", dataset


def drifted(asked: Kind, profile: Path, source: Path, **section: Any) -> set[tuple[str, str]]:
    found = asked.watch(profile, ingested(source, **section).directory).findings
    return {(one.column, one.feature) for one in drift.holm(found, 0.05 / health.FAMILIES) if one.drifted}


def test_texts_as_before_are_well_and_other_words_lengths_and_labels_are_named(home: Path, tmp_path: Path) -> None:
    section: dict[str, Any] = {"input": TEXT, "target": "label"}
    old = sentences(ITEMS)
    old.write_parquet(tmp_path / "old.parquet")
    asked, profile, _ = profiled(tmp_path / "old.parquet", "classify", tmp_path, **section)
    new = sentences(ITEMS, seed=1)
    frames = {
        "same": pl.concat([old, new]),
        "words": new.with_columns(pl.col("text").str.replace_all("the|of", "thy")),
        "long": new.with_columns(text=pl.concat_str("text", "text", "text", separator=" ")),
        "labels": new.filter((pl.col("label") == "food") | (pl.int_range(pl.len()) % 6 == 1)),
    }
    found = {}
    for name, frame in frames.items():
        frame.write_parquet(tmp_path / "new.parquet")
        found[name] = drifted(asked, profile, tmp_path / "new.parquet", **section)
    assert found["same"] == set()
    assert ("input", "unseen") in found["words"]
    assert ("input", "length") in found["long"]
    assert ("target", "share:food") in found["labels"]


def test_items_that_the_version_was_made_from_say_nothing_new(home: Path, tmp_path: Path) -> None:
    section: dict[str, Any] = {"input": TEXT, "target": "label"}
    sentences(ITEMS).write_parquet(tmp_path / "old.parquet")
    asked, profile, _ = profiled(tmp_path / "old.parquet", "classify", tmp_path, **section)
    watched = asked.watch(profile, ingested(tmp_path / "old.parquet", **section).directory)
    assert (watched.of, watched.notes) == ("0 items", ["0 items are new, too few to be compared"])
    assert {one.p_value for one in watched.findings} == {None}


def test_channels_are_watched_one_by_one(home: Path, tmp_path: Path) -> None:
    def signals(seed: int, dead: bool) -> Path:
        rng = np.random.default_rng(seed)
        rows = [
            {
                "x": rng.normal(0, 1, 12).tolist(),
                "y": ([3.0] * 12 if dead else rng.normal(3, 1, 12).tolist()),
                "label": n % 2,
            }
            for n in range(ITEMS)
        ]
        path = tmp_path / f"signals-{seed}.parquet"
        pl.DataFrame(rows).with_columns(pl.col("label").cast(pl.String)).write_parquet(path)
        return path

    section: dict[str, Any] = {"input": LISTS, "target": "label"}
    asked, profile, _ = profiled(signals(0, dead=False), "classify", tmp_path, **section)
    assert drifted(asked, profile, signals(1, dead=False), **section) == set()
    found = drifted(asked, profile, signals(2, dead=True), **section)
    assert {("y", "stuck"), ("y", "spread")} <= found
    assert not {column for column, _ in found} - {"y"}


def test_audio_is_watched_by_its_loudness_and_pitch(home: Path, tmp_path: Path) -> None:
    def clips(folder: str, hertz: float, gain: float) -> Path:
        rng, written = np.random.default_rng(0), {}
        for n in range(40):
            wave = gain * tone(hertz + rng.normal(0, 40)) * rng.uniform(0.8, 1.2)
            written[f"{n}.wav"] = wav(wave + rng.normal(0, 0.001, len(wave)))
        (tmp_path / folder).mkdir()
        return write_clips(tmp_path / folder, written, label=["a", "b"] * 20)

    section: dict[str, Any] = {"input": AUDIO, "target": "label"}
    asked, profile, _ = profiled(clips("old", 500, 1.0), "classify", tmp_path, **section)
    assert drifted(asked, profile, clips("high", 1200, 1.0), **section) == {("input", "crossings")}
    assert drifted(asked, profile, clips("quiet", 500, 0.2), **section) >= {("input", "loudness")}


def test_the_errors_of_new_items_with_their_truth_are_those_of_the_version(home: Path, tmp_path: Path) -> None:
    section: dict[str, Any] = {"input": TEXT, "target": "label"}
    old = sentences(120)
    old.write_parquet(tmp_path / "old.parquet")
    asked, profile, dataset = profiled(tmp_path / "old.parquet", "classify", tmp_path, group="writer", **section)
    facts = SequenceDataset(dataset).facts
    bundle = SequenceBundle(facts, [make_model(facts)])
    new = sentences(60, seed=1)
    pl.concat([old, new]).write_parquet(tmp_path / "new.parquet")
    table = ingested(tmp_path / "new.parquet", **section)
    registered, since = asked.live(bundle, profile, [], table.directory)
    assert set(registered["error"]) == {0.0, 1.0}
    assert registered["unit"].n_unique() < 6 <= len(registered)
    said = facts.target.columns(bundle.predict_raw(new["text"].to_list()))["label"]
    assert since["error"].to_list() == [float(told != truth) for told, truth in zip(said, new["label"], strict=True)]
    assert set(since["unit"]) == set(new["writer"])


def test_another_input_is_refused(home: Path, tmp_path: Path) -> None:
    sentences(60).write_parquet(tmp_path / "old.parquet")
    asked, profile, _ = profiled(tmp_path / "old.parquet", "classify", tmp_path, input=TEXT, target="label")
    rng = np.random.default_rng(0)
    frame = pl.DataFrame({"x": [rng.normal(size=4).tolist()] * 20, "y": [[1.0] * 4] * 20, "label": ["a", "b"] * 10})
    frame.write_parquet(tmp_path / "signals.parquet")
    table = ingested(tmp_path / "signals.parquet", input=LISTS, target="label")
    with pytest.raises(InputError, match=r"must be what the model reads \(got numeric\): give text"):
        asked.watch(profile, table.directory)
