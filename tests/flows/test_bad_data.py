"""Broken data through the command line: exit status 2, rule, received and remedy, and nothing is registered or kept."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
import yaml

from carousel.cli import main

ROWS = [f"{item},2024-01-{day:02d},{day % 7}" for item in ("a", "b") for day in range(1, 29)]


def table(*rows: str, header: str = "item,day,y") -> str:
    return "\n".join([header, *rows]) + "\n"


def changed(line: int, text: str) -> str:
    return table(*(text if i == line else row for i, row in enumerate(ROWS)))


# The CSV's text, settings, and words of the message.
TABLES = {
    "an empty file": ("", [], ["series.csv"]),
    "a header without rows": (table(), [], ["row"]),
    "one row": (table(ROWS[0]), [], ["data.frequency"]),
    "a missing column": (table(*ROWS, header="item,day,yy"), [], ["'y'", "yy"]),
    "a target without a value": (table(*(row.rsplit(",", 1)[0] + "," for row in ROWS)), [], ["y"]),
    "text among numbers": (changed(3, "a,2024-01-04,many"), [], ["y", "many", "data.unparsable"]),
    "a stamp twice": (changed(3, "a,2024-01-03,4"), [], ["2024-01-03", "data.duplicates"]),
    "a stamp that is no date": (changed(3, "a,yesterday,4"), [], ["day", "yesterday"]),
    "an empty stamp": (changed(3, "a,,4"), [], ["day"]),
    "an empty item": (changed(3, ",2024-01-04,4"), [], ["item"]),
    "infinity": (changed(3, "a,2024-01-04,inf"), [], ["y", "data.infinite"]),
    "zoned and naive stamps": (changed(3, "a,2024-01-04T00:00:00Z,4"), [], ["day"]),
    "a stamp off the grid": (changed(3, "a,2024-01-04T05:00:00,4"), [], ["data.frequency"]),
    "a gap where none is allowed": (table(*ROWS[:3], *ROWS[4:]), ["data.gaps=error"], ["2024-01-04"]),
    "a horizon longer than the data": (table(*ROWS), ["problem.horizon=100"], ["problem.horizon", "28"]),
    "more test windows than the data hold": (table(*ROWS), ["split.test_windows=50"], ["split.test_windows"]),
    "one column in two roles": (table(*ROWS), ["data.known_covariates=[y]"], ["y"]),
    "an unknown time zone": (table(*ROWS), ["data.time_zone=Mars/Olympus"], ["Mars/Olympus"]),
    "no file": (table(*ROWS), ["data.source=nowhere.csv"], ["nowhere.csv"]),
    "a file that is no parquet": (table(*ROWS), ["data.source=fake.parquet"], ["fake.parquet"]),
    "an unknown protocol": (table(*ROWS), ["data.source=gopher://x/y.csv"], ["gopher"]),
    "bad SQL": (table(*ROWS), ["data.source={sql: selec 1, connection: 'sqlite:///real.db'}"], ["selec"]),
    "a database out of reach": (
        table(*ROWS),
        ["data.source={sql: select 1, connection: 'postgresql://127.0.0.1:9/none'}"],
        ["127.0.0.1"],
    ),
    "a name that the registry refuses": (table(*ROWS), ["name=a/b"], ["a/b"]),
}


@pytest.mark.parametrize("name", TABLES)
def test_broken_data_are_refused_before_anything_is_computed(
    name: str, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    text, settings, words = TABLES[name]
    Path("series.csv").write_text(text)
    Path("fake.parquet").write_text("not parquet")
    sqlite3.connect("real.db").close()
    sound = {
        "data": {"source": "series.csv", "item_id": "item", "timestamp": "day", "target": "y"},
        "problem": {"kind": "forecast", "horizon": 4},
    }
    Path("experiment.yaml").write_text(yaml.safe_dump(sound))
    options = [part for setting in settings for part in ("--set", setting)]
    assert main(["check", "experiment.yaml", *options]) == 2
    printed = capsys.readouterr().err
    assert all(word in printed for word in ("error: ", "received: ", "remedy: ", *words)), printed
    assert not list(home.glob("stages/*/*"))
    assert not list(home.glob("*.db"))
