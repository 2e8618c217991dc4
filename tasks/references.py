"""What crosses a stage boundary: a URI, a fingerprint and a few facts, never the data itself.

``uri`` is a path relative to the store's root, so a reference written on one machine holds on every machine that
sees the same store. A reference is JSON both ways: ``to_json`` and ``from_json``.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from pydantic import TypeAdapter

MANIFEST = "manifest.json"
"""The file that makes an output complete: what it is a function of, and facts about it."""


@dataclass(frozen=True)
class Reference:
    """The output of one stage. ``stage`` names the directory of the store that holds it."""

    stage: ClassVar[str]

    uri: str
    fingerprint: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Reference:
        return TypeAdapter(cls).validate_python(values)


@dataclass(frozen=True)
class Table(Reference):
    """Canonical parquet in parts, and ``table.json`` on what was read and found.

    Series: a row for each step, sorted by item and time, on a regular grid, missing steps explicit as nulls. Whole
    sequences: a row for each item with its input and its target.
    """

    stage: ClassVar[str] = "ingest"

    rows: int
    items: int


@dataclass(frozen=True)
class Dataset(Reference):
    """Ragged arrays, split, scalers and vocabularies. The test part lies sealed beside the rest."""

    stage: ClassVar[str] = "prepare"

    kind: str
    items: int
    steps: int


@dataclass(frozen=True)
class StudyResult(Reference):
    """An Optuna study's outcome: its name in the study storage and the best configurations as JSON.

    ``seconds_left`` is what the search left of the time budget.
    """

    stage: ClassVar[str] = "search"

    study_name: str
    trials: int
    best_value: float
    seconds_left: float

    @classmethod
    def of(cls, uri: str, fingerprint: str, facts: dict[str, Any]) -> StudyResult:
        """Return the reference to what a search wrote ``facts`` of into its manifest."""
        names = ("study_name", "trials", "best_value", "seconds_left")
        return cls(uri, fingerprint, **{name: facts[name] for name in names})


@dataclass(frozen=True)
class Model(Reference):
    """A trained model: ``model.json`` beside one safetensors file for each member."""

    stage: ClassVar[str] = "fit"

    kind: str
    members: int
    parameters: int


@dataclass(frozen=True)
class Evaluation(Reference):
    """What the sealed test part said of a model, of the baselines and of the champion of the day.

    ``best_baseline`` is None where the problem kind has no baseline.
    """

    stage: ClassVar[str] = "evaluate"

    best_baseline: str | None
    beats_baselines: bool
    beats_champion: bool


@dataclass(frozen=True)
class Decision(Reference):
    """What the gate decided: ``decision.json`` has the evidence.

    ``passed`` is what the evidence says, ``promotes`` whether champion follows from it, ``reason`` a sentence.
    """

    stage: ClassVar[str] = "gate"

    passed: bool
    promotes: bool
    reason: str


@dataclass(frozen=True)
class ModelVersion:
    """A version in the MLflow registry. It is MLflow's, not the store's: it has no URI of ours.

    It ``waits`` if it passed the gate and becomes champion once somebody approves.
    """

    name: str
    version: str
    fingerprint: str
    run_id: str
    champion: bool
    waits: bool = False


@dataclass(frozen=True)
class Predictions(Reference):
    """Parquet in parts, as many as the table's.

    Forecasts: a row for each item, target and step of the horizon, and a column for each quantile. Whole sequences: a
    row for each item, and the columns of the kind, such as ``label`` and ``probabilities``.
    """

    stage: ClassVar[str] = "predict"

    rows: int
    items: int


@dataclass(frozen=True)
class Report(Reference):
    """``report.html``: one self-contained page on data, search, predictions and errors."""

    stage: ClassVar[str] = "report"


@dataclass(frozen=True)
class Profile(Reference):
    """What a monitor has to know of the data that a model was made from, and of its errors on the sealed part.

    It is logged with the version, so that it is where the version is.
    """

    stage: ClassVar[str] = "profile"


DEGRADED = "carousel.model.degraded"
"""The event that a model has become worse than it was. Its resource is ``carousel.model.NAME``, and its payload has
``model``, ``version``, ``reasons`` and ``findings``."""


@dataclass(frozen=True)
class Health(Reference):
    """How a version does on what came since: ``health.json`` and ``health.html``."""

    stage: ClassVar[str] = "monitor"

    degraded: bool
    reasons: list[str]
