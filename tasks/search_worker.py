"""One worker of a search: takes the trial that is next, trains it by a rung, tells. ``python -m tasks.search_worker``.

It lives through the study, so a trial costs its training and nothing else.
"""

from __future__ import annotations

import math
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import optuna
import torch
from optuna.trial import FrozenTrial, TrialState

from models import ranks
from models.optimisation import Optimisation, begin_with, free_memory, out_of_memory
from tasks import devices, halving, store, trial_ranks
from tasks.assignment import Assignment
from tasks.children import die_with_parent
from tasks.clock import Clock
from tasks.environment import environment
from tasks.kinds.kind import Learner, LearnerOptions
from tasks.kinds.registry import kind
from tasks.next_trial import Choice
from tasks.shared import shared_store
from tasks.signs_of_life import SignsOfLife
from tasks.space import Narrowed
from tasks.studies import entries, handle, open_storage, progress, set_progress, standings
from tasks.study_turn import turn
from tasks.trial_files import TrialFiles
from tasks.variety import Keeper

SHARE = 0.5
"""Part of the trials of a rung that climb the next one."""

FEWEST_TIMED = 5
"""Steps after which the time that one takes is known."""

LEAST_SECONDS = 4.0
"""Seconds for which a trial is trained, though time is up, if no trial has a value."""

SLOW_SHARE, SLOW_TIMES = 0.1, 3.0
"""A new trial is too slow whose first rung takes this share of the search, and so many times as long as others' do."""


class Diverged(Exception):
    """A training whose loss or value is no finite number any more."""


class TooSlow(Exception):
    """A training that takes many times as long as those of other trials."""


class TakenOver(Exception):
    """A trial that others hold now, since this worker gave no sign of life for too long."""


class Worker:
    """Trains trials of one study until the deadline, or until nothing is left to train."""

    def __init__(self, assignment: Assignment, name: str) -> None:
        self.assignment, self.search, self.name = assignment, assignment.search, name
        self.clock = Clock()
        self.work = environment().work / assignment.work
        self.work.mkdir(parents=True, exist_ok=True)
        options = LearnerOptions(self.search.max_steps, assignment.metric)
        self.learner: Learner = kind(assignment.kind).learner(store.path(assignment.dataset), options)
        self.storage = open_storage(environment().studies_uri)
        self.study = optuna.load_study(study_name=assignment.study_name, storage=self.storage)
        self.study.sampler = optuna.samplers.RandomSampler(seed=self.search.seed)
        self.share = SHARE if self.search.pruning else 1.0
        self.files = TrialFiles(self.work, shared_store() if assignment.shared else None)
        self.signs = SignsOfLife(self.storage)
        self.ladder = self.learner.ladder()
        self.choice = Choice(self.study, self.learner, assignment, self.share)
        self.keeper = Keeper(self.files, self.choice.points)
        self._ended: set[int] = set()
        self._held: tuple[int, Optimisation] | None = None
        """The trial that was trained last, as it stands: it need not be read again if it goes on."""

    def run(self) -> None:
        while not self.choice.over():
            with turn(self.storage, self.assignment.study_name, self.work / "ask.lock"):
                trial = self._next()
            if trial is not None:
                self.climb(trial)
            elif any(one.busy for one in entries(self.study)):
                # What another worker finds may let a frozen trial go on.
                with self.clock.on("idle"):
                    time.sleep(0.1)
            else:
                break
            self._write_clock()
        trial_ranks.say(trial_ranks.QUIT)

    def _write_clock(self) -> None:
        file = f"clock-{self.name}-{os.getpid()}.json"
        self.clock.write(self.work / file)
        self.files.share(file)

    def _next(self) -> FrozenTrial | None:
        """Take the trial that is to be trained next; None: there is none now."""
        trial = self.choice.next()
        if trial is not None:
            self.signs.of(trial._trial_id)
            handle(self.study, trial).set_user_attr("worker", self.name)
        return trial

    def climb(self, trial: FrozenTrial) -> None:
        """Train ``trial`` to its next rung, and tell the study how it stands."""
        reporting = handle(self.study, trial)
        exhausted: str | None = None
        try:
            self._climb(trial, reporting)
        except TakenOver:
            self._held = None
            self.signs.of(None)
            return
        except Diverged as error:
            self._end(trial, TrialState.FAIL, failure=str(error))
        except TooSlow as error:
            self._end(trial, TrialState.PRUNED, slow=str(error))
        except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
            # Of several ranks one alone has no memory: they end together, and the trial goes on from its last rung.
            if not out_of_memory(error) or ranks.place()[1] > 1:
                raise
            # No more of it than this: its frames hold the batch that was too large.
            exhausted = str(error)
        if exhausted is not None:
            self._halve_batch(trial, reporting, exhausted)
        if trial.number not in self._ended:
            reporting.set_user_attr("worker", "")
        self.signs.of(None)

    def _climb(self, trial: FrozenTrial, reporting: optuna.Trial) -> None:
        stood = progress(trial)
        training = self._training(trial)
        best, step, before = (stood.best or [float("inf")])[-1], stood.step, dict(self.clock.seconds)
        most = float("inf") if stood.best else self._most_seconds_a_step()
        for check in self.ladder[len(stood.best)]:
            with self.clock.on("training"):
                whole = self._advance(training, check, most)
            if not whole:
                return
            with self.clock.on("validation"):
                outputs = self.learner.outputs(training.average)
                value = self.learner.value([outputs])
            if not math.isfinite(value):
                raise Diverged(f"the value at step {training.step} is no finite number")
            self._check_held(trial)
            if value < best:
                best, step = value, training.step
                self.files.write_best(trial.number, training.average, outputs)
            if training.step not in trial.intermediate_values:
                reporting.report(value, training.step)
            if training.step < check:
                break
        self.files.write_state(trial.number, training.state_dict())
        self._held = trial.number, training
        accounts = {"training": stood.training, "validation": stood.validation}
        spent = {name: known + self.clock.seconds[name] - before[name] for name, known in accounts.items()}
        set_progress(self.study, trial, best=[*stood.best, best], step=step, attempts=0, **spent)
        self._end_if_settled(trial)

    def _training(self, trial: FrozenTrial) -> Optimisation:
        """Return the training of ``trial`` where its last rung left it."""
        if self._held is not None and self._held[0] == trial.number:
            trial_ranks.say(trial_ranks.GO_ON)
            return self._held[1]
        self._recipe(trial)
        trial_ranks.say(trial_ranks.BEGIN, trial._trial_id)
        return self.training_of(trial)

    def training_of(self, trial: FrozenTrial) -> Optimisation:
        """Return the training of ``trial`` as its files have it."""
        recipe = self._recipe(trial)
        training = self.learner.begin(recipe, self.search.seed)
        if (state := self.files.read_state(trial.number)) is not None:
            training.load_state_dict(state)
        elif (told := trial.user_attrs.get("start")) and (start := store.file(told)) is not None:
            begin_with(start, training.model, training.average)
        return training

    def _recipe(self, trial: FrozenTrial) -> Any:
        """Return the recipe of ``trial``, which is written down when it is first asked for."""
        if told := self._stored(trial).user_attrs.get("recipe"):
            return self.learner.recipe(told)
        reporting = handle(self.study, trial)
        recipe = self.learner.suggest(Narrowed(reporting, self.search.space))
        reporting.set_user_attr("recipe", recipe.model_dump(mode="json"))
        return recipe

    def _check_held(self, trial: FrozenTrial) -> None:
        """Raise TakenOver if ``trial`` is another worker's by now."""
        if self._stored(trial).user_attrs.get("worker") != self.name:
            raise TakenOver

    def _stored(self, trial: FrozenTrial) -> FrozenTrial:
        return self.storage.get_trial(trial._trial_id)

    def _most_seconds_a_step(self) -> float:
        """Return what a step of a new trial may take."""
        steps = self.ladder[0][-1]
        known = [
            one.progress.training / self.ladder[len(one.progress.best) - 1][-1]
            for one in entries(self.study)
            if one.progress.best
        ]
        if not known:
            return float("inf")
        allowed = SLOW_SHARE * (self.choice.deadline - self.assignment.began) / steps
        return max(allowed, SLOW_TIMES * statistics.median(known))

    def _advance(self, training: Optimisation, check: int, most: float) -> bool:
        """Train up to step ``check``, or less if time is up; False: then, and another value is known."""
        began, before = time.perf_counter(), training.step
        last = max(self.assignment.deadline, time.time() + LEAST_SECONDS)
        while training.step < check:
            trial_ranks.say(trial_ranks.STEP)
            loss = training.advance()
            if not math.isfinite(loss):
                raise Diverged(f"the loss at step {training.step} is no finite number")
            a_step = (time.perf_counter() - began) / (training.step - before)
            if a_step > most and training.step - before >= FEWEST_TIMED:
                raise TooSlow(f"{a_step:.3f} s a step, when {most:.3f} s were the most")
            if time.time() >= self.choice.deadline and self.choice.over():
                return False
            if time.time() >= last:
                break
        return True

    def _end_if_settled(self, trial: FrozenTrial) -> None:
        trials = standings(entries(self.study))
        mine = next(one for one in trials if one.number == trial.number)
        if mine.rung == len(self.ladder) or mine.converged:
            self._end(trial, TrialState.COMPLETE, mine.best[-1])
        elif self.search.pruning and halving.is_out(mine, trials, self.share):
            self._end(trial, TrialState.PRUNED)

    def _end(self, trial: FrozenTrial, state: TrialState, value: float | None = None, **attributes: Any) -> None:
        # It stays this worker's until it has ended: another one would take a trial that is nobody's.
        for name, told in attributes.items():
            handle(self.study, trial).set_user_attr(name, told)
        self.study.tell(trial.number, value, state=state)
        self._ended.add(trial.number)
        self.files.remove_state(trial.number)
        self.keeper.forget(entries(self.study))
        self._held = None

    def _halve_batch(self, trial: FrozenTrial, reporting: optuna.Trial, error: str) -> None:
        """Let ``trial`` go on with half the batch, from where it stood; one that cannot be halved fails."""
        self._held = None
        free_memory()
        recipe = self._recipe(trial)
        if recipe.training.batch_size == 1:
            self._end(trial, TrialState.FAIL, failure=f"out of memory with a batch of one: {error}")
            return
        halved = recipe.training.model_copy(update={"batch_size": recipe.training.batch_size // 2})
        recipe = recipe.model_copy(update={"training": halved})
        reporting.set_user_attr("recipe", recipe.model_dump(mode="json"))
        reporting.set_user_attr("halved", f"batch_size {halved.batch_size} after: {error}")


def main(assignment: str, name: str) -> None:
    """Work as ``name`` on the assignment in a JSON file: alone, as one of several ranks, or as their launcher.

    It has this process to itself, which its parent must have started by ``children.start``.
    """
    die_with_parent()
    torch.set_num_threads(1)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    count, of_several = environment().trial_devices, "RANK" in os.environ
    if count > 1 and not of_several:
        with devices.lease(count=count):
            trial_ranks.launch([assignment, name], count)
        return
    with devices.lease(count=0 if of_several else 1):
        first = not of_several or trial_ranks.join() == 0
        worker = Worker(Assignment.model_validate_json(Path(assignment).read_text()), name)
        worker.run() if first else trial_ranks.follow(worker)
        ranks.leave()


if __name__ == "__main__":
    main(*sys.argv[1:])
