"""What the stages ask of a sequence problem. An objective knows targets and predictions; no model and no file layout.

A *truth* is one item's target as ``targets`` returns it: classify a label (multi-label: a list of labels), regress a
float, tag a list of labels, transcribe a text. A *prediction* is what ``combine`` of the objective's head returns:
classify probabilities [L], regress a float, tag (codes [T], probabilities [T]), transcribe (symbols, log-probability).
Truths and predictions are lists over the same N items in the same order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tasks.data.contract import Ledger
from tasks.kinds.metric import Metric

if TYPE_CHECKING:
    import polars as pl

    from models.sequence_columns import Layout
    from tasks.reporting.section import Section


class Arrays(Protocol):
    """One input view of a part of a data set, item after item: ``models.ragged.Ragged`` is one."""

    def __len__(self) -> int: ...

    def item(self, place: int) -> NDArray[Any]:
        """Return item ``place`` [T, *X]."""
        ...


class Objective(Protocol):
    """What a kind's file holds beside its Problem, as ``OBJECTIVE``."""

    name: str
    """The kind."""
    does: str
    """What a model of it does, as a card says it: a sentence."""
    inputs: list[str]
    """The input kinds that it can learn from."""
    baselines: list[str]
    """Names that ``baseline`` knows; may be empty."""
    validation_metrics: list[str]
    """What a search may minimise, the default first."""
    error: str
    """What ``item_errors`` counts, as a sentence names it: "error rate", "absolute error"."""

    def targets(self, problem: Any, column: pl.Series, layout: Layout = "items") -> pl.Series:
        """Return a source's target column in the kind's own type, which it keeps from there on.

        Classify: String, or List(String); regress: Float64; tag: List(String); transcribe: String. What cannot be read
        becomes null, which ``check_target`` refuses. A column that went through once comes back unchanged.

        Args:
            problem: the kind's Problem.
            column: a value an item; ``steps``: a list of a value for each of its steps.
            layout: what a row of the source was.

        Raises:
            InputError: no value of the column's type can be such a target.
        """
        ...

    def check_target(self, problem: Any, frame: pl.DataFrame, input_kind: str) -> None:
        """Check each item on its own, part by part: it has a target, and a tag list is as long as its tokens.

        Args:
            problem: the kind's Problem.
            frame: item_id, input and target of some items, the target through ``targets``.
            input_kind: numeric, text, tokens or audio.

        Raises:
            InputError: the rule, the first items that break it, and the remedy.
        """
        ...

    def fit_target(self, problem: Any, frame: pl.DataFrame, ledger: Ledger) -> Any:
        """Return the target's facts, fitted on column ``target`` of the training items; note oddities in ``ledger``.

        Raises:
            InputError: nothing can be learned: a single class, a target that never varies, no tag but O.
        """
        ...

    def strata(self, problem: Any, column: pl.Series) -> list[str] | None:
        """Return what a split keeps the shares of, one for each item of ``column``, which went through ``targets``.

        None where there is no such thing. It comes before ``fit_target``: the facts are fitted on the training items.
        """
        ...

    def metrics(self, target: Any) -> list[Metric]:
        """Return what a leaderboard shows, the headline first: the keys of ``score``."""
        ...

    def score(self, target: Any, truth: list[Any], predictions: list[Any]) -> dict[str, float]:
        """Measure predictions; NaN where a metric has no meaning on these items."""
        ...

    def validation_loss(self, metric: str, target: Any, truth: list[Any], predictions: list[Any]) -> float:
        """Return what the search minimises: ``metric`` is one of ``validation_metrics``."""
        ...

    def item_errors(self, target: Any, truth: list[Any], predictions: list[Any]) -> NDArray[np.float64]:
        """Return one error an item [N] for a paired test; less is better."""
        ...

    def item_weights(self, target: Any, truth: list[Any]) -> NDArray[np.float64]:
        """Return each item's part [N] in the mean of ``item_errors``, so that the mean is one of the metrics."""
        ...

    def baseline(
        self,
        name: str,
        target: Any,
        train: pl.DataFrame,
        test: pl.DataFrame,
        input_kind: str,
        arrays: tuple[Arrays, Arrays] | None = None,
    ) -> list[Any]:
        """Return predictions for ``test`` by what was learned from ``train`` alone.

        Args:
            name: one of ``baselines``.
            target: the target's facts.
            train: target of each item that a model may train on, validation included; for text and tokens also
                ``input``.
            test: likewise the items to predict; their target is never read.
            input_kind: numeric, text, tokens or audio.
            arrays: of the two parts the view ``channels`` or ``fbank``, one entry for each row of the frames.
        """
        ...

    def details(self, target: Any, truth: list[Any], predictions: list[Any], items: pl.DataFrame) -> dict[str, Any]:
        """Return, as JSON, what ``sections`` draws and ``notes`` tells of the model: ``evaluate`` keeps it.

        Args:
            target: the target's facts.
            truth: of the sealed items.
            predictions: the model's.
            items: item_id, source (a path, or null) and for text and tokens ``input`` of the same items.
        """
        ...

    def notes(self, details: dict[str, Any]) -> list[str]:
        """Return sentences without a full stop for the verdict, such as on labels that training never showed."""
        ...

    def sections(self, details: dict[str, Any]) -> list[Section]:
        """Draw the kind's part of the report."""
        ...
