"""A search on a real study in SQLite: what is begun, taken further, ended, kept, and taken up again after a death."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
import torch
from optuna.trial import TrialState, create_trial
from safetensors.torch import load_file
from searches import opened, prepared, worker

from models import bundle
from models.optimisation import Optimisation, begin_with
from tasks import store, variety
from tasks.environment import environment
from tasks.kinds.kind import LearnerOptions
from tasks.kinds.registry import kind
from tasks.points import Points
from tasks.prepare import SplitConfig
from tasks.references import MANIFEST, Dataset, StudyResult
from tasks.search import KEPT, _beginnings, search_models
from tasks.search_config import SearchConfig
from tasks.studies import (
    MOST_ATTEMPTS,
    begun,
    entries,
    handle,
    open_storage,
    progress,
    ranked,
    release,
    release_silent,
    settle,
    standings,
)
from tasks.trial_files import TrialFiles, name, read_outputs

SEARCH = SearchConfig(time_budget="5m", max_trials=6, max_steps=16)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dataset]:
    with pytest.MonkeyPatch.context() as patch:
        directory = tmp_path_factory.mktemp("search")
        patch.setenv("CAROUSEL_HOME", str(directory / "home"))
        yield prepared(directory)


@pytest.fixture
def study(dataset: Dataset, request: pytest.FixtureRequest) -> optuna.Study:
    return opened(dataset, SEARCH, request.node.name)


def run(dataset: Dataset, study: optuna.Study, work: Path, search: SearchConfig = SEARCH, **changes: Any) -> None:
    worker(dataset, search, work, study.study_name, **changes).run()


def test_every_trial_begins_and_the_best_climb_to_the_top(
    dataset: Dataset, study: optuna.Study, tmp_path: Path
) -> None:
    run(dataset, study, tmp_path)
    trials = begun(study)
    assert len(trials) == SEARCH.max_trials
    rungs = [len(progress(trial).best) for trial in trials]
    assert max(rungs) == 4
    assert all(rung >= 1 for rung in rungs)
    best = ranked(study)[0]
    assert max(best.intermediate_values) in (2, 4, 8, 16)
    assert progress(best).best[-1] == min(best.intermediate_values.values())


def test_without_pruning_every_trial_climbs_to_the_top_or_converges(
    dataset: Dataset, study: optuna.Study, tmp_path: Path
) -> None:
    run(dataset, study, tmp_path, SEARCH.model_copy(update={"pruning": False, "max_trials": 3}))
    assert all(len(one.best) == 4 or one.converged for one in standings(entries(study)))
    assert {trial.state for trial in begun(study)} == {TrialState.COMPLETE}


def test_what_is_kept_of_a_trial_is_what_gave_its_value(dataset: Dataset, study: optuna.Study, tmp_path: Path) -> None:
    run(dataset, study, tmp_path)
    learner = kind("forecast").learner(store.path(dataset), LearnerOptions(16, "mase"))
    for trial in ranked(study)[:3]:
        kept = read_outputs(tmp_path, trial.number)
        assert learner.value([kept]) == pytest.approx(progress(trial).best[-1], rel=1e-6)
        model = learner.begin(learner.recipe(trial.user_attrs["recipe"]), 0).model
        model.load_state_dict(load_file(tmp_path / f"trial-{trial.number}.safetensors"))
        assert np.allclose(np.stack(learner.outputs(model)), np.stack(kept))


def test_a_frozen_trial_goes_on_as_if_it_had_never_stopped(
    dataset: Dataset, study: optuna.Study, tmp_path: Path
) -> None:
    """One worker thaws every trial from its file; the other trains each from beginning to end."""
    search = SEARCH.model_copy(update={"pruning": False, "max_trials": 2})
    first = worker(dataset, search, tmp_path, study.study_name)
    while (trial := first._next()) is not None:
        first._held = None
        first.climb(trial)
    learner = first.learner
    for trial in begun(study):
        whole = learner.begin(learner.recipe(trial.user_attrs["recipe"]), search.seed)
        for rung in first.ladder[: len(progress(trial).best)]:
            for check in rung:
                while whole.step < check:
                    whole.advance()
                told = study.get_trials(deepcopy=False)[trial.number].intermediate_values[check]
                assert learner.value([learner.outputs(whole.average)]) == told


def test_a_trial_whose_worker_died_goes_on_from_its_last_rung_and_none_is_lost(
    dataset: Dataset, study: optuna.Study, tmp_path: Path
) -> None:
    dying = worker(dataset, SEARCH, tmp_path, study.study_name)
    for _ in range(4):
        trial = dying._next()
        assert trial is not None
        dying.climb(trial)
    left = dying._next()
    assert left is not None
    before = {trial.number: progress(trial).best for trial in begun(study)}
    assert any(one.busy for one in standings(entries(study)))
    release(study, worker="0")
    assert not any(one.busy for one in standings(entries(study)))
    run(dataset, study, tmp_path)
    after = {trial.number: progress(trial).best for trial in begun(study)}
    assert sorted(after) == list(range(SEARCH.max_trials))
    assert all(after[number][: len(best)] == best for number, best in before.items())
    assert len({json.dumps(trial.params, sort_keys=True) for trial in begun(study)}) == SEARCH.max_trials


def test_a_trial_that_kills_its_workers_fails(dataset: Dataset, study: optuna.Study, tmp_path: Path) -> None:
    killed = worker(dataset, SEARCH, tmp_path, study.study_name)
    for _ in range(MOST_ATTEMPTS):
        trial = killed._next()
        assert trial is not None
        assert trial.number == 0
        release(study, worker="0")
    (failed,) = [trial for trial in begun(study) if trial.state == TrialState.FAIL]
    assert failed.user_attrs["failure"] == f"its worker died {MOST_ATTEMPTS} times"
    run(dataset, study, tmp_path)
    assert len(begun(study)) == SEARCH.max_trials


def test_deaths_count_only_if_they_were_the_trials_own_and_no_rung_was_climbed_in_between(
    dataset: Dataset, study: optuna.Study, tmp_path: Path
) -> None:
    killed = worker(dataset, SEARCH, tmp_path, study.study_name)
    for _ in range(MOST_ATTEMPTS + 1):
        assert killed._next() is not None
        release(study)
    for _ in range(MOST_ATTEMPTS - 1):
        assert killed._next() is not None
        release(study, worker="0")
    (trial,) = begun(study)
    assert progress(trial).attempts == MOST_ATTEMPTS - 1
    assert killed._next() is not None
    killed.climb(trial)
    (trial,) = begun(study)
    assert trial.state != TrialState.FAIL
    assert (len(progress(trial).best), progress(trial).attempts) == (1, 0)


def test_a_worker_that_was_silent_writes_nothing_of_a_trial_that_others_hold_by_now(
    dataset: Dataset, study: optuna.Study, tmp_path: Path
) -> None:
    """It signs no more, as if its machine had been stopped; the trial is another one's when it wakes."""
    silent = worker(dataset, SEARCH, tmp_path, study.study_name)
    trial = silent._next()
    assert trial is not None
    silent.signs.of(None)
    time.sleep(2.2)
    assert release_silent(study, open_storage(environment().studies_uri, silence=1)) == [trial.number]
    other = worker(dataset, SEARCH, tmp_path, study.study_name)
    other.name = "another"
    taken = other._next()
    assert taken is not None
    assert taken.number == trial.number
    silent.climb(trial)
    (now,) = begun(study)
    assert (progress(now).best, now.user_attrs["worker"]) == ([], "another")
    other.climb(taken)
    assert (len(progress(begun(study)[0]).best), progress(begun(study)[0]).attempts) == (1, 0)


def test_a_trial_that_ends_is_never_free_for_another_worker(
    dataset: Dataset, study: optuna.Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ending = worker(dataset, SEARCH.model_copy(update={"max_trials": 2}), tmp_path, study.study_name)
    tell, free = ending.study.tell, []

    def look_and_tell(number: int, *told: Any, **more: Any) -> Any:
        free.append(next(not one.busy for one in standings(entries(study)) if one.number == number))
        return tell(number, *told, **more)

    monkeypatch.setattr(ending.study, "tell", look_and_tell)
    ending.run()
    assert free == [False, False]


def test_a_training_that_diverges_fails_with_its_step_and_the_search_goes_on(
    dataset: Dataset, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    search = SEARCH.model_copy(update={"space": {"learning_rate": [1e38, 1e-3]}, "max_trials": 8})
    study = opened(dataset, search, request.node.name)
    run(dataset, study, tmp_path, search)
    failed = [trial for trial in begun(study) if trial.state == TrialState.FAIL]
    assert {trial.params["learning_rate"] for trial in failed} == {1e38}
    assert all("is no finite number" in trial.user_attrs["failure"] for trial in failed)
    assert ranked(study)[0].params["learning_rate"] == 1e-3


def test_a_search_of_which_every_trial_diverges_ends_with_its_time_and_says_so(dataset: Dataset) -> None:
    search = SEARCH.model_copy(update={"space": {"learning_rate": [1e38]}, "max_trials": 1000, "time_budget": "6s"})
    began = time.monotonic()
    with pytest.raises(
        RuntimeError, match=r"first validation, \d+ failed, the first one since the .* is no finite number"
    ):
        search_models.fn(dataset, search)
    assert time.monotonic() - began < 25


def test_a_trial_that_ends_takes_no_weights_from_one_that_another_worker_has_on_its_first_rung(
    dataset: Dataset, study: optuna.Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its weights are written before the study knows its value."""
    run(dataset, study, tmp_path, SEARCH.model_copy(update={"max_trials": 1}))
    monkeypatch.setattr(variety, "KEPT_FILES", 0)
    files, trained = TrialFiles(tmp_path), worker(dataset, SEARCH, tmp_path, study.study_name)
    going_on, ending = (trained.choice.begin(entries(study)) for _ in range(2))
    for trial in (going_on, ending):
        training = trained._training(trial)
        files.write_best(trial.number, training.average, trained.learner.outputs(training.average))
    trained._end(ending, TrialState.FAIL)
    assert {path.name.partition(".")[0] for path in tmp_path.glob("*.npy")} == {name(going_on.number)}
    assert read_outputs(tmp_path, going_on.number)


HUNGRY = """
import optuna, resource, sys, torch
from pathlib import Path
from tasks.assignment import Assignment
from tasks.search_worker import Worker
torch.set_num_threads(1)
worker = Worker(Assignment.model_validate_json(Path(sys.argv[1]).read_text()), "0")
worker.learner.begin(worker.learner.suggest(optuna.create_study().ask()), 0).advance()
held = int(next(line for line in open("/proc/self/status") if line.startswith("VmSize")).split()[1]) * 1024
resource.setrlimit(resource.RLIMIT_AS, (held + 700_000_000,) * 2)
worker.run()
"""


def test_a_batch_that_memory_cannot_hold_is_halved_until_it_fits(
    dataset: Dataset, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """The process may take 700 MB more than it has; a batch of 2^20 windows wants many times that."""
    search = SearchConfig(time_budget="5m", max_trials=1, max_steps=10, space={"batch_size": [2**20]})
    study = opened(dataset, search, request.node.name)
    asked = worker(dataset, search, tmp_path, study.study_name)
    (tmp_path / "assignment.json").write_text(asked.assignment.model_dump_json())
    command = [sys.executable, "-c", HUNGRY, str(tmp_path / "assignment.json")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    finished = [trial for trial in begun(study) if progress(trial).best]
    assert finished, [(trial.state, trial.user_attrs) for trial in begun(study)] + [done.stderr]
    for trial in finished:
        assert trial.user_attrs["recipe"]["training"]["batch_size"] < 2**20
        assert trial.user_attrs["halved"].startswith("batch_size ")


def test_a_trial_much_slower_than_others_is_given_up_within_a_few_steps(
    dataset: Dataset, study: optuna.Study, tmp_path: Path
) -> None:
    """The second one reads a hundred times as many windows; a search of thirty seconds has no room for it."""
    longer = SEARCH.model_copy(update={"max_steps": 400})
    first = worker(dataset, longer, tmp_path, study.study_name, deadline=time.time() + 30)
    trial = first._next()
    assert trial is not None
    first.climb(trial)
    slow = first._next()
    assert slow is not None
    recipe = first._recipe(slow)
    many = recipe.training.model_copy(update={"batch_size": 100 * recipe.training.batch_size})
    heavy = recipe.model_copy(update={"training": many}).model_dump(mode="json")
    handle(study, slow).set_user_attr("recipe", heavy)
    first.climb(slow)
    ended = study.get_trials()[slow.number]
    assert ended.state == TrialState.PRUNED
    assert "a step, when" in ended.user_attrs["slow"]
    assert not ended.intermediate_values


def test_time_that_is_up_stops_a_training_between_two_steps(dataset: Dataset, study: Any, tmp_path: Path) -> None:
    endless = SEARCH.model_copy(update={"max_steps": 1_000_000, "max_trials": 1000})
    first = worker(dataset, SEARCH, tmp_path, study.study_name)
    trial = first._next()
    assert trial is not None
    first.climb(trial)
    began = time.time()
    run(dataset, study, tmp_path, endless, began=began, deadline=began + 2.0)
    assert time.time() - began < 6.0
    assert not any(one.busy for one in standings(entries(study)))


def test_the_first_value_is_waited_for_though_time_is_up(dataset: Dataset, study: Any, tmp_path: Path) -> None:
    run(dataset, study, tmp_path, deadline=time.time() - 1)
    assert len(ranked(study)) == 1


def test_a_first_rung_that_is_too_long_is_cut_short_by_the_end_of_the_time(
    dataset: Dataset, study: Any, tmp_path: Path
) -> None:
    endless = SEARCH.model_copy(update={"max_steps": 1_000_000})
    began = time.time()
    run(dataset, study, tmp_path, endless, began=began, deadline=began + 5)
    assert time.time() - began < 5 + 5
    [found] = ranked(study)
    assert 0 < progress(found).step < 1_000_000 // 8
    assert read_outputs(tmp_path, found.number)


def test_the_sampler_knows_each_point_by_its_best_value(dataset: Dataset, study: Any, tmp_path: Path) -> None:
    run(dataset, study, tmp_path)
    seen = Points(study).view(entries(study))
    assert {trial.state for trial in seen.trials} == {TrialState.COMPLETE}
    assert sorted(trial.value for trial in seen.trials) == sorted(progress(t).best[-1] for t in ranked(study))
    assert seen.best_params == ranked(study)[0].params


def test_a_sampler_of_a_long_search_looks_at_the_best_points_and_a_fair_part_of_the_others(study: Any) -> None:
    values = [float(value) for value in range(100)][::-1]
    for value in values:
        trial = optuna.create_study().ask()
        trial.suggest_float("x", 0, 1)
        told = {"progress": {"best": [value]}}
        study.add_trial(
            create_trial(value=value, params=trial.params, distributions=trial.distributions, user_attrs=told)
        )
    assert [trial.value for trial in Points(study).view(entries(study), most=1000).trials] == values
    seen = [trial.value for trial in Points(study).view(entries(study), most=20).trials]
    assert set(seen) >= set(range(10))
    assert seen == sorted(seen, reverse=True)
    assert seen[:10] == list(range(99, 9, -9))


def test_entries_are_what_optuna_says(dataset: Dataset, study: Any, tmp_path: Path) -> None:
    run(dataset, study, tmp_path)
    told = entries(study)
    assert [(one.number, one.trial_id, one.state) for one in told] == [
        (trial.number, trial._trial_id, trial.state) for trial in begun(study)
    ]
    assert [one.progress for one in told] == [progress(trial) for trial in begun(study)]
    assert [one.worker for one in told] == [trial.user_attrs["worker"] for trial in begun(study)]


def test_at_the_end_the_best_are_complete_and_the_rest_were_pruned(
    dataset: Dataset, study: Any, tmp_path: Path
) -> None:
    run(dataset, study, tmp_path)
    settle(study, {trial.number for trial in ranked(study)[:2]})
    states = [trial.state for trial in ranked(study)]
    assert states[:2] == [TrialState.COMPLETE] * 2
    assert all(state.is_finished() for state in states)
    assert study.best_value == pytest.approx(progress(ranked(study)[0]).best[-1])


def test_a_stage_leaves_its_best_trials_with_weights_outputs_and_ledger(dataset: Dataset) -> None:
    result = search_models.fn(dataset, SEARCH)
    out = store.path(result)
    kept = json.loads((out / "best.json").read_text())
    assert [one["value"] for one in kept] == sorted(one["value"] for one in kept)
    assert len(kept) == min(KEPT, SEARCH.max_trials)
    assert result.best_value == kept[0]["value"]
    for one in kept:
        assert (out / one["checkpoint"]).exists()
        assert len(read_outputs(out, one["trial"])) == 12 * 4
        assert one["recipe"]["training"]["steps"] in (2, 3, 4, 6, 8, 12, 16)
    facts = store.manifest(result)["facts"]
    assert facts["seconds"] + facts["seconds_left"] == pytest.approx(300, abs=1)
    assert sum(facts["clock"].values()) <= facts["workers"] * facts["seconds"] + 1
    assert facts["clock"]["training"] > 0
    assert search_models.fn(dataset, SEARCH) == result
    (out / MANIFEST).unlink()
    again = search_models.fn(dataset, SEARCH)
    assert (store.path(again) / "best.json").exists(), "a study whose files are gone is not taken up"


def test_a_search_goes_on_from_the_best_of_another(dataset: Dataset, tmp_path: Path) -> None:
    """On the same data here, so that the first values must be those that the weights already gave, or better."""
    narrow = SEARCH.model_copy(update={"max_trials": 4, "seed": 1})
    earlier = search_models.fn(dataset, SEARCH)
    later = search_models.fn(dataset, narrow, earlier)
    assert later.fingerprint != search_models.fn(dataset, narrow).fingerprint
    study = optuna.load_study(study_name=later.study_name, storage=study_uri())
    expected = json.loads((store.path(earlier) / "best.json").read_text())[:4]
    assert [trial.params for trial in begun(study)] == [one["params"] for one in expected]
    assert all(store.file(trial.user_attrs["start"]) for trial in begun(study))
    first = min(begun(study)[0].intermediate_values)
    assert begun(study)[0].intermediate_values[first] < 1.02 * expected[0]["value"]


def test_a_search_begins_with_no_point_of_another_that_it_could_not_draw(dataset: Dataset) -> None:
    elsewhere = SEARCH.model_copy(update={"max_trials": 2, "space": {"core": ["xlstm"]}})
    later = search_models.fn(dataset, SEARCH.model_copy(update={"max_trials": 2}), search_models.fn(dataset, elsewhere))
    study = optuna.load_study(study_name=later.study_name, storage=study_uri())
    assert {trial.params["core"] for trial in begun(study)} <= {"stacked_lstm", "dilated_lstm"}


@pytest.mark.parametrize(
    ("steps", "split", "unseen"),
    [
        (80, {}, True),
        (90, {}, True),
        (78, {}, False),
        (80, {"test_windows": 2}, False),
        (80, {"validation_windows": 6}, False),
        (100, {"validation_windows": 6}, True),
    ],
    ids=["the same", "grown", "cut", "more is sealed", "more validates", "grown by more than that"],
)
def test_weights_are_taken_over_only_if_they_saw_nothing_that_is_held_back_now(
    steps: int, split: dict[str, int], unseen: bool, dataset: Dataset, tmp_path: Path
) -> None:
    """The search before was on 80 steps with one sealed window and 4 that validate."""
    now = prepared(tmp_path, steps=steps, split=SplitConfig(**split))
    earlier = search_models.fn(dataset, SEARCH)
    given = _beginnings(store.path(earlier), store.path(now), "forecast")
    assert [params for params, _ in given] == [one["params"] for one in best_of(earlier)[:5]]
    assert all(("start" in attributes) is unseen for _, attributes in given)


def test_the_parts_of_items_change_so_that_weights_of_sequences_are_never_taken_over(tmp_path: Path) -> None:
    assert not kind("classify").unseen(tmp_path, tmp_path)


def best_of(result: StudyResult) -> list[dict[str, Any]]:
    return json.loads((store.path(result) / "best.json").read_text())


def study_uri() -> str:
    from tasks.environment import environment

    return environment().studies_uri


def test_weights_of_another_shape_are_left_alone(tmp_path: Path) -> None:
    from models.training_config import TrainingConfig

    def training(width: int) -> Optimisation:
        return Optimisation(torch.nn.Linear(width, 1), TrainingConfig(steps=1), lambda step: iter(()))

    bundle.save_weights(training(3).model, tmp_path / "weights.safetensors")
    same, other = training(3), training(4)
    before = other.model.state_dict()["weight"].clone()
    assert begin_with(tmp_path / "weights.safetensors", same.model, same.average)
    assert not begin_with(tmp_path / "weights.safetensors", other.model, other.average)
    assert torch.equal(other.model.state_dict()["weight"], before)
    assert torch.equal(same.average.state_dict()["weight"], load_file(tmp_path / "weights.safetensors")["weight"])


def test_a_handle_reports_for_a_trial_that_another_process_began(dataset: Dataset, study: Any) -> None:
    trial = study.ask()
    handle(study, begun(study)[-1]).report(0.5, 3)
    assert study.get_trials()[trial.number].intermediate_values == {3: 0.5}
