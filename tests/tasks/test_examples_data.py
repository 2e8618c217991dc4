"""What ``examples/make_data.py`` writes: each table fits its example, and its parts share no more than they may."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
import soundfile
import yaml
from pydantic import TypeAdapter

from tasks.ingest import Data
from tasks.kinds.registry import Problem
from tasks.prepare import SplitConfig

EXAMPLES = Path(__file__).parents[2] / "examples"
EXPERIMENTS = sorted(path.stem for path in EXAMPLES.glob("*.yaml"))
SPLIT_BY = {"japanese_vowels": "part", "slots": "part", "phonemes": "entry", "tones": "device"}
SPLIT_BY |= {"rotation": "machine", "activities": "wearer"}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the command itself has written."""
    folder = tmp_path_factory.mktemp("examples") / "data"
    _make(folder)
    return folder


def _make(folder: Path) -> None:
    subprocess.run([sys.executable, EXAMPLES / "make_data.py", folder], check=True, capture_output=True, timeout=60)


def _table(path: Path) -> pl.DataFrame:
    if path.suffix == ".parquet":
        return pl.read_parquet(path)
    return pl.read_csv(path, null_values="NA", infer_schema_length=None)


def _experiment(name: str) -> dict[str, dict]:
    return yaml.safe_load((EXAMPLES / f"{name}.yaml").read_text())


def _columns(data: dict) -> Iterator[str]:
    """Yield each column that a data section names."""
    named = {**data, **data.get("input", {})}
    for key in ("item_id", "timestamp", "target", "past_covariates", "column", "columns", "step"):
        value = named.get(key, [])
        yield from [value] if isinstance(value, str) else value


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_example_names_columns_of_the_table_that_is_written(name: str, data: Path) -> None:
    experiment = _experiment(name)
    table = _table(data / Path(experiment["data"]["source"]).name)
    split = experiment.get("split", {})
    by = [split[key] for key in ("column", "group") if key in split]
    assert by == [SPLIT_BY[name]] if name in SPLIT_BY else by == []
    assert set(_columns(experiment["data"])) | set(by) <= set(table.columns)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_example_says_what_it_is_and_its_sections_are_valid(name: str) -> None:
    text = (EXAMPLES / f"{name}.yaml").read_text()
    experiment = _experiment(name)
    assert text.startswith("# ")
    assert experiment["name"] == name
    TypeAdapter(Data).validate_python(experiment["data"])
    TypeAdapter(Problem).validate_python(experiment["problem"])
    SplitConfig(**experiment.get("split", {}))


def test_each_example_and_its_licence_stand_in_the_readme() -> None:
    rows = [line for line in (EXAMPLES / "README.md").read_text().splitlines() if line.startswith("| `")]
    assert sorted(row.split("`")[1].removesuffix(".yaml") for row in rows) == EXPERIMENTS
    assert all(row.split("|")[-2].strip() for row in rows)


def test_the_same_bytes_are_written_again(data: Path, tmp_path: Path) -> None:
    _make(tmp_path)
    written = sorted(path.relative_to(data) for path in data.rglob("*") if path.is_file())
    assert written == sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file())
    assert [path for path in written if (data / path).read_bytes() != (tmp_path / path).read_bytes()] == []


def test_japanese_vowels_keeps_the_official_split_and_every_frame(data: Path) -> None:
    table = _table(data / "japanese_vowels.csv")
    assert table.null_count().sum_horizontal().item() == 0
    items = table.group_by("utterance").agg(
        pl.col("part", "speaker").n_unique().name.suffix("s"), pl.col("part").first(), frames=pl.len()
    )
    assert dict(items["part"].value_counts().iter_rows()) == {"train": 270, "test": 370}
    assert (items["frames"].min(), items["frames"].max(), len(table)) == (7, 29, 9961)
    assert set(items["parts"]) == set(items["speakers"]) == {1}
    frames = table.group_by("utterance", maintain_order=True).agg("frame")["frame"]
    assert all(frame == list(range(1, len(frame) + 1)) for frame in frames.to_list())
    first = table.filter(utterance="train-001", frame=1)
    assert (first["cepstrum_1"].item(), first["cepstrum_2"].item()) == (1.860936, -0.207383)


def test_no_line_of_chat_stands_twice_or_in_two_languages(data: Path) -> None:
    table = _table(data / "languages.csv")
    letters = ["".join(filter(str.isalpha, line.casefold())) for line in table["line"]]
    assert len(set(letters)) == len(letters) == 12_979
    assert "" not in letters
    counts = dict(table["language"].value_counts().iter_rows())
    assert (len(counts), counts["hindi"], counts["english"]) == (21, 44, 1725)


def test_a_word_is_one_entry_and_phonemes_bear_no_stress(data: Path) -> None:
    table = _table(data / "phonemes.csv")
    entries = table.group_by("entry").agg(pl.col("word").unique())
    assert set(entries["word"].list.len()) == {1}
    assert len(entries) == table["word"].n_unique() == 20_000
    assert table.select("word", "phonemes").is_duplicated().sum() == 0
    spoken = Counter(table["phonemes"].str.split(" ").explode())
    assert len(spoken) == 39
    assert all(phoneme.isalpha() for phoneme in spoken)


def test_slots_are_bio_and_half_of_the_open_ones_hold_values_that_training_lacks(data: Path) -> None:
    table = _table(data / "slots.parquet")
    assert dict(table["part"].value_counts().iter_rows()) == {"train": 2800, "validation": 400, "test": 800}
    assert (table["words"].list.len() == table["slots"].list.len()).all()
    assert table["words"].list.join(" ").is_duplicated().sum() == 0
    values: dict[str, list[tuple[str, str]]] = {part: [] for part in ("train", "validation", "test")}
    for part, words, tags in table.select("part", "words", "slots").iter_rows():
        before = "O"
        for word, tag in zip(words, tags, strict=True):
            assert not tag.startswith("I-") or before[2:] == tag[2:]
            if tag.startswith("B-"):
                values[part].append((tag[2:], word))
            elif tag.startswith("I-"):
                slot, said = values[part][-1]
                values[part][-1] = (slot, f"{said} {word}")
            before = tag
    # A value that training may use, but by chance does not, can stand in both of the other parts.
    closed = {"room", "date", "time", "duration", "people", "colour"}
    known = set(values["train"])
    for part in ("validation", "test"):
        unseen = [value not in known for value in values[part] if value[0] not in closed]
        assert 0.45 < sum(unseen) / len(unseen) < 0.6
    both = set(values["validation"]) & set(values["test"]) - known
    assert len(both) < 0.05 * len(set(values["test"]) - known)


def test_tones_are_mono_8_khz_and_each_device_has_its_own(data: Path) -> None:
    table = _table(data / "tones.csv")
    assert dict(table["device"].value_counts().iter_rows()) == {f"device {number}": 30 for number in range(1, 21)}
    assert sorted(table["clip"]) == sorted(f"tones/{path.name}" for path in (data / "tones").iterdir())
    heard = [soundfile.info(data / clip) for clip in table["clip"]]
    assert {(sound.samplerate, sound.channels, sound.subtype) for sound in heard} == {(8000, 1, "PCM_16")}
    assert min(sound.duration for sound in heard) > 0.4
    assert max(sound.duration for sound in heard) < 3
    assert {key for keys in table["keys"] for key in keys.split()} == set("123456789*0#")
    assert {len(keys.split()) for keys in table["keys"]} == set(range(3, 10))


def test_rotation_has_one_speed_a_run_and_a_few_missing_readings(data: Path) -> None:
    table = _table(data / "rotation.parquet")
    runs = table.group_by("run").agg(pl.col("rpm").n_unique(), pl.col("machine").n_unique(), steps=pl.len())
    assert (len(runs), set(runs["rpm"]), set(runs["machine"])) == (600, {1}, {1})
    assert (runs["steps"].min(), runs["steps"].max()) == (80, 240)
    assert 180 <= table["rpm"].min() < table["rpm"].max() <= 1500
    assert 0.005 < table["vertical"].null_count() / len(table) < 0.015


def test_activities_name_one_for_each_step_and_each_wearer_does_all(data: Path) -> None:
    table = _table(data / "activities.parquet")
    assert table.null_count().sum_horizontal().item() == 0
    assert (table["recording"].n_unique(), table["wearer"].n_unique()) == (288, 24)
    done = table.group_by("wearer").agg(pl.col("activity").n_unique())
    assert set(done["activity"]) == {5}
    steps = table.group_by("recording", maintain_order=True).agg("step")["step"]
    assert all(step == list(range(len(step))) for step in steps.to_list())
    assert 150 <= steps.list.len().min() < steps.list.len().max() <= 300
