"""Whether a champion can be measured on the sealed items of a data set of sequences, and on which of them.

Shapes: N sealed items.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tasks.errors import shortened
from tasks.inputs.registry import input_kind
from tasks.kinds import sequence_keys
from tasks.kinds.sequence_keys import Keys

if TYPE_CHECKING:
    from models.sequence_bundle import SequenceBundle
    from models.sequence_model import SequenceFacts

FORM = ("multi_label", "scheme", "separator", "lowercase")
"""What of a target's facts must be the same for two models to be compared, where the kind has it."""
ANSWERS = ("labels", "symbols")
"""What of a target's facts a champion may know more or less of than the data set: it errs where it knows less."""
FEWEST, LEAST_SHARE = 10, 0.2
"""Items, and the share of the sealed ones, that must be new to a champion for a comparison, unless all are."""


def difference(rival: Any, ours: SequenceFacts, sealed: Keys) -> str | None:
    """Say why ``rival`` cannot be measured; None if it can.

    Args:
        rival: its bundle.
        ours: the facts of the data set.
        sealed: who the sealed items are [N, 1 or 2].
    """
    if rival.kind != ours.kind:
        return f"it is of the kind {rival.kind}"
    theirs: SequenceFacts = rival.facts
    if theirs.input.kind != ours.input.kind:
        return f"it reads {theirs.input.kind} and the input is now {ours.input.kind}"
    if found := input_kind(ours.input.kind).difference(theirs.input, ours.input):
        return found
    if theirs.columns.target != ours.columns.target:
        return f"it predicts {', '.join(theirs.columns.target)} and the target is now {', '.join(ours.columns.target)}"
    return _other_form(theirs.target, ours.target) or _too_well_known(rival, ours, sealed)


def fresh(rival: SequenceBundle, sealed: Keys) -> NDArray[np.bool_]:
    """Say of each ``sealed`` item [N] whether ``rival`` was trained neither on it nor on others of its group."""
    assert rival.trained is not None, "difference refuses a rival whose items are not known"
    return sequence_keys.unseen(sealed, rival.trained)


def unknown(name: str, theirs: Any, ours: Any) -> list[str]:
    """Say which answers of the target ``ours`` the champion ``name``, whose target is ``theirs``, cannot give."""
    notes = []
    for answers in ANSWERS:
        known = set(getattr(theirs, answers, []))
        if lacking := [repr(answer) for answer in getattr(ours, answers, []) if answer not in known]:
            notes.append(f"{name} does not know the {answers} {shortened(lacking)}: they count as its errors")
    return notes


def _other_form(theirs: Any, ours: Any) -> str | None:
    for name in FORM:
        mine, other = getattr(ours, name, None), getattr(theirs, name, None)
        if mine != other:
            return f"its {name.replace('_', ' ')} is {other!r} and now {mine!r}"
    return None


def _too_well_known(rival: SequenceBundle, ours: SequenceFacts, sealed: Keys) -> str | None:
    """Say why too few sealed items are known to be new to ``rival``."""
    if rival.trained is None:
        return "it does not say which items it was trained on"
    then, now = rival.facts.columns.item_id, ours.columns.item_id
    if then != now:
        told = [f"by {', '.join(columns)}" if columns else "by their content" for columns in (then, now)]
        return f"its items were told apart {told[0]} and are now {told[1]}: it may have been trained on any of them"
    fresh_N = fresh(rival, sealed)
    items, new = len(fresh_N), int(fresh_N.sum())
    wanted = min(items, max(FEWEST, math.ceil(LEAST_SHARE * items)))
    if new < wanted:
        known = f"{items - new:,} of the {items:,} sealed items"
        return f"it was trained on {known}, and at least {wanted:,} must be new to it"
    return None
