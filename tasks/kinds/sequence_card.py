"""What the card of a model of sequences says of its input, its output and its limits."""

from __future__ import annotations

from models.sequence_model import SequenceFacts
from tasks.inputs.registry import input_kind
from tasks.kinds.kind import Card


def card(facts: SequenceFacts, members: int, does: str) -> Card:
    """Return the kind's parts of the card of an ensemble of ``members``; ``does`` is the objective's sentence."""
    kind, columns = input_kind(facts.input.kind), facts.columns
    longest = max(facts.longest.values())
    what = f"{does} An ensemble of {members} LSTM models."
    if labels := getattr(facts.target, "labels", None):
        shown = ", ".join(f"`{label}`" for label in labels[:40])
        what += f" Labels, in the order of the probabilities: {shown}{', ...' if len(labels) > 40 else ''}."
    code = kind.USE.format(input=columns.input[0])
    return Card(
        what=what,
        goes_in=kind.goes_in(facts.input, columns),
        how_to_use=f"{code}\npredicted = model.predict(table)",
        limits=f"The longest sequence in training had {longest:,} steps. "
        "A label, a word or a voice that training did not hold is guessed from what it resembles.",
    )
