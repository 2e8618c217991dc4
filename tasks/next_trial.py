"""Which trial of a study a worker trains next, and when it is time to end; ``halving`` has the rule."""

from __future__ import annotations

import time

import optuna
from optuna.trial import FrozenTrial, TrialState, create_trial

from tasks import halving
from tasks.assignment import Assignment
from tasks.kinds.kind import Learner
from tasks.points import MOST_DRAWN_FROM, Points
from tasks.space import Narrowed
from tasks.studies import Entry, database, entries, first_waiting, leading, standings

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
        self.storage, self.points = database(study), Points(study)
        self.search, self.rungs = assignment.search, len(learner.ladder())
        self.deadline = assignment.deadline

    def over(self) -> bool:
        """Say whether time is up; a first value is waited for, as long as there is a trial that may bring it."""
        if time.time() < self.deadline:
            return False
        told = entries(self.study)
        return bool(leading(told)) or (all(one.state.is_finished() for one in told) and bool(told))

    def next(self) -> FrozenTrial | None:
        """Return the trial that is to be trained next; None: there is none now. Only one worker may ask at a time."""
        told = entries(self.study)
        self.deadline = self._time_is_up(told)
        stand = standings(told)
        chosen = halving.thawed(stand, self.rungs, self.share)
        full = len(told) >= self.search.max_trials
        if chosen is None and (full or self._closing()):
            chosen = halving.best_waiting(stand, self.rungs)
        if chosen is None:
            # A trial of which the worker died before its first rung.
            chosen = next((one for one in stand if one.open and not one.busy and one.rung == 0), None)
        if chosen is not None:
            found = next(one for one in told if one.number == chosen.number)
            return self.storage.get_trial(found.trial_id)
        late = bool(told) and time.time() >= self.deadline
        return None if full or late else self.begin(told)

    def begin(self, told: list[Entry]) -> FrozenTrial:
        """Begin the next of the trials that were enqueued, else one that the sampler draws by what it is ``told``."""
        waiting = first_waiting(self.study)
        # A resumed study must not draw the same points again.
        passing = self.points.view(told, self.search.seed + len(told), MOST_DRAWN_FROM)
        if waiting is not None:
            passing.enqueue_trial(self.storage.get_trial(waiting).system_attrs.get("fixed_params", {}))
        drawn = passing.ask()
        self.learner.suggest(Narrowed(drawn, self.search.space))
        if waiting is None:
            begun = create_trial(state=TrialState.RUNNING, params=drawn.params, distributions=drawn.distributions)
            return self.storage.get_trial(self.storage.create_new_trial(self.study._study_id, begun))
        # Optuna itself would read the whole study to begin an enqueued trial.
        for name, distribution in drawn.distributions.items():
            value = distribution.to_internal_repr(drawn.params[name])
            self.storage.set_trial_param(waiting, name, value, distribution)
        self.storage.set_trial_state_values(waiting, TrialState.RUNNING)
        return self.storage.get_trial(waiting)

    def _time_is_up(self, told: list[Entry]) -> float:
        """Return when the search has to end, so that its best trials can go on for a share of their steps."""
        best = [one.progress.training for one in leading(told)[:MEMBERS]]
        needed = FIT_START + FIT_WORK * sum(best) / self.assignment.workers
        return self.assignment.deadline - min(self.assignment.reserve, needed)

    def _closing(self) -> bool:
        spent = time.time() - self.assignment.began
        return spent >= CLOSING * (self.deadline - self.assignment.began)
