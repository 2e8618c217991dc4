"""Every broken experiment is refused with rule, received value and remedy, exit status 2, before anything starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from carousel.cli import main

SOUND: dict[str, Any] = {
    "data": {"source": "series.csv", "item_id": "item", "timestamp": "day", "target": "y"},
    "problem": {"kind": "forecast", "horizon": 4},
}

# What --set changes in a sound experiment, the key that the message must name, and a word of the remedy.
SETTINGS = {
    "unknown section": ("serach.seed=1", "serach: no such parameter", "did you mean search?"),
    "unknown key in a section": (
        "search.time_buget=2m",
        "search.time_buget: no such parameter",
        "did you mean time_budget?",
    ),
    "unknown key unlike any other": ("fit.qqq=1", "fit.qqq: no such parameter", "Known here: members"),
    "unknown key of the problem": ("problem.horizn=3", "problem.horizn: no such parameter", "did you mean horizon?"),
    "text for a number": ("problem.horizon=long", "problem.horizon: must be a valid integer", "Steps to predict"),
    "fraction for a whole number": (
        "problem.horizon=2.5",
        "problem.horizon: must be a valid integer",
        "Steps to predict",
    ),
    "negative horizon": ("problem.horizon=-3", "problem.horizon: must be greater than or equal to 1", "change it"),
    "horizon of zero": ("problem.horizon=0", "problem.horizon: must be greater than or equal to 1", "change it"),
    "null for a number": ("problem.horizon=null", "problem.horizon: must be a valid integer", "Steps to predict"),
    "season of zero": ("problem.season_length=0", "problem.season_length: must be greater", "Steps in a season"),
    "unknown kind of problem": ("problem.kind=forcast", "problem.kind: must be one of", "did you mean forecast?"),
    "quantiles that fall": (
        "problem.quantiles=[0.9, 0.5, 0.1]",
        "problem.quantiles: quantile levels must rise",
        "0.1, 0.5",
    ),
    "quantiles without the median": ("problem.quantiles=[0.1, 0.9]", "problem.quantiles: quantile levels", "0.1, 0.5"),
    "quantile above one": ("problem.quantiles=[0.1, 0.5, 0.9, 1.5]", "problem.quantiles: quantile levels", "0.1, 0.5"),
    "quantiles that are no list": ("problem.quantiles=most", "problem.quantiles: must be a valid list", "0.1, 0.5"),
    "duration in words": (
        "search.time_budget=two minutes",
        "search.time_budget: must match pattern",
        "90s, 2m or 1h30m",
    ),
    "duration without a unit": ("search.time_budget=120", "search.time_budget: must be a valid string", "90s, 2m"),
    "no trials": ("search.max_trials=0", "search.max_trials: must be greater than or equal to 1", "change it"),
    "unknown metric": (
        "search.metric=masse",
        "search.metric: must be one that problem forecast has",
        "did you mean mase?",
    ),
    "no kind of problem": ("problem={}", "problem.kind: must be one of forecast", "problem.kind"),
    "a problem that reads sequences": ("problem={kind: classify}", "problem classify learns from seq", "data.input"),
    "an input that the problem cannot read": (
        "data={source: a.csv, target: y, input: {kind: audio, column: path}}",
        "problem forecast learns from series",
        "data.timestamp",
    ),
    "an unknown input": (
        "data={source: a.csv, target: y, input: {kind: txt, column: path}}",
        "data.input.kind: must be one of",
        "did you mean text?",
    ),
    "a parameter without values": ("search.space={head: []}", "search.space: must have at least 1", "head: [direct]"),
    "text for a switch": ("search.pruning=perhaps", "search.pruning: must be a valid boolean", "the better half"),
    "negative seed": ("search.seed=-1", "search.seed: must be greater than or equal to 0", "change it"),
    "too many members": ("fit.members=1000", "fit.members: must be less than or equal to 64", "predict together"),
    "unknown precision": ("fit.precision=8-bit", "fit.precision: must be '32-true'", "choose"),
    "unknown baseline": ("evaluate.baselines=[arima]", "evaluate.baselines: must be ones that problem", "last_value"),
    "no test windows": ("split.test_windows=0", "split.test_windows: must be greater", "sealed part"),
    "a split of another kind of data": (
        "split.group=x",
        "problem forecast splits series",
        "leave it out; known here: stride, test_windows, validation_windows",
    ),
    "unknown promotion": (
        "register.promote=always",
        "register.promote: must be 'auto', 'approve' or 'never'",
        "choose",
    ),
    "a number for a source": ("data.source=5", "data.source: must be a valid string, or must be", "A CSV or parquet"),
    "a query without its database": (
        "data.source={sql: select 1}",
        "data.source.connection: must be given",
        "add the key",
    ),
    "no target": ("data.target=[]", "data.target: must have at least 1 item", "change it"),
    "a mapping for a column": ("data.timestamp={a: b}", "data.timestamp: must be a valid string", "Dates"),
    "unknown frequency": ("data.frequency=hourly", "data.frequency: must match pattern", "15m, 1h"),
    "unknown choice for gaps": ("data.gaps=fill", "data.gaps: must be 'mask'", "choose"),
    "a list for a section": ("search=[1]", "search: must be a valid dictionary", "change it"),
    "a setting without a value": ("search.seed", "--set takes KEY=VALUE", "search.time_budget=2m"),
    "a setting without a key": ("=3", "--set takes KEY=VALUE", "search.time_budget=2m"),
    "a setting through a value": ("data.source.path=x", "--set data.source.path must lead through sections", "replace"),
    "a setting that is no YAML": ("search.seed=[1", "--set search.seed must be valid YAML", "mend"),
}

FILES = {
    "an empty file": ("", "an experiment is a mapping", "an empty file", "data:"),
    "a list": ("- data\n- problem\n", "an experiment is a mapping", "list", "data:"),
    "plain text": ("just words", "an experiment is a mapping", "str", "data:"),
    "numbers as keys": ("1: a\n", "an experiment is a mapping", "dict", "data:"),
    "broken YAML": ("data: {source: a\nproblem: 3\n", "must be valid YAML", "line 2", "mend the line"),
    "a tab for indentation": ("data:\n\tsource: a\n", "must be valid YAML", "line 2", "mend the line"),
    "a key twice": ("data: {}\ndata: {}\n", "must be valid YAML", "'data' stands twice", "mend the line"),
    "no sections but a name": ("name: x\n", "data: must be given", "nothing", "add the key data"),
    "a section without a value": (
        "data:\nproblem: {horizon: 3}\n",
        "data: must be a valid dictionary",
        "None",
        "change it",
    ),
}


@pytest.fixture(autouse=True)
def in_a_directory_of_its_own(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture(params=["run", "check"])
def command(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.mark.parametrize("name", SETTINGS)
def test_a_broken_setting_is_refused_by_key(name: str, capsys: pytest.CaptureFixture[str], home: Path) -> None:
    setting, rule, remedy = SETTINGS[name]
    Path("experiment.yaml").write_text(yaml.safe_dump(SOUND))
    assert main(["run", "experiment.yaml", "--set", setting]) == 2
    _assert_refused(capsys.readouterr(), home, rule, "", remedy)


@pytest.mark.parametrize("name", FILES)
def test_a_broken_file_is_refused(name: str, command: str, capsys: pytest.CaptureFixture[str], home: Path) -> None:
    text, rule, received, remedy = FILES[name]
    Path("experiment.yaml").write_text(text)
    assert main([command, "experiment.yaml"]) == 2
    _assert_refused(capsys.readouterr(), home, rule, received, remedy)


def test_a_missing_file_is_refused_with_the_nearest_name(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    Path("tourism.yaml").write_text("{}")
    assert main(["run", "turism.yaml"]) == 2
    _assert_refused(capsys.readouterr(), home, "a readable YAML file", "no file at turism.yaml", "tourism.yaml")


def test_a_directory_and_binary_text_are_refused(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    assert main(["run", "."]) == 2
    _assert_refused(capsys.readouterr(), home, "a readable YAML file", "directory", "UTF-8")
    Path("experiment.yaml").write_bytes(b"\xff\xfe\x00data")
    assert main(["run", "experiment.yaml"]) == 2
    _assert_refused(capsys.readouterr(), home, "a readable YAML file", "decode", "UTF-8")


def test_all_that_is_wrong_is_named_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    wrong = {"data": {"target": "y"}, "problem": {"kind": "forecast"}, "search": {"seeed": 1}}
    Path("experiment.yaml").write_text(yaml.safe_dump(wrong))
    assert main(["check", "experiment.yaml"]) == 2
    said = capsys.readouterr().err
    assert [line for line in said.splitlines() if line.startswith("error")] == [
        "error: data.source: must be given",
        "error: data.timestamp: must be given",
        "error: problem.horizon: must be given",
        "error: search.seeed: no such parameter",
    ]


@pytest.mark.parametrize(
    ("split", "rule", "received", "remedy"),
    [
        ({"test_windows": 3}, "problem classify splits sequences", "split.test_windows", "known here: column, group"),
        (
            {"column": "part", "test_share": 0.3},
            "split.column gives the test part, so split.test_share must be left out",
            "column 'part' and test_share 0.3",
            "leave one of the two out",
        ),
    ],
)
def test_a_split_of_sequences_that_contradicts_itself_or_its_data_is_refused_before_anything_is_read(
    split: dict[str, Any],
    rule: str,
    received: str,
    remedy: str,
    command: str,
    capsys: pytest.CaptureFixture[str],
    home: Path,
) -> None:
    data = {"source": "nowhere.csv", "input": {"kind": "text", "column": "said"}, "target": "intent"}
    Path("experiment.yaml").write_text(yaml.safe_dump({"data": data, "problem": {"kind": "classify"}, "split": split}))
    assert main([command, "experiment.yaml"]) == 2
    _assert_refused(capsys.readouterr(), home, rule, received, remedy)


def _assert_refused(said: pytest.CaptureResult[str], home: Path, rule: str, received: str, remedy: str) -> None:
    lines = said.err.splitlines()
    assert lines[0].startswith("error: ")
    assert rule in lines[0]
    assert lines[1].startswith("  received: ")
    assert received in lines[1]
    assert lines[2].startswith("  remedy: ")
    assert remedy in lines[2]
    assert not said.out
    assert not (home / "logs").exists(), "a server was started"
    assert not (home / "mlflow.db").exists()
