"""The experiment that a filled form means: the file, then the sections that were chosen, then the flat fields."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from flows.pipeline import pipeline
from tasks.errors import InputError, InputErrors
from tasks.form import Advanced, confined, resolved
from tasks.gate import GateConfig
from tasks.ingest import SeriesData
from tasks.reporting.failure import explanation
from tasks.search_config import SearchConfig

FILE: dict[str, Any] = {
    "name": "sales",
    "data": {"source": "sales.parquet", "timestamp": "day", "target": "units"},
    "problem": {"kind": "forecast", "horizon": 28},
    "search": {"time_budget": "20m", "seed": 3},
}


@pytest.fixture(autouse=True)
def in_the_directory_of_the_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "worker").mkdir()
    monkeypatch.chdir(tmp_path / "worker")
    Path("sales.yaml").write_text(yaml.safe_dump(FILE))
    return tmp_path / "worker"


def filled(experiment: str | None = "sales.yaml", **said: Any) -> dict[str, Any]:
    """Return what a form means in which all but ``said`` was left alone."""
    flat = {key: said.pop(key, None) for key in ("name", "time_budget", "trials")}
    return resolved(pipeline.fn, experiment, **flat, advanced=Advanced(**said))


def test_a_form_that_is_left_alone_is_the_file() -> None:
    found = filled()
    assert set(found) == {"name", "data", "problem", "search"}
    assert (found["name"], found["search"]) == ("sales", SearchConfig(time_budget="20m", seed=3))
    assert found["data"] == SeriesData(source="sales.parquet", timestamp="day", target="units")


def test_flat_fields_stand_in_the_place_of_single_values() -> None:
    found = filled(name="units", time_budget="90s", trials=7)
    assert (found["name"], found["search"]) == ("units", SearchConfig(time_budget="90s", max_trials=7, seed=3))


def test_a_section_that_is_chosen_stands_in_the_place_of_the_files_whole() -> None:
    found = filled(search={"max_steps": 100}, register={"promote": "approve"}, time_budget="90s")
    assert found["search"] == SearchConfig(max_steps=100, time_budget="90s")
    assert found["register"] == GateConfig(promote="approve")
    assert found["problem"].horizon == 28


def test_without_a_file_the_sections_are_the_experiment() -> None:
    found = filled(None, data=FILE["data"], problem=FILE["problem"])
    assert (found["problem"].horizon, found["search"]) == (28, SearchConfig())
    with pytest.raises(InputError, match="no file, and no problem") as refused:
        filled(None, data=FILE["data"])
    assert refused.value.remedy == "name a file at Experiment, or choose them under Advanced"


def test_all_that_is_wrong_with_a_file_is_named_at_once() -> None:
    Path("sales.yaml").write_text(yaml.safe_dump({**FILE, "serach": {}, "fit": {"members": 0}}))
    with pytest.raises(InputErrors) as refused:
        filled()
    told = str(refused.value).splitlines()
    assert told[0] == "the experiment is wrong:"
    assert sorted(line.partition(" (got")[0] for line in told[1:]) == [
        "- fit.members: must be greater than or equal to 1",
        "- serach: no such parameter",
    ]
    assert all("): " in line for line in told[1:]), "each with what was received and its remedy"


def test_a_secret_in_a_file_is_refused_and_not_told() -> None:
    data = {**FILE["data"], "source": "https://reader:Zx9sentinel7Qk@example.org/sales.csv"}
    Path("sales.yaml").write_text(yaml.safe_dump({**FILE, "data": data}))
    with pytest.raises(InputErrors) as refused:
        filled()
    said = str(refused.value) + explanation("pipeline", refused.value)
    assert said.count("must not hold a password or token") == 2
    assert "Zx9sentinel7Qk" not in said


@pytest.mark.parametrize("path", ["../elsewhere.yaml", "/etc/hosts.yaml", "link/elsewhere.yaml", "a/../../x.yaml"])
def test_an_experiment_elsewhere_on_the_machine_is_not_opened(path: str) -> None:
    Path("../elsewhere.yaml").write_text(yaml.safe_dump(FILE))
    Path("link").symlink_to("..")
    with pytest.raises(InputError, match="below the directory that 'carousel up' was started in"):
        filled(path)


def test_an_experiment_is_named_from_the_directory_of_the_worker(in_the_directory_of_the_worker: Path) -> None:
    assert confined("sub/../sales.yaml") == Path("sales.yaml")
    assert confined(str(in_the_directory_of_the_worker / "sales.yaml")) == Path("sales.yaml")
    with pytest.raises(InputError, match=r"give a file that ends in \.yaml or \.yml"):
        confined("sales.parquet")
    with pytest.raises(InputError, match=r"no file at sale\.yaml.*did you mean sales\.yaml"):
        filled("sale.yaml")
