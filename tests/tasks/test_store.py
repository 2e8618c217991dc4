"""An output of the stage store is whole or absent, computed once, and never outside of the store."""

from __future__ import annotations

import json
import multiprocessing
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from tasks import store
from tasks.errors import InputError
from tasks.references import Dataset, Table
from tasks.store import Key


class Options(BaseModel):
    """A Config of two sections."""

    name: str = "a"
    weights: dict[str, float] = {}


def key(**changes: Any) -> Key:
    return Key(**({"stage": "prepare", "version": 1, "config": Options(), "inputs": ("0f",)} | changes))


def reference(of: Key) -> Dataset:
    return Dataset(of.uri, of.fingerprint, "forecast", 1, 1)


def writing(text: str, calls: list[str] | None = None) -> Callable[[Path], dict[str, Any]]:
    def compute(out: Path) -> dict[str, Any]:
        if calls is not None:
            calls.append(text)
        (out / "values.txt").write_text(text)
        return {"said": text}

    return compute


def test_an_output_stands_under_its_fingerprint_with_its_manifest(home: Path) -> None:
    one = key(config=Options(name="b"), inputs=("0f", "1e"))
    assert store.commit(one, writing("hello")) == {"said": "hello"}
    directory = store.path(reference(one))
    assert directory == home / "stages" / "prepare" / one.fingerprint
    assert (directory / "values.txt").read_text() == "hello"
    manifest = store.manifest(reference(one))
    assert manifest.pop("seconds") >= 0
    assert manifest == {
        "stage": "prepare", "version": 1, "config": {"name": "b", "weights": {}}, "inputs": ["0f", "1e"],
        "facts": {"said": "hello"},
    }  # fmt: skip


def test_what_stands_is_returned_and_not_computed_again(home: Path) -> None:
    calls: list[str] = []
    assert store.commit(key(), writing("first", calls)) == {"said": "first"}
    assert store.commit(key(), writing("second", calls)) == {"said": "first"}
    assert calls == ["first"]


@pytest.mark.parametrize(
    "change",
    [{"stage": "fit"}, {"version": 2}, {"config": Options(name="z")}, {"inputs": ("0e",)}, {"inputs": ("0f", "0f")}],
    ids=lambda change: next(iter(change)),
)
def test_any_part_of_the_key_makes_another_output(home: Path, change: dict[str, Any]) -> None:
    assert key(**change).fingerprint != key().fingerprint
    assert key(**change).uri != key().uri


def test_the_order_of_keys_makes_no_other_output_and_that_of_inputs_does() -> None:
    one, other = Options(weights={"x": 1, "y": 2}), Options(weights={"y": 2, "x": 1})
    assert key(config=one).fingerprint == key(config=other).fingerprint
    assert key(inputs=("a", "b")).fingerprint != key(inputs=("b", "a")).fingerprint


def test_the_fingerprint_is_the_same_in_every_process() -> None:
    code = (
        "from pydantic import BaseModel\nfrom tasks.store import Key\n"
        "class Options(BaseModel):\n    name: str = 'ü'\n    weights: dict[str, float] = {'x': 0.1, 'y': 2}\n"
        "print(Key('prepare', 1, Options(), ('0f',)).fingerprint)"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(Path(store.__file__).parents[1])},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert found == {key(config=Options(name="ü", weights={"y": 2, "x": 0.1})).fingerprint}
    assert len(found.pop()) == 16


def test_nothing_is_seen_before_the_manifest_stands(home: Path) -> None:
    def compute(out: Path) -> dict[str, Any]:
        (out / "values.txt").write_text("half")
        assert not (home / "stages" / key().uri).exists()
        assert not (out / "manifest.json").exists()
        with pytest.raises(InputError, match="must be complete"):
            store.path(reference(key()))
        return {}

    store.commit(key(), compute)
    assert sorted(path.name for path in store.path(reference(key())).iterdir()) == ["manifest.json", "values.txt"]


def test_a_failed_computation_leaves_no_output_and_its_successor_begins_anew(home: Path) -> None:
    def fail(out: Path) -> dict[str, Any]:
        (out / "left.txt").write_text("half")
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        store.commit(key(), fail)
    assert not (home / "stages" / key().uri).exists()
    store.commit(key(), writing("whole"))
    assert sorted(path.name for path in store.path(reference(key())).iterdir()) == ["manifest.json", "values.txt"]


def test_a_directory_without_a_manifest_is_computed_again(home: Path) -> None:
    store.commit(key(), writing("first"))
    directory = store.path(reference(key()))
    (directory / "manifest.json").unlink()
    with pytest.raises(InputError, match=r"no manifest\.json in prepare/.*\): run the stage again"):
        store.path(reference(key()))
    assert store.commit(key(), writing("second")) == {"said": "second"}
    assert (directory / "values.txt").read_text() == "second"


def test_a_deleted_output_is_computed_again(home: Path) -> None:
    store.commit(key(), writing("first"))
    shutil.rmtree(store.path(reference(key())))
    assert store.commit(key(), writing("second")) == {"said": "second"}


def test_the_work_of_a_killed_stage_waits_for_its_successor_and_goes_with_the_commit(home: Path) -> None:
    (key().work / "checkpoint").write_text("half way")

    def compute(out: Path) -> dict[str, Any]:
        return {"found": (key().work / "checkpoint").read_text()}

    assert store.commit(key(), compute) == {"found": "half way"}
    assert list((home / "work").iterdir()) == []


def commit_slowly(calls: str) -> dict[str, Any]:
    def compute(out: Path) -> dict[str, Any]:
        with Path(calls).open("a") as stream:
            stream.write("computed\n")
        time.sleep(0.5)
        (out / "values.txt").write_text("whole")
        return {"by": multiprocessing.current_process().name}

    return store.commit(key(), compute)


def test_two_processes_that_commit_one_key_at_once_compute_it_once(home: Path, tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        facts = pool.map(commit_slowly, [str(tmp_path / "calls")] * 3, chunksize=1)
    assert (tmp_path / "calls").read_text() == "computed\n"
    assert facts[0] == facts[1] == facts[2]


def test_another_key_does_not_wait(home: Path) -> None:
    started, release = threading.Event(), threading.Event()

    def hold(out: Path) -> dict[str, Any]:
        started.set()
        assert release.wait(30)
        return {}

    holder = threading.Thread(target=store.commit, args=(key(), hold))
    holder.start()
    assert started.wait(30)
    assert store.commit(key(inputs=("other",)), writing("at once")) == {"said": "at once"}
    release.set()
    holder.join()


@pytest.mark.parametrize("uri", ["../secrets", "prepare/../../secrets", "/etc", "prepare/link", "", "."])
def test_a_uri_that_leaves_the_store_or_names_no_output_is_refused(home: Path, uri: str) -> None:
    secrets = home / "secrets"
    secrets.mkdir(parents=True)
    (secrets / "manifest.json").write_text("{}")
    (home / "stages" / "prepare").mkdir(parents=True)
    (home / "stages" / "prepare" / "link").symlink_to(secrets)
    with pytest.raises(InputError) as refused:
        store.path(Table(uri, "0f", 1, 1))
    assert refused.value.received in (repr(uri), f"no manifest.json in {uri}")


def test_a_store_that_lies_elsewhere_behind_a_link_is_a_store(home: Path, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    home.mkdir(exist_ok=True)
    (home / "stages").symlink_to(tmp_path / "disk")
    store.commit(key(), writing("there"))
    assert (store.path(reference(key())) / "values.txt").read_text() == "there"


def test_a_reference_comes_back_from_json_the_same() -> None:
    one = reference(key())
    assert Dataset.from_json(json.loads(json.dumps(one.to_json()))) == one
