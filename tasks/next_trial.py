"""Which trial of a study a worker trains next, and when it is time to end; ``halving`` has the rule."""

from __future__ import annotations

import time

import optuna
from optuna.trial import FrozenTrial, TrialState

from tasks import halving
from tasks.assignment import Assignment
from tasks.kinds.kind import Learner
from tasks.space import Narrowed
from tasks.studies import begun, progress, ranked, standings, view

CLOSING = 0.75
"""Share of the time after which no new trial is begun while a frozen one may go on."""

MEMBERS, FIT_START, FIT_WORK = 6, 12.0, 0.35
"""What ``fit`` is thought to take: seconds to start, and a share of the seconds that its members were trained for."""


class Choice:
    """Chooses among the trials of ``study``, of which the part ``share`` of a rung climbs the next one.

    ``deadline`` is when the search has to end by what is known of its trials.
    """

    def __init__(self, study: optuna.Study, learner: Learner, assignment: Assignment, share: float) -> None:
        self.study, self.learner, self.assignment, self.share = study, learner, assignment, share
        self.search, self.rungs = assignment.search, len(learner.ladder())
        self.deadline = assignment.deadline

    def over(self) -> bool:
        """Say whether time is up; the first value is waited for, however long it takes."""
        return time.time() >= self.deadline and bool(ranked(self.study))

    def next(self) -> FrozenTrial | None:
        """Return the trial that is to be trained next; None: there is none now. Only one worker may ask at a time."""
        self.deadline = self._time_is_up()
        trials = begun(self.study)
        stand = standings(trials)
        chosen = halving.thawed(stand, self.rungs, self.share)
        full = len(trials) >= self.search.max_trials
        if chosen is None and (full or self._closing()):
            chosen = halving.best_waiting(stand, self.rungs)
        if chosen is None:
            # A trial of which the worker died before its first rung.
            chosen = next((one for one in stand if one.open and not one.busy and one.rung == 0), None)
        if chosen is not None:
            return self.study.get_trials(deepcopy=False)[chosen.number]
        return None if full else self.begin(len(trials))

    def begin(self, number: int) -> FrozenTrial:
        """Begin trial ``number``: the next of those that were enqueued, else one that the sampler draws."""
        waiting = self.study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
        if not waiting:
            # A resumed study must not draw the same points again.
            drawn = view(self.study, self.search.seed + number).ask()
            self.learner.suggest(Narrowed(drawn, self.search.space))
            self.study.enqueue_trial(drawn.params)
        number = self.study.ask().number
        return self.study.get_trials(deepcopy=False)[number]

    def _time_is_up(self) -> float:
        """Return when the search has to end, so that its best trials can go on for a share of their steps."""
        best = [progress(trial).training for trial in ranked(self.study)[:MEMBERS]]
        needed = FIT_START + FIT_WORK * sum(best) / self.assignment.workers
        return self.assignment.deadline - min(self.assignment.reserve, needed)

    def _closing(self) -> bool:
        spent = time.time() - self.assignment.began
        return spent >= CLOSING * (self.deadline - self.assignment.began)
