"""Two machines that share nothing but an object store: what one has made the other has, whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
import torch
from object_store import bucket, s3_server
from pydantic import BaseModel
from safetensors.torch import load_file
from searches import opened, prepared, worker
from torch import nn

from tasks import store
from tasks.errors import InputError
from tasks.references import MANIFEST, Dataset
from tasks.search import VERSION, _study_name, search_models
from tasks.search_config import SearchConfig
from tasks.shared import SharedStore, shared_store
from tasks.store import Key
from tasks.studies import begun
from tasks.trial_files import TrialFiles


class Options(BaseModel):
    """A Config."""

    name: str = "a"


SEARCH = SearchConfig(time_budget="5m", max_trials=4, max_steps=16)
KEY = Key("prepare", 1, Options(), ("0f",))


@pytest.fixture(scope="module")
def s3() -> Iterator[dict[str, str]]:
    with s3_server() as variables:
        yield variables


@pytest.fixture(params=["s3", "file"])
def url(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """A store that machines share: a bucket, or a folder that all of them mount."""
    if request.param == "file":
        found = f"file://{tmp_path}/mounted"
    else:
        variables = request.getfixturevalue("s3")
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        found = f"{bucket(variables)}/stages"
    monkeypatch.setenv("CAROUSEL_STORE", found)
    return found


def on(machine: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Go on as ``machine``: with a home of its own."""
    monkeypatch.setenv("CAROUSEL_HOME", str(tmp_path / machine))


def writing(calls: list[str]) -> Any:
    def compute(out: Path) -> dict[str, Any]:
        calls.append("computed")
        (out / "part").mkdir()
        (out / "part" / "values.txt").write_text("hello")
        return {"said": "hello"}

    return compute


def test_what_one_machine_has_made_another_finds_and_does_not_compute(
    url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    calls: list[str] = []
    on("first", monkeypatch, tmp_path)
    assert store.commit(KEY, writing(calls)) == {"said": "hello"}
    on("second", monkeypatch, tmp_path)
    assert store.commit(KEY, writing(calls)) == {"said": "hello"}
    assert calls == ["computed"]
    fetched = store.path(Dataset(KEY.uri, KEY.fingerprint, "forecast", 1, 1))
    assert fetched.is_relative_to(tmp_path / "second")
    assert (fetched / "part" / "values.txt").read_text() == "hello"
    assert store.stored("prepare", KEY.fingerprint) == json.loads((fetched / MANIFEST).read_text())
    assert store.file(f"{KEY.uri}/{MANIFEST}") == fetched / MANIFEST


def test_the_outputs_made_from_another_are_those_of_all_machines(
    url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    on("first", monkeypatch, tmp_path)
    store.commit(KEY, writing([]))
    on("second", monkeypatch, tmp_path)
    assert [one.fingerprint for one in store.made_from("prepare", "0f")] == [KEY.fingerprint]
    assert store.made_from("prepare", "1e") == []


def test_an_output_without_its_manifest_is_not_there(url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As if the machine had died while it wrote."""
    on("first", monkeypatch, tmp_path)
    store.commit(KEY, writing([]))
    shared = shared_store()
    assert shared is not None
    shared.remove(f"{KEY.uri}/{MANIFEST}")
    on("second", monkeypatch, tmp_path)
    with pytest.raises(InputError, match="must be complete in the store"):
        store.path(Dataset(KEY.uri, KEY.fingerprint, "forecast", 1, 1))
    calls: list[str] = []
    store.commit(KEY, writing(calls))
    assert calls == ["computed"]
    assert shared.manifest(KEY.uri) is not None


def test_an_output_that_could_not_be_shared_is_shared_by_the_next_try_and_not_computed_again(
    url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    calls: list[str] = []
    on("first", monkeypatch, tmp_path)
    monkeypatch.setenv("CAROUSEL_STORE", "")
    store.commit(KEY, writing(calls))
    monkeypatch.setenv("CAROUSEL_STORE", url)
    store.commit(KEY, writing(calls))
    assert calls == ["computed"]
    assert SharedStore(url).manifest(KEY.uri) is not None


def test_what_a_stage_leaves_for_its_successor_stays_until_the_output_stands(
    url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    on("first", monkeypatch, tmp_path)
    shared = SharedStore(url)
    (left := KEY.work / "state").write_text("half")
    for name in (KEY.work_name, f"{KEY.work_name}-study", "fit-0f"):
        shared.put(left, f"work/{name}/state")

    def fails(out: Path) -> dict[str, Any]:
        raise RuntimeError("not this time")

    with pytest.raises(RuntimeError, match="not this time"):
        store.commit(KEY, fails)
    assert len(shared.names("work")) == 3
    store.commit(KEY, writing([]))
    assert shared.names("work") == ["fit-0f"]
    assert not left.exists()


def test_a_search_goes_on_where_another_machine_left_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CAROUSEL_STORE", f"file://{tmp_path}/mounted")
    monkeypatch.setenv("CAROUSEL_STUDY_STORAGE", f"sqlite:///{tmp_path}/studies.db")
    monkeypatch.setenv("CAROUSEL_WORKERS", "1")
    on("first", monkeypatch, tmp_path)
    dataset = prepared(tmp_path)
    name = _study_name(Key("search", VERSION, SEARCH, (dataset.fingerprint,)).work, shared_store())
    study = opened(dataset, SEARCH, name)
    first = worker(dataset, SEARCH, tmp_path / "first" / "work" / name, name, shared=True)
    while not any(trial.state.is_finished() for trial in begun(study)):
        first.climb(first._next())
    climbed = {trial.number: trial.intermediate_values for trial in begun(study)}
    on("second", monkeypatch, tmp_path)
    found = search_models.fn(dataset, SEARCH)
    trials = begun(opened(dataset, SEARCH, name))
    assert [study.study_name for study in optuna.get_all_study_summaries(f"sqlite:///{tmp_path}/studies.db")] == [name]
    assert len(trials) == SEARCH.max_trials
    for number, values in climbed.items():
        assert trials[number].intermediate_values.items() >= values.items()
    assert (store.path(found) / "best.json").exists()


def test_a_trial_goes_on_where_another_machine_left_it(url: str, tmp_path: Path) -> None:
    machines = [TrialFiles(tmp_path / machine / "search-0f", SharedStore(url)) for machine in ("first", "second")]
    for files in machines:
        files.directory.mkdir(parents=True)
    first, second = machines
    model = nn.Linear(2, 1)
    first.write_best(3, model, [torch.ones(2, 1).numpy()])
    first.write_state(3, {"step": 8})
    assert second.read_state(3) == {"step": 8}
    second.write_state(3, {"step": 16})
    assert first.read_state(3) == {"step": 16}
    (kept := tmp_path / "kept").mkdir()
    second.copy_best(3, kept)
    assert torch.equal(load_file(kept / "trial-3.safetensors")["weight"], model.weight)
    second.remove_state(3)
    second.remove_best([3])
    assert first.read_state(3) is None
    assert second.shared is not None
    assert second.shared.names(second.folder) == []


def test_a_store_of_an_unknown_protocol_is_refused() -> None:
    with pytest.raises(InputError, match="CAROUSEL_STORE must be an fsspec URL"):
        SharedStore("gopher://somewhere/stages")


def test_an_object_whose_name_leads_out_of_its_output_is_not_fetched(s3: dict[str, str], tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in s3.items():
            patch.setenv(name, value)
        shared = SharedStore(f"{bucket(s3)}/stages")
        shared.files.pipe_file(shared.place("prepare/0f/../../../hostile.txt"), b"hostile")
        (target := tmp_path / "home" / "stages" / "prepare").mkdir(parents=True)
        with pytest.raises(InputError, match="must lie in its output"):
            shared.get_folder("prepare/0f", target)
    assert not list(tmp_path.rglob("hostile.txt"))
