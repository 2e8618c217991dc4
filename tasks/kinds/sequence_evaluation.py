"""Kinds of whole sequences: the sealed items, predicted by the model, the champion and the baselines.

    evaluation.json   leaderboard, tests, verdict
    details.json      what the kind shows of its errors in the report
    items.parquet     item_id, source, text or tokens, steps, truth, the model's prediction, and a column of each
                      contestant's errors: ``error linear``; null where a champion was not measured

This is the one module that opens ``sealed/`` of a data set of sequences. What is sealed today a champion may have been
trained on, when the table was smaller or split otherwise: it is measured on the items that are new to it, and the
model is compared with it on those.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from models import bundle
from tasks.inputs.registry import input_kind
from tasks.kinds import sequence_rival
from tasks.kinds.kind import median_seconds
from tasks.kinds.sequence_dataset import SequenceDataset
from tasks.reporting import sequence_sections
from tasks.scoring import contest
from tasks.scoring.clusters import Clusters
from tasks.scoring.contest import Contest, Entry

if TYPE_CHECKING:
    from models.ragged import Ragged
    from models.sequence_bundle import SequenceBundle
    from models.sequence_model import SequenceFacts
    from tasks.kinds.objective import Objective
    from tasks.reporting.section import Section


@dataclass(frozen=True)
class Contestant:
    """Predictions of one contestant for all sealed items, to be read with ``target``, its own facts of the target.

    ``latency_ms`` is what the first item alone took, its encoding included if the items are read anew.
    """

    name: str
    kind: Any
    target: Any
    predictions: list[Any]
    seconds: float
    notes: list[str] = field(default_factory=list)
    latency_ms: float | None = None

    def on(self, items: NDArray[np.int64]) -> Contestant:
        """Return the predictions for ``items`` alone."""
        return replace(self, predictions=[self.predictions[item] for item in items])


def evaluate(
    dataset: Path,
    model: Path,
    rival: tuple[str, Any] | None,
    rival_note: str | None,
    baselines: list[str],
    workers: int,
    out: Path,
    objective: Objective,
) -> dict[str, Any]:
    """Hold the contest on the sealed items of ``dataset`` and write the files that the module's docstring lists.

    Args:
        dataset: directory of a prepared data set.
        model: directory of a bundle.
        rival: the present champion's name in the leaderboard, and its bundle.
        rival_note: why there is a champion that cannot be compared.
        baselines: names in ``objective.baselines``.
        workers: processes that may be used; these baselines need none.
        out: the directory to write into.
        objective: of the kind.

    Returns:
        The facts of an ``Evaluation``: best_baseline, beats_baselines, beats_champion.
    """
    opened, proved = SequenceDataset(dataset), bundle.load(model)
    facts, items = opened.facts, opened.frame("sealed")
    if rival is not None and (difference := sequence_rival.difference(rival[1], facts, opened.sealed_keys)):
        rival, rival_note = None, difference
    contestants = [_predicted("lstm", "lstm", proved, opened, items)]
    contestants += [_champion(*rival, opened, items)] if rival is not None else []
    contestants += _baselines(opened, items, baselines, objective)
    truth = items["target"].to_list()
    held, rematch = hold(objective, facts.target, truth, contestants, _clusters(opened)), None
    if rival is not None and not (fresh_N := sequence_rival.fresh(rival[1], opened.sealed_keys)).all():
        held, rematch = _rematched(objective, facts.target, truth, contestants, held, fresh_N)
    kept = [name for name in ("item_id", "source", "input") if name in items.columns]
    details = objective.details(facts.target, truth, contestants[0].predictions, items.select(kept))
    told = contest.summary(held, rival_note, rematch)
    told["notes"] += objective.notes(details)
    told["reach"] = [one._asdict() for one in proved.reach(opened.arrays("sealed"))]
    contest.write_json(_headed(told, facts, len(items), opened.learned_from), out / "evaluation.json")
    contest.write_json(details, out / "details.json")
    steps = opened.arrays("sealed").lengths(facts.input.views[0])
    predicted = facts.target.columns(contestants[0].predictions)
    _table(items.select(kept), steps, truth, predicted, held).write_parquet(out / "items.parquet")
    return contest.decision(told)


def _clusters(opened: SequenceDataset) -> list[Clusters]:
    """Return the groups of the sealed items, if the split is by groups, and the items themselves."""
    keys = opened.sealed_keys
    alone = Clusters("item", np.arange(len(keys)))
    return [Clusters("group", np.unique(keys[:, 1], return_inverse=True)[1]), alone] if keys.shape[1] > 1 else [alone]


def hold(
    objective: Objective,
    target: Any,
    truth: list[Any],
    contestants: list[Contestant],
    clusters: Sequence[Clusters] = (),
) -> Contest:
    """Score ``contestants``, the model first, on the same items; ``clusters`` as a ``Contest`` has them."""
    entries = [
        Entry(
            name=one.name,
            kind=one.kind,
            scores=objective.score(one.target, truth, one.predictions),
            errors_N=objective.item_errors(one.target, truth, one.predictions),
            seconds=one.seconds,
            notes=one.notes,
            latency_ms=one.latency_ms,
        )
        for one in contestants
    ]
    weights_N = objective.item_weights(target, truth)
    return Contest(objective.metrics(target), entries, weights_N, "item", objective.error, clusters)


def _rematched(
    objective: Objective,
    target: Any,
    truth: list[Any],
    contestants: list[Contestant],
    held: Contest,
    fresh_N: NDArray[np.bool_],
) -> tuple[Contest, Contest]:
    """Measure the champion, the second of ``contestants``, where it is fair.

    Args:
        objective, target, truth, contestants: as ``hold`` takes them.
        held: what it returned.
        fresh_N: which items are new to the champion [N].

    Returns:
        ``held`` with the champion's scores on those items, and a contest of the model and the champion on them.
    """
    fresh, sealed = np.flatnonzero(fresh_N), len(truth)
    both = [one.on(fresh) for one in contestants[:2]]
    new = [one.of(fresh_N) for one in held.clusters]
    rematch = hold(objective, target, [truth[item] for item in fresh], both, new)
    model, champion = rematch.entries
    errors_N = np.full(sealed, np.nan)
    errors_N[fresh] = champion.errors_N
    said = (
        f"{champion.name} was trained on {sealed - len(fresh):,} of the {sealed:,} sealed items: it was measured, and "
        f"{model.name} was compared with it, on the other {len(fresh):,}"
    )
    known = replace(champion, errors_N=errors_N, notes=[said, *champion.notes], measured=len(fresh))
    entries = [known if entry.kind == "champion" else entry for entry in held.entries]
    return replace(held, entries=entries), rematch


def sections(evaluated: Path, objective: Objective) -> list[Section]:
    """Draw the evaluation that lies in the directory ``evaluated``."""
    details = json.loads((evaluated / "details.json").read_text(encoding="utf-8"))
    return [*objective.sections(details), *sequence_sections.by_length(evaluated)]


def _headed(told: dict[str, Any], facts: SequenceFacts, sealed: int, trained: int) -> dict[str, Any]:
    """Return ``told`` of an evaluation with the title and the first sentence of the report."""
    lead = (
        f"Learned from {trained:,} items of {facts.input.kind} input; proved on {sealed:,} sealed ones that the search "
        "never saw."
    )
    title = f"{facts.kind.capitalize()} {', '.join(facts.columns.target)}"
    return {"kind": facts.kind, "title": title, "lead": lead, "items": sealed, **told}


def _predicted(name: str, kind: str, model: SequenceBundle, opened: SequenceDataset, items: pl.DataFrame) -> Contestant:
    """Predict the sealed items; a model of other vocabularies or scalers than the data set's reads them anew."""
    arrays = opened.arrays("sealed")
    if model.facts.input == opened.facts.input:
        whole = partial(model.predict, arrays)
        alone = partial(model.predict, arrays.select(np.arange(1)))
    else:
        raws = _raws(opened, items)
        whole, alone = partial(model.predict_raw, raws), partial(model.predict_raw, raws[:1])
    started = time.perf_counter()
    predictions = whole()
    seconds = time.perf_counter() - started
    return Contestant(name, kind, model.facts.target, predictions, seconds, latency_ms=1000 * median_seconds(alone))


def _champion(name: str, model: SequenceBundle, opened: SequenceDataset, items: pl.DataFrame) -> Contestant:
    champion = _predicted(name, "champion", model, opened, items)
    return replace(champion, notes=sequence_rival.unknown(name, model.facts.target, opened.facts.target))


def _raws(opened: SequenceDataset, items: pl.DataFrame) -> list[Any]:
    """Return the sealed items as the source had them: texts, token lists, or channels in their own units."""
    fitted: Any = opened.facts.input
    if input_kind(fitted.kind).KEPT:
        return items["input"].to_list()
    encoded = opened.arrays("sealed").inputs[fitted.views[0]]
    return [fitted.decode(encoded.item(i)) for i in range(len(encoded))]


def _baselines(
    opened: SequenceDataset, items: pl.DataFrame, names: list[str], objective: Objective
) -> list[Contestant]:
    if not names:
        return []
    facts, train = opened.facts, opened.frame("train")
    arrays = None
    if not input_kind(facts.input.kind).KEPT:
        view = facts.input.views[0]
        trained, sealed = opened.arrays("train"), opened.arrays("sealed")
        arrays = FirstVariants(trained.inputs[view], trained.variants), FirstVariants(sealed.inputs[view], 1)
    contestants = []
    for name in names:
        started = time.perf_counter()
        predictions = objective.baseline(name, facts.target, train, items, facts.input.kind, arrays)
        contestants.append(Contestant(name, "baseline", facts.target, predictions, time.perf_counter() - started))
    return contestants


@dataclass(frozen=True)
class FirstVariants:
    """The items of a ragged array that holds ``variants`` rows of each: the one that nothing was done to."""

    ragged: Ragged
    variants: int

    def __len__(self) -> int:
        return len(self.ragged) // self.variants

    def item(self, place: int) -> NDArray[Any]:
        return self.ragged.item(place * self.variants)


def _table(
    items: pl.DataFrame,
    steps: NDArray[np.int64],
    truth: list[Any],
    predicted: dict[str, list[Any]],
    held: Contest,
) -> pl.DataFrame:
    errors = {f"error {entry.name}": pl.Series(entry.errors_N).fill_nan(None) for entry in held.entries}
    return items.with_columns(pl.Series("steps", steps)).hstack(
        pl.DataFrame({"truth": truth, **predicted, **errors}, strict=False)
    )
