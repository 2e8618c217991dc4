"""Every bad item of a table of sequences is refused, or left out on demand, with its row, its path or its id."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from sequence_tables import AUDIO, LISTS, LONG, STEPS, TEXT, TOKENS, ingested, tone, wav, write_clips

from tasks.errors import InputError


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n")
    return path


# Lines of a CSV, the section data without its source, and what the message must hold.
BAD_ROWS: dict[str, tuple[list[str], dict[str, Any], list[str]]] = {
    "empty text": (["text,y", "one,a", "  ,b"], {"input": TEXT, "target": "y"}, ["text for every", "row 2", "drop"]),
    "missing text": (["text,y", "one,a", ",b"], {"input": TEXT, "target": "y"}, ["a text for every item", "row 2"]),
    "null target": (["text,y", "one,a", "two,"], {"input": TEXT, "target": "y"}, ["a target in 'y'", "row 2"]),
    "null word as target": (["text,y", "one,NA", "two,b"], {"input": TEXT, "target": "y"}, ["row 1", "null_values"]),
    "no rows": (["text,y"], {"input": TEXT, "target": "y"}, ["must have rows"]),
    "misspelt input": (["text,y", "one,a"], {"input": {"kind": "text", "column": "txt"}}, ["close to it: 'text'"]),
    "misspelt target": (["text,y", "one,a"], {"input": TEXT, "target": "z"}, ["'z' must exist", "data.target"]),
    "target that is the input": (["text,y", "one,a"], {"input": TEXT, "target": "text"}, ["one role", "data.target"]),
    "repeated ids": (["k,text", "p,one", "p,two"], {"input": TEXT, "item_id": "k"}, ["ids of 'k' must differ", "p"]),
    "null id": (["k,text", "p,one", ",two"], {"input": TEXT, "item_id": "k"}, ["item column 'k'", "row 2"]),
    "no tokens": (["tokens,y", "a b,O O", " ,O"], {"input": TOKENS, "target": "y"}, ["a token for every", "row 2"]),
    "empty token": (["tokens", "a|b", "a||b"], {"input": {**TOKENS, "separator": "|"}}, ["must not be empty", "row 2"]),
    "indicators": (["text,u,v", "one,1,0", "two,2,1"], {"input": TEXT, "target": ["u", "v"]}, ["0 or 1 each", "row 2"]),
    "text in a channel": ([*STEPS, "b,3,?,1,v"], {"input": LONG, "item_id": "k"}, ["'?' in row 6", "input.unparsable"]),
    "infinity": ([*STEPS, "b,3,inf,1,v"], {"input": LONG, "item_id": "k"}, ["'inf' in row 6", "data.input.infinite"]),
    "huge": ([*STEPS, "b,3,1e31,1,v"], {"input": LONG, "item_id": "k"}, ["below 1e+30", "'1e31' in row 6"]),
    "duplicate step": ([*STEPS, "b,2,1,1,v"], {"input": LONG, "item_id": "k"}, ["item b at 2", "input.duplicates"]),
    "null step": ([*STEPS, "b,,1,1,v"], {"input": LONG, "item_id": "k"}, ["step column 't'", "row 6"]),
    "step in words": ([*STEPS, "b,soon,1,1,v"], {"input": LONG, "item_id": "k"}, ["ISO dates", "'soon' in row 6"]),
    "null item": ([*STEPS, ",3,1,1,v"], {"input": LONG, "item_id": "k"}, ["item column 'k'", "row 6"]),
    "no item column": (STEPS, {"input": LONG}, ["tell one sequence from another", "data.item_id"]),
    "valueless item": ([*STEPS, "c,1,,,v"], {"input": LONG, "item_id": "k"}, ["a step with a value", "item c"]),
    "item without a label": ([*STEPS, "c,1,1,1,"], {"input": LONG, "item_id": "k", "target": "label"}, ["item c"]),
    "two targets of steps": (STEPS, {"input": {**LONG, "columns": "x"}, "item_id": "k", "target": ["y", "label"]},
                             ["one target column", "y, label"]),
    "empty channel": (["k,t,x,y", "a,1,1,", "a,2,3,"], {"input": LONG, "item_id": "k"}, ["channel 'y' must have"]),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_ROWS)
def test_bad_rows_are_refused_with_their_place(name: str, home: Path, tmp_path: Path) -> None:
    lines, section, said = BAD_ROWS[name]
    with pytest.raises(InputError) as refused:
        ingested(write(tmp_path / "data.csv", *lines), **section)
    for part in said:
        assert part in str(refused.value)
    assert not list(home.glob("stages/ingest/*/manifest.json"))


LIST_ROWS: dict[str, tuple[dict[str, list[Any]], dict[str, Any], list[str]]] = {
    "empty list": ({"x": [[1.0], []], "y": [[1.0], []]}, LISTS, ["a step with a value", "row 2"]),
    "missing list": ({"x": [[1.0], None], "y": [[1.0], None]}, LISTS, ["a step with a value", "row 2"]),
    "lists of nulls": ({"x": [[1.0], [None]], "y": [[1.0], [None]]}, LISTS, ["a step with a value", "row 2"]),
    "uneven channels": ({"x": [[1.0], [1.0, 2.0]], "y": [[1.0], [1.0]]}, LISTS, ["as many steps", "row 2"]),
    "infinity": ({"x": [[1.0], [np.inf]], "y": [[1.0], [2.0]]}, LISTS, ["'x' must be finite", "row 2"]),
    "texts in lists": ({"x": [["a"], ["b"]], "y": [[1.0], [1.0]]}, LISTS, ["lists of numbers"]),
    "lists beside numbers": ({"x": [[1.0]], "y": [1.0]}, LISTS, ["all numbers, or all lists"]),
    "steps of lists": ({"x": [[1.0]], "y": [[1.0]], "t": [1]}, LONG, ["data.input.step"]),
    "numbers as tokens": ({"tokens": [[1, 2]]}, TOKENS, ["lists of text"]),
    "empty token list": ({"tokens": [["a"], []]}, TOKENS, ["a token for every item", "row 2"]),
    "null token": ({"tokens": [["a"], ["b", None]]}, TOKENS, ["must not be empty", "row 2"]),
    "numbers as text": ({"text": [1, 2]}, TEXT, ["Int64 for text"]),
    "numbers as paths": ({"path": [1, 2]}, AUDIO, ["paths or bytes"]),
}


@pytest.mark.parametrize(
    ("column", "section", "said"),
    [
        (pl.Series([b"\xff", b"\x00"]), {"target": "c"}, "Binary for data.target"),
        (pl.Series([[b"\xff"], [b"\x00"]]), {"target": "c"}, "List(Binary) for data.target"),
        (pl.Series([{"a": 1}, {"a": 2}]), {"target": "c"}, "Struct({'a': Int64}) for data.target"),
        (pl.Series([[1], [0]]), {"target": ["c", "d"]}, "List(Int64) for data.target"),
        (pl.Series([b"\xff", b"\x00"]), {"item_id": "c"}, "Binary for data.item_id"),
        (pl.Series([["a"], ["b"]]), {"item_id": "c"}, "List(String) for data.item_id"),
    ],
)
def test_columns_of_a_type_that_cannot_be_a_target_or_an_id_are_refused(
    column: pl.Series, section: dict[str, Any], said: str, home: Path, tmp_path: Path
) -> None:
    pl.DataFrame({"text": ["one", "two"], "c": column, "d": [0, 1]}).write_parquet(tmp_path / "data.parquet")
    with pytest.raises(InputError) as refused:
        ingested(tmp_path / "data.parquet", input=TEXT, **section)
    assert "column 'c' must be of a type that its role can use" in str(refused.value)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("path", "root", "said"),
    [
        (
            "a.wav",
            "nosuch://bucket",
            "the audio files must be reachable (got ValueError from the file system of nosuch://",
        ),
        ("nosuch://bucket/a.wav", None, "the audio files must be reachable (got ValueError"),
        ("a.wav", "oci://bucket", "the audio files must be reachable (got ImportError from the file system of oci://"),
    ],
)
def test_audio_that_no_file_system_reaches_is_refused_with_the_remedy(
    path: str, root: str | None, said: str, home: Path, tmp_path: Path
) -> None:
    index = write(tmp_path / "index.csv", "path", path)
    with pytest.raises(InputError) as refused:
        ingested(index, input={**AUDIO, "root": root})
    assert said in str(refused.value)
    assert "fsspec's package for it is installed" in str(refused.value)


@pytest.mark.parametrize("name", LIST_ROWS)
def test_bad_lists_and_types_are_refused_with_their_place(name: str, home: Path, tmp_path: Path) -> None:
    columns, section, said = LIST_ROWS[name]
    pl.DataFrame(columns, strict=False).write_parquet(tmp_path / "data.parquet")
    with pytest.raises(InputError) as refused:
        ingested(tmp_path / "data.parquet", input=section)
    for part in said:
        assert part in str(refused.value)


BAD_CLIPS: dict[str, tuple[bytes | None, str]] = {
    "missing": (None, "must exist"),
    "no audio at all": (b"not a sound", "readable as WAV, FLAC"),
    "empty file": (b"", "readable as WAV, FLAC"),
    "truncated": (wav(tone(300))[:1000], "as long as its header says"),
    "header alone": (wav(tone(300))[:44], "as long as its header says"),
    "silent": (wav(np.zeros(800)), "must not be silent"),
    "a constant": (wav(np.full(800, 0.5)), "must not be silent"),
    "of a low rate": (wav(tone(300, rate=2000), 2000), "at least 4,000 samples a second"),
}


@pytest.mark.parametrize("name", BAD_CLIPS)
def test_bad_audio_is_refused_with_its_path_and_row(name: str, home: Path, tmp_path: Path) -> None:
    content, said = BAD_CLIPS[name]
    index = write_clips(tmp_path / "in", {"good.wav": wav(tone(300)), "bad.wav": content}, digit=["1", "2"])
    with pytest.raises(InputError, match=said) as refused:
        ingested(index, input=AUDIO, target="digit")
    assert "wav/bad.wav in row 2" in str(refused.value)


def test_all_breaches_of_a_table_are_told_at_once(home: Path, tmp_path: Path) -> None:
    clips = {f"{i}.wav": content for i, (content, _) in enumerate(BAD_CLIPS.values())}
    with pytest.raises(InputError) as refused:
        ingested(write_clips(tmp_path / "in", clips), input=AUDIO)
    for _, said in BAD_CLIPS.values():
        assert said in str(refused.value)


def test_unusable_items_are_left_out_on_demand_and_reported(home: Path, tmp_path: Path) -> None:
    clips = {f"{i}.wav": content for i, (content, _) in enumerate(BAD_CLIPS.values())} | {"ok.wav": wav(tone(300))}
    table = ingested(write_clips(tmp_path / "in", clips), input=AUDIO, unusable="drop")
    assert table.rows["source"].to_list() == ["wav/ok.wav"]
    assert table.finding("missing_audio")["examples"] == ["wav/0.wav in row 1"]
    assert {table.finding(check)["level"] for check in ("silent_audio", "truncated_audio")} == {"warning"}
    path = write(tmp_path / "data.csv", "text,y", "one,a", ",b", "three,")
    assert ingested(path, input=TEXT, target="y", unusable="drop").rows["input"].to_list() == ["one"]
    with pytest.raises(InputError, match="an item that something can be learned from"):
        ingested(write(tmp_path / "none.csv", "text,y", ",a"), input=TEXT, unusable="drop")


def test_bytes_that_are_no_utf8_are_named_with_their_line(home: Path, tmp_path: Path) -> None:
    (tmp_path / "latin.csv").write_bytes("text,y\nplain,a\ncafé,b\n".encode("latin1"))
    with pytest.raises(InputError, match="UTF-8") as refused:
        ingested(tmp_path / "latin.csv", input=TEXT, target="y")
    assert "line 3 of latin.csv (b'caf\\xe9,b\\n')" in str(refused.value)
    assert "iconv" in str(refused.value)
