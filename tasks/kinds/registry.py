"""The registry of problem kinds: a new kind is a file beside this one and a line in each of the two below."""

from __future__ import annotations

from typing import Annotated, cast

from pydantic import Discriminator

from models.problem import Forecast
from tasks.config import Choice
from tasks.kinds import classify, forecast, regress, tag, transcribe
from tasks.kinds.kind import Kind
from tasks.kinds.sequences import SequenceKind

Problem = Annotated[
    Forecast | classify.Classify | regress.Regress | tag.Tag | transcribe.Transcribe,
    Discriminator("kind"),
    Choice(),
]
"""What a flow's ``problem`` may be: the union of the kinds' problems."""

KINDS: dict[str, Kind] = {
    "forecast": cast(Kind, forecast),
    "classify": SequenceKind(classify.OBJECTIVE),
    "regress": SequenceKind(regress.OBJECTIVE),
    "tag": SequenceKind(tag.OBJECTIVE),
    "transcribe": SequenceKind(transcribe.OBJECTIVE),
}


def kind(name: str) -> Kind:
    """Return the kind called ``name``; importing it brings neither torch nor polars."""
    return KINDS[name]
