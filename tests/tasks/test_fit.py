"""From the best trials to an ensemble: who is chosen, who is trained anew, within which limits and which time."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch
from safetensors.torch import load_file
from searches import prepared

from carousel.services import free_port
from models import bundle
from models.panel import Panel
from tasks import children, refit, store
from tasks.environment import environment
from tasks.errors import InputError
from tasks.fit import FitConfig, _run, _write_jobs, fit_model
from tasks.fit_files import FitFiles
from tasks.fit_worker import WRITING, Jobs, Probe, probe, train
from tasks.kinds.forecast_dataset import ForecastDataset
from tasks.kinds.kind import LearnerOptions
from tasks.kinds.registry import kind
from tasks.pulse import Pulse
from tasks.references import Dataset, StudyResult
from tasks.search import search_models
from tasks.search_config import SearchConfig

NEVER = 10**6
"""Steps that no training here gets to."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Dataset, StudyResult]]:
    with pytest.MonkeyPatch.context() as patch:
        directory = tmp_path_factory.mktemp("fit")
        patch.setenv("CAROUSEL_HOME", str(directory / "home"))
        dataset = prepared(directory)
        yield dataset, search_models.fn(dataset, SearchConfig(time_budget="5m", max_trials=5, max_steps=16))


def trials(study: StudyResult) -> list[dict[str, Any]]:
    return json.loads((store.path(study) / "best.json").read_text())


def facts_of(model: Any) -> dict[str, Any]:
    return store.manifest(model)["facts"]


def test_members_go_on_from_their_trials_with_all_data(made: Any) -> None:
    dataset, study = made
    model = fit_model.fn(dataset, study, FitConfig(members=3, refit="always"))
    facts = facts_of(model)
    assert {trained["steps"] for trained in facts["trained"]} == {refit.FEWEST}
    kept = [load_file(store.path(study) / trial["checkpoint"]) for trial in trials(study)]
    for path in store.path(model).glob("member-*.safetensors"):
        mine = load_file(path)
        changes = [
            max(float((one[n] - mine[n]).abs().max()) for n in mine)
            for one in kept
            if {n: t.shape for n, t in one.items()} == {n: t.shape for n, t in mine.items()}
        ]
        assert 0 < min(changes) < 0.2
    assert len(facts["trained"]) == facts["members"] == facts["refitted"] == model.members
    described = json.loads((store.path(model) / "model.json").read_text())
    assert sum(described["weights"]) <= 3
    loaded = bundle.load(store.path(model))
    assert loaded.weights == described["weights"]
    assert facts["value"] <= facts["best_trial"]


def test_without_refit_the_members_are_the_trials_and_the_value_is_what_they_give(made: Any) -> None:
    dataset, study = made
    model = fit_model.fn(dataset, study, FitConfig(members=4, refit="never"))
    out, learner = store.path(model), kind("forecast").learner(store.path(dataset), LearnerOptions(16, "mase"))
    loaded = bundle.load(out)
    counted = [one for one, weight in zip(loaded.members, loaded.weights, strict=True) for _ in range(weight)]
    outputs = [learner.outputs(one) for one in counted]
    assert learner.value(outputs) == pytest.approx(facts_of(model)["value"], rel=1e-5)
    kept = [load_file(store.path(study) / trial["checkpoint"]) for trial in trials(study)]
    for path in out.glob("member-*.safetensors"):
        mine = load_file(path)
        assert any(one.keys() == mine.keys() and all(torch.equal(one[n], mine[n]) for n in mine) for one in kept)


def test_no_time_left_makes_a_model_of_the_trials_at_once(made: Any) -> None:
    dataset, study = made
    began = time.time()
    model = fit_model.fn(dataset, replace(study, seconds_left=0.0), FitConfig(members=2, seed=1))
    assert time.time() - began < 20
    assert facts_of(model)["trained"] == []
    assert facts_of(model)["refitted"] == 0
    assert bundle.load(store.path(model)).members


def test_a_bundle_weighs_its_members(made: Any) -> None:
    dataset, study = made
    model = fit_model.fn(dataset, study, FitConfig(members=4, refit="never", seed=2))
    whole = bundle.load(store.path(model))
    directory = store.path(dataset)
    panel, (items, ends) = Panel.open(directory / "train"), ForecastDataset(directory).validation_windows()
    whole.weights = [3, *[1] * (len(whole.members) - 1)]
    together = whole.predict(panel, items, ends)
    alone = [type(whole)(whole.facts, [member]).predict(panel, items, ends) for member in whole.members]
    assert np.allclose(together, np.average(alone, axis=0, weights=whole.weights))


def test_the_limit_on_parameters_holds_for_all_members(made: Any) -> None:
    dataset, study = made
    sizes = {
        trial["trial"]: sum(tensor.numel() for tensor in load_file(store.path(study) / trial["checkpoint"]).values())
        for trial in trials(study)
    }
    limit = 2 * min(sizes.values())
    model = fit_model.fn(dataset, study, FitConfig(members=8, refit="never", max_parameters=limit))
    assert model.parameters <= limit
    with pytest.raises(InputError, match="must leave room for one network") as refused:
        fit_model.fn(dataset, study, FitConfig(max_parameters=10))
    assert f"{min(sizes.values()):,} parameters" in str(refused.value)


def test_the_limit_on_latency_is_measured(made: Any) -> None:
    dataset, study = made
    with pytest.raises(InputError, match="the fastest takes"):
        fit_model.fn(dataset, study, FitConfig(max_latency_ms=1e-3))
    free = fit_model.fn(dataset, study, FitConfig(refit="never", max_latency_ms=1e6))
    assert free.members >= 1


def test_the_probe_trains_without_the_newest_data_and_says_what_it_came_to(made: Any, tmp_path: Path) -> None:
    dataset, study = made
    recipe, values = trials(study)[0]["recipe"], trials(study)[0]["values"]
    steps = int(min(values, key=int))
    described = {
        "kind": "forecast",
        "metric": "mase",
        "dataset": store.path(dataset),
        "work": tmp_path,
        "jobs": [],
        "began": time.time(),
        "devices": 1,
        "accumulate": 1,
    }
    jobs = Jobs(**described, probe=None, precision="32-true", checkpoint_every=1, deadline=time.time() + 60)
    asked = Probe(recipe=recipe, steps=steps, known=values[str(steps)], seed=0, result=tmp_path / "older.json")
    probe(jobs, asked)
    told = json.loads((tmp_path / "older.json").read_text())
    value = told["value"]
    assert told["newer data help"] is (values[str(steps)] < value)
    learner = kind("forecast").learner(store.path(dataset), LearnerOptions(16, "mase"))
    older = learner.older(learner.recipe(recipe), 0)
    assert older is not None
    while older.step < steps:
        older.advance()
    assert value == learner.value([learner.outputs(older.average)])
    newer = learner.begin(learner.recipe(recipe), 0)
    while newer.step < steps:
        newer.advance()
    again = learner.value([learner.outputs(newer.average)])
    assert again == pytest.approx(values[str(steps)], rel=1e-4)
    assert abs(value - again) > 1e-3


def test_a_trial_that_began_with_other_weights_is_not_what_older_data_are_compared_by(
    made: Any,
) -> None:
    first, second, *_ = trials(made[1])
    asked = refit.compared([first | {"continued": True}, second])
    assert asked is not None
    assert asked.recipe == second["recipe"]
    assert asked.value == second["values"][str(asked.steps)]
    assert refit.compared([first | {"continued": True}]) is None


def trial_of(steps: int, seconds: float) -> dict[str, Any]:
    """Return an entry of ``best.json``: trained for as long, twice as far as to its best step."""
    values = {str(step): 1.0 for step in (steps // 8, steps // 4, steps // 2, steps, 2 * steps)}
    recipe = {"training": {"steps": steps}}
    return {"recipe": recipe, "values": values, "seconds": seconds, "continued": False}


def test_members_go_on_for_a_share_of_their_steps_or_as_far_as_time_goes_for_all() -> None:
    several = [trial_of(1000, 200.0), trial_of(400, 80.0), trial_of(400, 80.0)]
    ample = refit.goals(several, refit.compared(several), 1000, 2)
    assert [(goal.steps, goal.enough) for goal in ample] == [(300, 150), (120, 60), (120, 60)]
    for seconds in (50.0, 60.0, 70.0):
        goals = refit.goals(several, None, seconds, 1)
        work = sum(refit.OVERHEAD * 0.1 * goal.steps for goal in goals)
        assert 0.9 * (seconds - refit.START) < work <= seconds - refit.START
        assert len({round(goal.steps / full.steps, 2) for goal, full in zip(goals, ample, strict=True)}) == 1
    longest = refit.goals(several, None, refit.START + 0.6 * refit.OVERHEAD * 30.1, 2)[0]
    assert longest.steps == 180, "of two at a time the longest counts"
    assert [goal.steps for goal in refit.goals(several, None, 1.0, 1)] == [goal.enough for goal in ample]


def test_a_member_that_is_half_way_when_time_is_up_is_kept_and_one_that_is_not_is_the_trial(
    made: Any, tmp_path: Path
) -> None:
    import pytorch_lightning  # noqa: F401

    places, began = (store.path(made[0]), store.path(made[1])), time.time()
    parts, searched = [(trial, 1) for trial in trials(made[1])[:2]], {"metric": "mase", "seed": 0}
    _write_jobs(*places, "forecast", parts, searched, FitConfig(refit="always"), (began, began + 300), tmp_path)
    described = json.loads((tmp_path / "jobs.json").read_text())
    for job, enough in zip(described["jobs"], (1, NEVER), strict=True):
        job["enough"], job["recipe"]["training"]["steps"] = enough, NEVER
    for place in range(2):
        jobs = Jobs.model_validate(described | {"deadline": time.time() + WRITING + 5})
        train(jobs, jobs.jobs[place], Pulse("a test", 30))
        assert time.time() < jobs.deadline + 1
    assert [job.weights.exists() for job in jobs.jobs] == [True, False]
    assert 1 <= json.loads((tmp_path / "member-0.json").read_text())["steps"] < NEVER


def test_two_nodes_train_one_member_together(made: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is a process of this machine, which meets the other as torchrun's variables say."""
    places, began = (store.path(made[0]), store.path(made[1])), time.time()
    parts, searched = [(trials(made[1])[0], 1)], {"metric": "mase", "seed": 0}
    fit = FitConfig(refit="always", checkpoint_every=2)
    jobs = _write_jobs(*places, "forecast", parts, searched, fit, (began, began + 300), tmp_path)
    nodes = {"NNODES": "2", "RDZV_BACKEND": "c10d", "RDZV_ID": "0f", "RDZV_ENDPOINT": f"127.0.0.1:{free_port()}"}
    for name, value in nodes.items():
        monkeypatch.setenv(f"PET_{name}", value)
    other = children.start("tasks.fit_worker", str(tmp_path / "jobs.json"), log=tmp_path / "other.log")
    with children.stopped_at_exit([other]):
        _run(jobs, tmp_path, time.time() + 120)
        assert other.wait(timeout=30) == 0, (tmp_path / "other.log").read_text()
    facts = json.loads((tmp_path / "member-0.json").read_text())
    assert facts["steps"] == refit.FEWEST
    assert len(facts["digests"]) == 2, "a rank on each node, with the same weights"
    assert len(set(facts["digests"])) == 1


def started(work: Path, steps: int, pool: ThreadPoolExecutor) -> Future[None]:
    described = json.loads((work / "jobs.json").read_text())
    described["jobs"][0]["recipe"]["training"]["steps"] = described["jobs"][0]["enough"] = steps
    described["devices"] = environment().devices
    (work / "jobs.json").write_text(json.dumps(described))
    return pool.submit(_run, described["jobs"], work, time.time() + 120)


def trains(work: Path, name: str) -> psutil.Process:
    """Wait for a new checkpoint, and return the process whose pulse has ``name``."""
    last, began = work / "checkpoints-0" / "last.ckpt", time.time()
    while not last.exists() or last.stat().st_mtime < began:
        assert time.time() < began + 120, (work / "fit-0.log").read_text()
        time.sleep(0.05)
    return next(psutil.Process(int(path.name)) for path in (work / "signs").iterdir() if path.read_text() == name)


def hang(work: Path, name: str, pool: ThreadPoolExecutor) -> str:
    """Stop the process ``name`` of a training; return what the stage says of it."""
    future = started(work, NEVER, pool)
    trains(work, name).send_signal(signal.SIGSTOP)
    # Servers that other tests share are children of this process, too.
    others, began = psutil.Process().children(recursive=True), time.monotonic()
    family = [child for child in others if "tasks.fit_worker" in child.cmdline()]
    assert family
    with pytest.raises(RuntimeError) as failed:
        future.result(timeout=90)
    assert time.monotonic() - began < 40
    _, alive = psutil.wait_procs(family, timeout=5)
    assert alive == []
    return str(failed.value)


def test_a_hung_rank_and_a_hung_process_end_the_fit_with_their_log_and_another_machine_goes_on(
    made: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On two devices, then on one, then elsewhere: a checkpoint is of none of them."""
    dataset, study = made
    places = store.path(dataset), store.path(study)
    fit = FitConfig(checkpoint_every=5, refit="always", accumulate=2, precision="auto")
    searched, began = {"metric": "mase", "seed": 0}, time.time()
    work, other = tmp_path / "here" / "fit-0f", tmp_path / "there" / "fit-0f"
    for machine in (work, other):
        machine.mkdir(parents=True)
        _write_jobs(*places, "forecast", [(trials(study)[0], 1)], searched, fit, (began, began + 300), machine)
    monkeypatch.setenv("CAROUSEL_STORE", f"file://{tmp_path}/mounted")
    monkeypatch.setenv("CAROUSEL_PATIENCE", "6")
    monkeypatch.setenv("CAROUSEL_DEVICES", "2")
    with ThreadPoolExecutor() as pool:
        told = hang(work, "rank 1", pool)
        assert told.startswith("training hung: rank 1 (process ")
        assert "gave no sign of life for 6 s; its log ends:\n" in told
        monkeypatch.setenv("CAROUSEL_DEVICES", "1")
        told = hang(work, "a process that trains", pool)
        assert told.startswith("training hung: a process that trains (process ")
        assert began - 1 < FitFiles.at(other).begin() < time.time() - 6, "what was spent here is spent there"
        reached = torch.load(other / "checkpoints-0" / "last.ckpt", weights_only=True)["global_step"]
        started(other, reached + 3, pool).result(timeout=60)
    facts = json.loads((other / "member-0.json").read_text())
    assert facts["resumed"]
    assert facts["steps"] == reached + 3
    FitFiles.at(work).begin()
    assert (work / "member-0.safetensors").exists(), "a member that was trained stands everywhere"
