"""Sequences of every input kind become one canonical table, wherever they lie and however they are laid out."""

from __future__ import annotations

import json
import sqlite3
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import polars as pl
import pytest
from pydantic import TypeAdapter, ValidationError
from sequence_tables import AUDIO, LISTS, LONG, STEPS, TEXT, TOKENS, ingested, sentences, tone, wav, write_clips

from tasks.data import buckets, intake
from tasks.ingest import Data, SequenceData, SeriesData
from tasks.inputs import audio, numeric
from tasks.inputs.registry import MODULES, InputKind, input_kind


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n")
    return path


def test_texts_keep_their_order_their_labels_and_the_other_columns(home: Path, tmp_path: Path) -> None:
    frame = sentences()
    frame.write_csv(tmp_path / "data.csv")
    table = ingested(tmp_path / "data.csv", input=TEXT, target="label")
    assert table.rows.columns == ["item_id", "input", "source", "target", "writer"]
    assert table.rows.select("input", "target", "writer").rows() == frame.rows()
    assert table.rows["item_id"].to_list() == [str(row) for row in range(1, 61)]
    roles = {"item_id": [], "input": ["text"], "step": None, "target": ["label"]}
    assert table.facts["columns"] == {**roles, "layout": "items", "step_type": None}
    assert (table.facts["input"], table.facts["items"], table.facts["size"]["unit"]) == ("text", 60, "characters")


def test_a_text_that_reads_like_a_null_is_a_text(home: Path, tmp_path: Path) -> None:
    table = ingested(write(tmp_path / "data.csv", "text", "NA", "null", "None"), input=TEXT)
    assert table.rows["input"].to_list() == ["NA", "null", "None"]


def test_an_empty_transcript_is_one_and_a_missing_one_is_not(home: Path, tmp_path: Path) -> None:
    table = ingested(write(tmp_path / "data.csv", "text,y", 'hm,""', "yes,y"), input=TEXT, target="y")
    assert table.rows["target"].to_list() == ["", "y"]


def test_tokens_come_as_lists_and_as_text_alike(home: Path, tmp_path: Path) -> None:
    lists = [["Play", "it"], ["stop"]]
    pl.DataFrame({"tokens": lists, "tags": [["O", "B-x"], ["O"]]}).write_parquet(tmp_path / "a.parquet")
    write(tmp_path / "b.csv", "tokens,tags", "Play  it,O B-x", "stop,O")
    write(tmp_path / "c.csv", "tokens,tags", "Play|it,O B-x", "stop,O")
    for name, separator in (("a.parquet", " "), ("b.csv", " "), ("c.csv", "|")):
        table = ingested(tmp_path / name, input={**TOKENS, "separator": separator}, target="tags")
        assert table.rows["input"].to_list() == lists, name
    assert table.facts["size"] == {"unit": "tokens", "total": 3.0, "least": 1.0, "median": 1.5, "most": 2.0}


def test_long_tables_and_lists_of_channels_give_the_same_items(home: Path, tmp_path: Path) -> None:
    shuffled = [STEPS[0], *(STEPS[i] for i in (5, 2, 1, 4, 3))]
    lists = {"k": ["a", "b"], "x": [[1, 2, 4], [0, 1]], "y": [[10, 20, 15], [5, 4]], "label": ["u", "v"]}
    pl.DataFrame(lists).write_parquet(tmp_path / "lists.parquet")
    long = ingested(write(tmp_path / "long.csv", *shuffled), input=LONG, item_id="k", target="label")
    wide = ingested(tmp_path / "lists.parquet", input=LISTS, item_id="k", target="label")
    expected = [[[1, 10], [2, 20], [4, 15]], [[0, 5], [1, 4]]]
    for table in (long, wide):
        assert table.rows["item_id"].to_list() == ["a", "b"]
        assert [item.tolist() for item in numeric.raws(table.rows)] == expected
    assert long.rows["target"].to_list() == [["u", "u", "u"], ["v", "v"]]
    assert wide.rows["target"].to_list() == ["u", "v"]
    roles = {"item_id": ["k"], "input": ["x", "y"], "target": ["label"]}
    assert long.facts["columns"] == {**roles, "step": "t", "layout": "steps", "step_type": "integer"}
    assert wide.facts["columns"] == {**roles, "step": None, "layout": "items", "step_type": None}


def test_steps_may_be_dates_and_without_a_step_column_rows_are_in_order(home: Path, tmp_path: Path) -> None:
    dates = ["k,t,x", "a,2024-01-10,3", "a,2024-01-09,2", "a,2023-12-31,1"]
    column = {"kind": "numeric", "columns": "x"}
    dated = ingested(write(tmp_path / "d.csv", *dates), input={**column, "step": "t"}, item_id="k")
    assert [item[:, 0].tolist() for item in numeric.raws(dated.rows)] == [[1, 2, 3]]
    plain = ingested(tmp_path / "d.csv", input=column, item_id="k")
    assert [item[:, 0].tolist() for item in numeric.raws(plain.rows)] == [[3, 2, 1]]


@pytest.mark.parametrize(
    ("steps", "step_type"),
    [
        (["1", "02"], "integer"),
        (["1", "1.5"], "number"),
        (["2024-01", "2024-01-09T05:00"], "datetime"),
        ([1, 2], "integer"),
        ([1.0, 2.0], "number"),
        ([date(2024, 1, 1), date(2024, 1, 2)], "datetime"),
        ([datetime(2024, 1, 1), datetime(2024, 1, 2)], "datetime"),
        ([time(4), time(5)], "text"),
        ([timedelta(hours=4), timedelta(hours=5)], "number"),
    ],
)
def test_a_table_tells_what_its_step_column_holds(steps: list[Any], step_type: str, home: Path, tmp_path: Path) -> None:
    pl.DataFrame({"k": ["a", "a"], "t": steps, "x": [2.0, 3.0]}).write_parquet(tmp_path / "data.parquet")
    table = ingested(tmp_path / "data.parquet", input={**LONG, "columns": "x"}, item_id="k")
    assert table.facts["columns"]["step_type"] == step_type
    assert [item[:, 0].tolist() for item in numeric.raws(table.rows)] == [[2, 3]]


@pytest.mark.parametrize("name", ["item_id", "len", "item:id"])
def test_an_item_column_may_have_any_name(name: str, home: Path, tmp_path: Path) -> None:
    rows = [line.replace("k,", f"{name},", 1) for line in STEPS]
    long = ingested(write(tmp_path / "long.csv", *rows), input=LONG, item_id=name, target="label")
    lists = {name: ["a", "b"], "x": [[1.0], [2.0]], "y": [[1.0], [3.0]]}
    pl.DataFrame(lists).write_parquet(tmp_path / "lists.parquet")
    text = write(tmp_path / "text.csv", f"{name},text", "a,one", "b,two")
    wide = ingested(tmp_path / "lists.parquet", input=LISTS, item_id=name)
    for table in (long, wide, ingested(text, input=TEXT, item_id=name)):
        assert table.rows["item_id"].to_list() == ["a", "b"]


def test_policies_for_numbers_do_what_they_say(home: Path, tmp_path: Path) -> None:
    path = write(tmp_path / "data.csv", *STEPS, "b,2,7,7,v", "b,3,?,1,v", "b,4,inf,2,v")
    kept = {"first": 1.0, "last": 7.0}
    for policy, value in kept.items():
        section = {**LONG, "duplicates": policy, "unparsable": None, "infinite": "null"}
        table = ingested(path, input=section, item_id="k")
        item = list(numeric.raws(table.rows))[1]
        np.testing.assert_array_equal(item[:, 0], [0.0, value, np.nan, np.nan])
        assert table.finding("duplicate_steps")["action"] == f"the {policy} kept"
        assert table.finding("unparsable")["examples"] == ["'?' in row 7"]
        assert table.finding("null_channel")["count"] == 2


def test_columns_that_vary_within_an_item_are_left_out_and_said_so(home: Path, tmp_path: Path) -> None:
    lines = ["k,t,x,speaker,noise", "a,1,1,s,4", "a,2,2,s,5", "b,1,3,,4"]
    table = ingested(write(tmp_path / "data.csv", *lines), input={**LONG, "columns": "x"}, item_id="k")
    assert table.rows.columns == ["item_id", "input", "source", "k", "speaker"]
    assert table.rows["speaker"].to_list() == ["s", None]
    assert "'noise'" in table.finding("left_out")["message"]
    flat = ingested(write(tmp_path / "own.csv", "text,source", "one,web"), input=TEXT)
    assert "'source'" in flat.finding("left_out")["message"]


def test_constant_channels_repeated_inputs_and_disputed_labels_are_reported(home: Path, tmp_path: Path) -> None:
    lines = ["k,t,x,y", "a,1,1,7", "a,2,2,7", "b,1,0,7"]
    table = ingested(write(tmp_path / "flat.csv", *lines), input=LONG, item_id="k")
    assert "the same value, 7" in table.finding("constant_channel")["message"]
    table = ingested(write(tmp_path / "t.csv", "text,y", "one,a", "one,b", "two,a", "two,a"), input=TEXT, target="y")
    assert (table.finding("repeated_input")["count"], table.finding("disputed_input")["count"]) == (2, 1)
    table = ingested(write(tmp_path / "u.csv", "text", "caf\ufffd"), input=TEXT)
    assert table.finding("broken_text")["examples"] == ["row 1"]


def test_several_target_columns_are_the_labels_that_hold(home: Path, tmp_path: Path) -> None:
    lines = ["text,red,big", "one,1,0", "two,1,1", "three,0,0"]
    table = ingested(write(tmp_path / "data.csv", *lines), input=TEXT, target=["red", "big"])
    assert table.rows["target"].to_list() == [["red"], ["red", "big"], []]


def test_audio_is_kept_as_it_is_and_other_rates_are_reported(home: Path, tmp_path: Path) -> None:
    clips = {"a.wav": wav(tone(300)), "b.wav": wav(tone(400)), "c.wav": wav(tone(300, rate=16000), 16000)}
    table = ingested(write_clips(tmp_path / "in", clips, speaker=["x", "y", "y"]), input=AUDIO, target="speaker")
    assert table.rows["input"].to_list() == list(clips.values())
    assert table.rows["source"].to_list() == [f"wav/{name}" for name in clips]
    assert (table.facts["sample_rate"], table.facts["size"]["total"]) == (8000, 0.6)
    assert table.finding("mixed_rates")["examples"] == ["1 of 16,000 Hz"]
    facts = audio.fit(lambda: iter(()), table.facts)
    assert [len(raw) for raw in audio.raws(table.rows, facts)] == [1600, 1600, 1600]


def test_audio_is_found_as_folder_glob_file_bytes_and_below_a_root(home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    clips = {"a.wav": wav(tone(300)), "b.wav": wav(tone(400))}
    index = write_clips(folder, clips)
    pl.DataFrame({"path": list(clips.values())}).write_parquet(tmp_path / "bytes.parquet")
    index.rename(tmp_path / "elsewhere.csv")
    memory = fsspec.filesystem("memory")
    for name, content in clips.items():
        memory.pipe(f"/sounds/wav/{name}", content)
    memory.pipe("/sounds/index.csv", (tmp_path / "elsewhere.csv").read_bytes())
    sources = [folder, folder / "wav", folder / "wav" / "*.wav", tmp_path / "bytes.parquet"]
    for source in [*sources, "memory://sounds/index.csv"]:
        assert ingested(source, input=AUDIO).rows["input"].to_list() == list(clips.values()), source
    rooted = ingested(tmp_path / "elsewhere.csv", input={**AUDIO, "root": str(folder)})
    assert rooted.rows["input"].to_list() == list(clips.values())
    assert len(ingested(folder / "wav" / "a.wav", input=AUDIO).rows) == 1
    assert ingested(folder, input=AUDIO, target="folder").rows["target"].to_list() == ["wav", "wav"]


def test_fingerprint_covers_the_content_of_the_audio_files(home: Path, tmp_path: Path) -> None:
    index = write_clips(tmp_path / "in", {"a.wav": wav(tone(300))})
    first = ingested(index, input=AUDIO).table
    assert ingested(index, input=AUDIO).table == first
    write_clips(tmp_path / "in", {"a.wav": wav(tone(500))})
    assert ingested(index, input=AUDIO).table.fingerprint != first.fingerprint


def test_a_query_keeps_all_columns_of_its_result(home: Path, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "data.db") as connection:
        connection.execute("create table lines (line text, language text, author text)")
        connection.execute("insert into lines values ('hello', 'en', 'p'), ('bonjour', 'fr', 'q')")
    query: Any = {"sql": "select * from lines order by author", "connection": f"sqlite:///{tmp_path}/data.db"}
    table = ingested(query, input={"kind": "text", "column": "line"}, target="language")
    assert table.rows.rows() == [("1", "hello", None, "en", "p"), ("2", "bonjour", None, "fr", "q")]


def test_without_a_target_the_same_section_reads_new_data(home: Path, tmp_path: Path) -> None:
    path = write(tmp_path / "new.csv", "k,t,x,y", "a,1,1,2", "a,2,2,3")
    for target in (None, []):
        table = ingested(path, input=LONG, item_id="k", target=target)
        assert table.rows.columns == ["item_id", "input", "source", "k"]


def test_memory_holds_a_part_and_parts_do_not_change_the_items(home: Path, tmp_path: Path, monkeypatch) -> None:
    rng = np.random.default_rng(0)
    item = np.repeat(np.arange(200), rng.integers(1, 9, 200))
    frame = pl.DataFrame({"k": item, "t": np.arange(len(item)), "x": rng.normal(size=len(item)), "label": item % 3})
    frame.sample(fraction=1.0, shuffle=True, seed=1).write_parquet(tmp_path / "long.parquet")
    sentences(500).write_csv(tmp_path / "text.csv")
    sections: dict[str, dict[str, Any]] = {
        "long.parquet": {"input": {**LONG, "columns": "x"}, "item_id": "k", "target": "label"},
        "text.csv": {"input": TEXT, "target": "label"},
    }
    whole = {name: ingested(tmp_path / name, **section).rows for name, section in sections.items()}
    monkeypatch.setenv("CAROUSEL_HOME", str(tmp_path / "other"))
    monkeypatch.setattr(buckets, "CELLS", 1000)
    monkeypatch.setattr(intake, "_MOST_ROWS", 90)
    for name, section in sections.items():
        table = ingested(tmp_path / name, **section)
        assert len(list(table.directory.glob("part-*"))) > 2, name
        assert table.rows.equals(whole[name]), name


def test_every_input_kind_has_its_functions() -> None:
    for name in MODULES:
        module = input_kind(name)
        members = [member for member in vars(InputKind) if not member.startswith("_")]
        assert {"open_input", "parts", "raws", "fit", "UNIT", "signature", "goes_in"} < set(members)
        assert [member for member in members if not hasattr(module, member)] == [], name


def test_data_of_either_form_is_told_apart_and_unknown_keys_are_refused_by_name() -> None:
    adapter = TypeAdapter(Data)
    sequences = {"source": "f.csv", "input": TEXT, "target": "y"}
    assert isinstance(adapter.validate_python(sequences), SequenceData)
    assert isinstance(adapter.validate_python({"source": "f.csv", "timestamp": "t", "target": "y"}), SeriesData)
    read = adapter.validate_python(sequences)
    assert adapter.validate_python(json.loads(read.model_dump_json())) == read
    with pytest.raises(ValidationError, match=r"SequenceData\.input\.text\.colum"):
        adapter.validate_python({**sequences, "input": {"kind": "text", "colum": "text"}})
    with pytest.raises(ValidationError, match="timestamp"):
        adapter.validate_python({**sequences, "timestamp": "t"})
