"""The command line in process: what it says, what it returns, and that help comes at once."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from carousel.cli import main
from carousel.console import ProgressHandler, print_table
from tests.conftest import ROOT, tiny_experiment, write_series


@pytest.fixture
def experiment(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tiny experiment beside its data, in the working directory."""
    monkeypatch.chdir(tmp_path)
    write_series(tmp_path / "tiny.csv", days=80)
    Path("tiny.yaml").write_text(yaml.safe_dump(tiny_experiment("tiny.csv")))
    return Path("tiny.yaml")


def test_help_costs_less_than_300_milliseconds_of_a_processor() -> None:
    """Of a processor, since others may use it at the same time: no library is loaded that has nothing to say."""
    command = [sys.executable, "-c", "import sys; from carousel.cli import main; sys.exit(main(['--help']))"]
    took = []
    for _ in range(3):
        before = os.times()
        assert b"leaderboard" in subprocess.run(command, capture_output=True, check=True).stdout
        after = os.times()
        took.append(after.children_user - before.children_user + after.children_system - before.children_system)
    assert min(took) < 0.3


def test_a_notebook_that_imports_a_flow_is_told_nothing(tmp_path: Path) -> None:
    """In an empty directory, where nothing of Carousel's lies yet."""
    imports = "from flows.pipeline import pipeline; from flows.launch import launch; import tasks.experiment_file"
    ours = ("CAROUSEL_", "PREFECT_", "MLFLOW_")
    variables = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    variables["PYTHONPATH"] = str(ROOT)
    command = [sys.executable, "-c", imports]
    told = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, check=True)
    assert told.stdout + told.stderr == ""


def test_check_says_what_a_run_would_do_and_keeps_nothing(
    experiment: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", str(experiment), "--set", "search.time_budget=2m"]) == 0
    said = capsys.readouterr().out
    assert "tiny: forecast, horizon 4" in said
    assert "4 series, 320 steps of 1d, 320 observed" in said
    assert "at most 2m and 2 trials" in said
    assert "nothing yet: every stage would run" in said
    assert [path for path in home.rglob("*") if path.is_file()] == []


def test_check_refuses_data_that_break_their_contract(experiment: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = Path("tiny.csv")
    lines = source.read_text().splitlines()
    source.write_text("\n".join([*lines, lines[-1]]) + "\n")
    assert main(["check", str(experiment)]) == 2
    assert "i3 at 2024-03-20" in capsys.readouterr().err


def test_check_refuses_a_horizon_longer_than_the_data(experiment: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(experiment), "--set", "problem.horizon=60"]) == 2
    assert "the longest series has 80 steps" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("space", "said"),
    [
        ("{nosuch: [1]}", "search.space.nosuch: no such parameter of this search"),
        ("{hiden_size: [32]}", "did you mean hidden_size?"),
        ("{head: [linear]}", "search.space.head: values must be among"),
        ("{hidden_size: [-5]}", "search.space.hidden_size: values must be ones that a model can have"),
        ("{batch_size: [0]}", "search.space.batch_size: values must be ones that a model can have"),
    ],
)
def test_check_refuses_a_search_space_that_is_not_the_searchs(
    experiment: Path, home: Path, space: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", str(experiment), "--set", f"search.space={space}"]) == 2
    assert said in capsys.readouterr().err
    assert [path for path in home.rglob("*") if path.is_file()] == []


def test_check_passes_a_narrowed_search_space(experiment: Path, capsys: pytest.CaptureFixture[str]) -> None:
    narrow = "{head: [direct], hidden_size: [16, 24], num_layers: [1]}"
    assert main(["check", str(experiment), "--set", f"search.space={narrow}"]) == 0
    assert "tiny: forecast, horizon 4" in capsys.readouterr().out


def test_check_names_the_stages_whose_output_is_stored(experiment: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("request.json").write_text(json.dumps({"data": tiny_experiment("tiny.csv")["data"]}))
    assert main(["stage", "ingest", "request.json"]) == 0
    reference = json.loads(capsys.readouterr().out)
    assert (reference["rows"], reference["items"]) == (320, 4)
    assert main(["check", str(experiment)]) == 0
    assert "stored    ingest\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["stage", "ingst", "request.json"], "did you mean ingest?"),
        (["stage", "ingest", "missing.json"], "a request is a readable JSON file"),
        (["stage", "ingest", "list.json"], "a request is a JSON object"),
        (["stage", "ingest", "unknown.json"], "data: must be given"),
        (["leaderboard", "nobody"], "a model must be registered"),
        (["models", "nobody"], "a model must be registered"),
        (["best", "nobody"], "a model must be registered"),
        (["best", "missing.yaml"], "an experiment is a readable YAML file"),
        (["promote", "nobody/1"], "a model is NAME"),
        (["rollback", "nobody"], "a model must be registered"),
        (["predict", "nobody", "tiny.csv"], "a model is NAME"),
        (["predict", "nobody", "tiny.csv", "--out", "x.xls"], "--out must end in .parquet or .csv"),
        (["predict", "nobody", "tiny.csv", "--out", "no/where.csv"], "--out must lie in an existing directory"),
    ],
)
def test_wrong_arguments_end_with_status_2_and_a_remedy(
    experiment: Path,
    arguments: list[str],
    said: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Path("list.json").write_text("[]")
    Path("unknown.json").write_text('{"dta": {}}')
    assert main(arguments) == 2
    printed = capsys.readouterr().err
    assert said in printed
    assert "remedy: " in printed


def test_a_failure_that_is_not_the_users_ends_with_status_1(
    experiment: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:////proc/nowhere/mlflow.db")
    assert main(["leaderboard"]) == 1
    assert capsys.readouterr().err.startswith("failed: ")


def test_a_passing_report_rewrites_its_line_on_a_terminal_and_is_sparse_elsewhere() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for stream, expected in (
        (Terminal(), "\r\x1b[2K   search  1 of 3\r\x1b[2K   search  2 of 3\r\x1b[2K   search  done\n"),
        (io.StringIO(), "   search  1 of 3\n   search  done\n"),
    ):
        handler = ProgressHandler(stream)
        for text, passing in (("1 of 3", True), ("2 of 3", True), ("done", False)):
            record = logging.makeLogRecord({"name": "carousel.search", "msg": text, "passing": passing})
            handler.emit(record)
        assert stream.getvalue() == expected


def test_a_table_is_aligned_by_the_kind_of_its_columns(capsys: pytest.CaptureFixture[str]) -> None:
    print_table([{"what": "version 1", "MASE": 1.25}, {"what": "linear", "MASE": None}])
    assert capsys.readouterr().out == "what       MASE\nversion 1  1.25\nlinear\n"
