"""Facts are fitted on the training part alone, the sealed part changes nothing, and every item is encoded once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import polars as pl
import pytest
from sequence_tables import TEXT, ingested, sentences, tone, wav, write_clips

from models.sequence_model import SequenceSpace
from tasks.errors import InputError
from tasks.kinds import sequence_keys, sequence_preparation
from tasks.kinds.classify import Classify, ClassifyObjective
from tasks.kinds.regress import Regress, RegressObjective
from tasks.kinds.sequence_dataset import SequenceDataset
from tasks.kinds.tag import Tag, TagObjective
from tasks.kinds.transcribe import Transcribe, TranscribeObjective
from tasks.prepare import SplitConfig, prepare_dataset

OBJECTIVES: dict[type, Any] = {
    Classify: ClassifyObjective(),
    Regress: RegressObjective(),
    Tag: TagObjective(),
    Transcribe: TranscribeObjective(),
}
LONG = {"kind": "numeric", "columns": ["x"], "step": "t"}


def prepared(
    source: Any, problem: Any, out: Path, split: dict[str, Any] | None = None, **section: Any
) -> SequenceDataset:
    """Ingest and prepare without the store; ``split`` is the experiment's section."""
    table = ingested(source, **section)
    options = SplitConfig(**(split or {}))
    sequence_preparation.prepare(table.directory, problem, options, out, OBJECTIVES[type(problem)])
    return SequenceDataset(out)


def findings(dataset: SequenceDataset) -> dict[str, dict[str, Any]]:
    described = json.loads((dataset.directory / "dataset.json").read_text())
    return {finding["check"]: finding for finding in described["findings"]}


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


@pytest.fixture
def texts(home: Path, tmp_path: Path) -> Path:
    sentences().write_csv(tmp_path / "texts.csv")
    return tmp_path / "texts.csv"


def test_fields_of_the_other_form_of_split_are_refused_by_name() -> None:
    assert SplitConfig(test_windows=3, stride=2, group="k").foreign("sequences") == ["stride", "test_windows"]
    assert SplitConfig(test_windows=3, group="k", test_share=0.3).foreign("series") == ["group", "test_share"]
    assert SplitConfig().foreign("series") == SplitConfig().foreign("sequences") == []


def test_forecasts_refuse_to_be_split_by_group(csv, ingest) -> None:
    from models.problem import Forecast

    lines = [f"{t},{t % 7}" for t in range(60)]
    table = ingest(csv("t,y", *lines)).table
    with pytest.raises(InputError, match=r"problem forecast splits series \(got split\.group\)"):
        prepare_dataset.fn(table, Forecast(horizon=2), SplitConfig(group="k"))


def test_a_data_set_of_texts_holds_every_item_once_in_every_view(texts: Path, out: Path) -> None:
    dataset = prepared(texts, Classify(), out, input=TEXT, target="label")
    assert dataset.sizes == {"train": 41, "validation": 7, "test": 12}
    assert len({*dataset.train_items, *dataset.validation_items}) == 48
    train, sealed = dataset.frame("train"), dataset.frame("sealed")
    assert train.columns == ["item_id", "source", "input", "target", "writer"]
    assert sorted(pl.concat([train, sealed])["item_id"].cast(int)) == list(range(1, 61))
    facts = dataset.facts
    for part, frame in (("train", train), ("sealed", sealed)):
        arrays = dataset.arrays(part)  # type: ignore[arg-type]
        assert len(arrays) == len(frame)
        for view in facts.input.views:
            encoded = [facts.input.encode(view, text) for text in frame["input"]]
            assert all((arrays.inputs[view].item(i) == one).all() for i, one in enumerate(encoded))
            assert facts.longest[view] >= max(map(len, encoded)) or part == "sealed"
        codes = [arrays.target.item(i).tolist() for i in range(len(frame))]  # type: ignore[union-attr]
        assert codes == [[["food", "sport"].index(label)] for label in frame["target"]]
    roles = {"item_id": [], "input": ["text"], "step": None, "target": ["label"]}
    assert facts.columns.model_dump() == {**roles, "layout": "items", "step_type": None}


def test_who_the_items_and_their_groups_are_lies_on_both_sides_of_the_seal(texts: Path, out: Path) -> None:
    dataset = prepared(texts, Classify(), out, {"group": "writer"}, input=TEXT, target="label")
    trained = np.load(out / "trained.npy")
    groups = dataset.frame("train", ["writer"])["writer"].n_unique()
    assert len(trained) == dataset.learned_from + groups == len(dataset.frame("train")) + groups
    assert dataset.sealed_keys.shape == (dataset.sizes["test"], 2)
    assert sequence_keys.unseen(dataset.sealed_keys, trained).all()


def test_columns_of_the_items_are_read_alone(texts: Path, out: Path) -> None:
    dataset = prepared(texts, Classify(), out, input=TEXT, target="label")
    assert dataset.frame("train", ["target"]).columns == ["target"]
    assert dataset.frame("sealed", ["item_id", "target"]).equals(dataset.frame("sealed").select("item_id", "target"))


def test_items_without_ids_lie_in_the_same_parts_when_rows_are_added_before_them(
    home: Path, tmp_path: Path, out: Path
) -> None:
    frame = sentences(200)
    sealed = []
    for name, one in (("a", frame), ("b", pl.concat([sentences(10, seed=1), frame]))):
        one.write_csv(tmp_path / f"{name}.csv")
        dataset = prepared(tmp_path / f"{name}.csv", Classify(), out / name, input=TEXT, target="label")
        sealed.append({*dataset.frame("sealed")["input"]})
    assert len(sealed[1] - sealed[0]) <= 6


def test_input_facts_are_fitted_on_the_training_items_alone(home: Path, tmp_path: Path, out: Path) -> None:
    part = ["train"] * 30 + ["validation"] * 10 + ["test"] * 20
    rng = np.random.default_rng(0)
    level = {"train": 1.0, "validation": 50.0, "test": 900.0}
    lists = [(level[one] + rng.normal(size=rng.integers(3, 9))).tolist() for one in part]
    frame = pl.DataFrame({"x": lists, "part": part, "y": [f"c{i % 2}" for i in range(60)]})
    frame.write_parquet(tmp_path / "lists.parquet")
    section = {"input": {"kind": "numeric", "columns": "x"}, "target": "y"}
    dataset = prepared(tmp_path / "lists.parquet", Classify(), out, {"column": "part"}, **section)
    seen = np.concatenate([one for one, where in zip(lists, part, strict=True) if where == "train"])
    assert dataset.facts.input.means == pytest.approx([seen.mean()])  # type: ignore[union-attr]
    assert dataset.facts.input.stds == pytest.approx([seen.std()])  # type: ignore[union-attr]
    longest = max(len(one) for one, where in zip(lists, part, strict=True) if where != "test")
    assert dataset.facts.longest == {"channels": longest}


def test_the_sealed_part_changes_nothing_that_is_learned_from(home: Path, tmp_path: Path, out: Path) -> None:
    frame = sentences().with_columns(part=pl.Series(["train"] * 45 + ["test"] * 15))
    other = frame.with_columns(text=pl.when(pl.col("part") == "test").then(pl.lit("unheard of")).otherwise("text"))
    written = []
    for name, one in (("a", frame), ("b", other)):
        one.write_csv(tmp_path / f"{name}.csv")
        split = {"column": "part"}
        prepared(tmp_path / f"{name}.csv", Classify(), out / name, split, input=TEXT, target="label")
        files = sorted(path for path in (out / name / "train").iterdir() if path.suffix == ".npy")
        written.append([path.read_bytes() for path in files] + [(out / name / "validation.npy").read_bytes()])
    assert len(written[0]) == 9
    assert written[0] == written[1]


def test_labels_of_the_test_part_that_training_never_showed_are_reported(home: Path, tmp_path: Path, out: Path) -> None:
    part, labels = ["train"] * 40 + ["test"] * 20, ["a", "b"] * 29 + ["c", "c"]
    frame = pl.DataFrame({"text": [f"word{i}" for i in range(60)], "label": labels, "part": part})
    frame.write_csv(tmp_path / "data.csv")
    dataset = prepared(tmp_path / "data.csv", Classify(), out, {"column": "part"}, input=TEXT, target="label")
    assert findings(dataset)["unseen_label"]["examples"] == ["'c' of 2 items"]
    assert dataset.facts.target.labels == ["a", "b"]  # type: ignore[union-attr]
    assert dataset.arrays("sealed").target.values[-2:].tolist() == [-1, -1]  # type: ignore[union-attr]


def test_a_long_table_gives_one_label_an_item_or_one_a_step_as_the_problem_asks(
    home: Path, tmp_path: Path, out: Path
) -> None:
    rng, rows = np.random.default_rng(0), []
    for item in range(30):
        rows += [(f"k{item}", t, rng.normal(), f"c{item % 3}", "on" if t % 2 else "off") for t in range(4 + item % 3)]
    frame = pl.DataFrame(rows, schema=["k", "t", "x", "label", "state"], orient="row")
    frame.write_parquet(tmp_path / "long.parquet")
    section = {"input": LONG, "item_id": "k"}
    whole = prepared(tmp_path / "long.parquet", Classify(), out / "a", **section, target="label")
    assert whole.frame("train")["target"].unique().sort().to_list() == ["c0", "c1", "c2"]
    assert whole.frame("train").columns == ["item_id", "source", "target", "k"]
    each = prepared(tmp_path / "long.parquet", Tag(), out / "b", **section, target="state")
    arrays = each.arrays("train")
    assert (arrays.target.lengths == arrays.lengths("channels")).all()  # type: ignore[union-attr]
    with pytest.raises(InputError, match=r"one label.*problem\.kind: tag"):
        prepared(tmp_path / "long.parquet", Classify(), out / "c", **section, target="state")


def test_audio_is_prepared_at_every_speed_for_training_and_once_for_the_sealed_part(
    home: Path, tmp_path: Path, out: Path
) -> None:
    clips = {f"{i}.wav": wav(tone(300 if i % 2 else 900, 0.2 + i / 100)) for i in range(18)}
    columns = {"tone": [i % 2 for i in range(18)], "speaker": [f"s{i % 6}" for i in range(18)]}
    index = write_clips(tmp_path / "in", clips, **columns)
    section = {"input": {"kind": "audio"}, "target": "tone"}
    dataset = prepared(index, Classify(), out, {"group": "speaker"}, **section)
    train, sealed = dataset.arrays("train"), dataset.arrays("sealed")
    assert (train.variants, sealed.variants) == (3, 1)
    assert len(train.inputs["fbank"]) == 3 * len(train) == 3 * len(dataset.frame("train"))
    assert len(sealed) == dataset.sizes["test"]
    assert not {*dataset.frame("train")["speaker"]} & {*dataset.frame("sealed")["speaker"]}
    assert "input" not in dataset.frame("train").columns
    lengths = train.inputs["fbank"].lengths.reshape(-1, 3)
    assert (lengths[:, 1] > lengths[:, 0]).all()
    assert (lengths[:, 2] < lengths[:, 0]).all()


def test_items_too_short_for_their_transcript_are_reported(home: Path, tmp_path: Path, out: Path) -> None:
    frame = pl.DataFrame({"text": ["ab", "abc", "abcd"] * 10, "sounds": ["p q", "p q p", "p p p q q"] * 10})
    frame.write_csv(tmp_path / "data.csv")
    problem = Transcribe(unit="word")
    dataset = prepared(tmp_path / "data.csv", problem, out, input=TEXT, target="sounds")
    cramped = findings(dataset)["short_input"]
    assert 0 < cramped["count"] < dataset.sizes["train"]
    assert "fewer steps than symbols" in cramped["message"]


def test_only_views_with_steps_enough_for_a_transcript_are_searched(home: Path, tmp_path: Path, out: Path) -> None:
    words = [f"{a}{b}{c}" for a in "klm" for b in "aeiou" for c in "nprst"]
    pl.DataFrame({"text": words, "sounds": [" ".join(word) for word in words]}).write_csv(tmp_path / "data.csv")
    dataset = prepared(tmp_path / "data.csv", Transcribe(unit="word"), out, input=TEXT, target="sounds")
    assert list(dataset.facts.longest) == ["character"]
    found = findings(dataset)["short_view"]
    assert (found["level"], found["examples"]) == ("info", ["word", "bpe"])
    space, trial = SequenceSpace(dataset.facts), optuna.create_study().ask()
    assert space.suggest(trial).input.view == "character"
    assert {point["view"] for point in space.portfolio()} == {"character"}


BAD_TARGETS: dict[str, tuple[Any, list[str], list[str], str]] = {
    "a single class": (Classify(), ["one"] * 20, [], "two"),
    "a number that is none": (Regress(), ["1", "2", "much", "4"] * 5, [], "finite number"),
    "a number that never varies": (Regress(), ["3"] * 20, [], "must vary"),
    "a tag list of another length": (Tag(), ["O B-x", "O"] * 10, ["a b", "a b"] * 10, "a label for each"),
    "a single tag": (Tag(), ["O O"] * 20, ["a b"] * 20, "two labels"),
}


@pytest.mark.parametrize("name", BAD_TARGETS)
def test_targets_that_the_problem_cannot_learn_are_refused(name: str, home: Path, tmp_path: Path, out: Path) -> None:
    problem, targets, inputs, said = BAD_TARGETS[name]
    tokens = inputs or [f"word{i}" for i in range(20)]
    pl.DataFrame({"tokens": tokens, "y": targets}).write_csv(tmp_path / "data.csv")
    with pytest.raises(InputError, match=said):
        prepared(tmp_path / "data.csv", problem, out, input={"kind": "tokens", "column": "tokens"}, target="y")


def test_a_long_table_transcribes_the_text_that_all_rows_of_an_item_have(home: Path, tmp_path: Path, out: Path) -> None:
    rows = [(f"k{item:02d}", t, float(t), "a b c" if item % 2 else "b") for item in range(20) for t in range(12)]
    frame = pl.DataFrame(rows, schema=["k", "t", "x", "text"], orient="row")
    frame.write_parquet(tmp_path / "long.parquet")
    section = {"input": LONG, "item_id": "k", "target": "text"}
    dataset = prepared(tmp_path / "long.parquet", Transcribe(), out / "a", **section)
    assert dataset.frame("train")["target"].unique().sort().to_list() == ["a b c", "b"]
    torn = frame.with_columns(
        text=pl.when((pl.col("k") == "k03") & (pl.col("t") > 5)).then(pl.lit("c")).otherwise("text")
    )
    torn.write_parquet(tmp_path / "torn.parquet")
    with pytest.raises(InputError, match=r"one text as its target \(got 1 item without: k03\): .*all rows of one"):
        prepared(tmp_path / "torn.parquet", Transcribe(), out / "b", **section)


def test_transcripts_that_no_item_has_steps_for_are_refused(home: Path, tmp_path: Path, out: Path) -> None:
    lists = {"x": [[0.5, float(i)] for i in range(20)], "y": ["abcd", "dcba"] * 10}
    pl.DataFrame(lists).write_parquet(tmp_path / "lists.parquet")
    section = {"input": {"kind": "numeric", "columns": "x"}, "target": "y"}
    with pytest.raises(
        InputError, match=r"no more symbols than its item has steps \(got 16 training items, all of them"
    ):
        prepared(tmp_path / "lists.parquet", Transcribe(), out, **section)


def test_a_table_without_a_target_cannot_be_prepared(texts: Path, out: Path) -> None:
    with pytest.raises(InputError, match=r"data\.target must be given"):
        prepared(texts, Classify(), out, input=TEXT)


def test_many_parts_give_the_same_data_set_as_one(texts: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tasks.data import intake

    prepared(texts, Classify(), out / "one", input=TEXT, target="label")
    monkeypatch.setattr(intake, "_MOST_ROWS", 7)
    monkeypatch.setenv("CAROUSEL_HOME", str(out / "home"))
    table = ingested(texts, input=TEXT, target="label")
    assert len(list(table.directory.glob("part-*"))) > 3
    prepared(texts, Classify(), out / "many", input=TEXT, target="label")
    for path in sorted((out / "one").rglob("*.npy")):
        assert path.read_bytes() == (out / "many" / path.relative_to(out / "one")).read_bytes()
    one, many = SequenceDataset(out / "one"), SequenceDataset(out / "many")
    assert (one.facts, one.sizes) == (many.facts, many.sizes)
    assert one.frame("train").equals(many.frame("train"))
