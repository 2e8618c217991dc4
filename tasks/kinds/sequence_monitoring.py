"""Kinds of whole sequences: what a version knows of the items that it was made from, and new items held against them.

    profile.json       kind, problem, facts, labels that are counted, column of the split's groups
    features.parquet   unit (the item, or its group), column, feature, value
    vocabulary.parquet word: of half of the items, drawn
    known.npy          uint64, rising, who the items are
    errors.parquet     period (null), unit, error, inside (null): of the sealed items (see ``tasks.monitoring.live``)

An item that the version was made from says nothing new: in a table that has grown only the others are looked at.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from pydantic import TypeAdapter

from models.sequence_model import SequenceFacts
from tasks.errors import InputError
from tasks.kinds.sequence_dataset import KEYS, SequenceDataset
from tasks.kinds.sequence_preparation import Canonical
from tasks.monitoring import drift, sequences
from tasks.monitoring.health import Watched

if TYPE_CHECKING:
    from models.sequence_bundle import SequenceBundle
    from tasks.kinds.objective import Objective

MOST = 20_000
"""Items that are looked at, spread evenly over the table: more show nothing that these do not."""
FEATURE = ["column", "feature"]
_SCHEMA = {"unit": pl.String, "column": pl.String, "feature": pl.String, "value": pl.Float64}


def profile(table: Path, dataset: Path, evaluated: Path, out: Path, objective: Objective) -> None:
    """Write what the module's docstring lists into ``out``.

    Args:
        table: directory of the canonical table.
        dataset: that of the data set made from it.
        evaluated: that of the evaluation of the model.
        out: the directory to write into.
        objective: of the kind.
    """
    config = json.loads((dataset / "manifest.json").read_text())["config"]
    opened, canonical = SequenceDataset(dataset), _canonical(table)
    items = canonical.light()
    facts, group = opened.facts, config["split"]["group"]
    truths = objective.targets(_problem(config["problem"]), items["target"], facts.columns.layout)
    labels = [] if objective.name == "transcribe" else sequences.frequent(truths.drop_nulls().to_list())
    told = {"kind": objective.name, "problem": config["problem"], "facts": facts.model_dump(mode="json")}
    told |= {"labels": labels, "group": group}
    chosen = _spread(np.ones(len(items), bool))
    # Drawn, as tables may alternate: of two writers, say.
    half = chosen & (np.random.default_rng(0).random(len(items)) < 0.5)
    vocabulary = {word for raw in _raws(canonical, half, facts) for word in sequences.of_words(raw)}
    found = _features(canonical, items, truths, chosen, told, facts, vocabulary)
    others = pl.DataFrame({"place": np.arange(chosen.sum()), "other": ~half[chosen]})
    found = found.join(others, on="place").filter((pl.col("feature") != "unseen") | pl.col("other"))
    _averaged(found).write_parquet(out / "features.parquet")
    pl.DataFrame({"word": sorted(vocabulary)}, schema={"word": pl.String}).write_parquet(out / "vocabulary.parquet")
    np.save(out / "known.npy", np.unique(canonical.keys(items)))
    _sealed_errors(evaluated, dataset).write_parquet(out / "errors.parquet")
    (out / "profile.json").write_text(json.dumps(told, indent=2))


def watch(profiled: Path, table: Path, objective: Objective) -> Watched:
    """Test the items of ``table`` that are new against those in ``profiled``.

    Raises:
        InputError: the table holds another kind of input, or other channels.
    """
    told, facts = _read(profiled)
    canonical = _canonical(table)
    _require_input(canonical, facts)
    items = canonical.light()
    new = _new(canonical, items, profiled)
    chosen = _spread(new)
    vocabulary = set(pl.read_parquet(profiled / "vocabulary.parquet")["word"])
    truths = _truths(items, told, facts, objective)
    now = _averaged(_features(canonical, items, truths, chosen, told, facts, vocabulary))
    then = pl.read_parquet(profiled / "features.parquet")
    findings = []
    for column, feature in then.select(FEATURE).unique(maintain_order=True).iter_rows():
        same = (pl.col("column") == column) & (pl.col("feature") == feature)
        old, fresh = (frame.filter(same)["value"].to_numpy() for frame in (then, now))
        findings.append(drift.of_samples(column, feature, old, fresh))
    findings.sort(key=lambda one: (one.column, one.feature))
    few = [f"{int(new.sum())} items are new, too few to be compared"] if chosen.sum() < drift.FEWEST else []
    return Watched(findings, f"{int(new.sum()):,} items", few)


def live(
    bundle: SequenceBundle, profiled: Path, table: Path, objective: Objective
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the errors of the sealed items, and those of the items of ``table`` that are new and whose truth is in.

    They are predicted anew: a version says of an item what it said of it before.

    Args:
        bundle: the version.
        profiled: directory of its profile.
        table: directory of a canonical table.
        objective: of the kind.
    """
    told, facts = _read(profiled)
    canonical, registered = _canonical(table), pl.read_parquet(profiled / "errors.parquet")
    _require_input(canonical, facts)
    items = canonical.light()
    truths = _truths(items, told, facts, objective)
    new = ~np.isin(canonical.keys(items), np.load(profiled / "known.npy"))
    chosen = _spread(new & truths.is_not_null().to_numpy())
    if not chosen.any():
        return registered, registered.clear()
    predictions: list[Any] = []
    for places, part in canonical.parts():
        asked = part.filter(pl.Series(chosen[places]))
        predictions += bundle.predict_raw(list(canonical.input.raws(asked, facts.input)))
    errors = objective.item_errors(facts.target, truths.filter(pl.Series(chosen)).to_list(), predictions)
    return registered, _errors(_units(items, told).filter(pl.Series(chosen)), errors)


def _new(canonical: Canonical, items: pl.DataFrame, profiled: Path) -> np.ndarray:
    """Say of each item [N] whether it is new.

    Items without an id are known by their content, and short ones recur by chance: they are old only in a table that
    holds most of the old ones, which has grown, else short items would seem to have become rare.
    """
    known = np.load(profiled / "known.npy")
    old = np.isin(canonical.keys(items), known)
    grown = bool(canonical.table["columns"]["item_id"]) or 2 * old.sum() >= len(known)
    return ~old if grown else np.ones(len(items), bool)


def _features(
    canonical: Canonical,
    items: pl.DataFrame,
    truths: pl.Series,
    chosen: np.ndarray,
    told: dict[str, Any],
    facts: SequenceFacts,
    vocabulary: set[str],
) -> pl.DataFrame:
    """Return ``place`` (among the chosen), ``unit``, ``column``, ``feature``, ``value`` of the ``chosen`` items [N]."""
    which = pl.Series(chosen)
    units, known = _units(items, told).filter(which).to_list(), truths.filter(which).to_list()
    rows = []
    for place, raw in enumerate(_raws(canonical, chosen, facts)):
        found = sequences.of_input(raw, facts.columns.input, vocabulary)
        if known[place] is not None:
            found |= sequences.of_target(known[place], told["labels"])
        rows += [(place, units[place], column, feature, value) for (column, feature), value in found.items()]
    return pl.DataFrame(rows, schema={"place": pl.Int64, **_SCHEMA}, orient="row")


def _averaged(found: pl.DataFrame) -> pl.DataFrame:
    """Return a row for each unit and feature: items of one group are not independent."""
    return found.group_by("unit", *FEATURE, maintain_order=True).agg(pl.col("value").mean()).select(_SCHEMA.keys())


def _sealed_errors(evaluated: Path, dataset: Path) -> pl.DataFrame:
    errors, keys = pl.read_parquet(evaluated / "items.parquet")["error lstm"], np.load(dataset / "sealed" / KEYS)
    return _errors(pl.Series(keys[:, -1]).cast(pl.String), errors.to_numpy())


def _errors(units: pl.Series, errors: np.ndarray) -> pl.DataFrame:
    """Return what ``tasks.monitoring.live`` compares."""
    empty = [pl.lit(None, dtype).alias(name) for name, dtype in (("period", pl.Int64), ("inside", pl.Float64))]
    frame = pl.DataFrame({"unit": units, "error": pl.Series(errors, dtype=pl.Float64).fill_nan(None)})
    return frame.with_columns(empty).select("period", "unit", "error", "inside")


def _units(items: pl.DataFrame, told: dict[str, Any]) -> pl.Series:
    """Return each item's group, if the split was by groups and the table names them, else the item's number."""
    if told["group"] in items.columns:
        return items[told["group"]].cast(pl.String).fill_null("").alias("unit")
    return pl.Series("unit", np.arange(len(items))).cast(pl.String)


def _truths(items: pl.DataFrame, told: dict[str, Any], facts: SequenceFacts, objective: Objective) -> pl.Series:
    if "target" not in items.columns or items["target"].null_count() == len(items):
        return pl.Series("target", [None] * len(items))
    return objective.targets(_problem(told["problem"]), items["target"], facts.columns.layout)


def _spread(which: np.ndarray) -> np.ndarray:
    """Return bool [N]: at most ``MOST`` of the items for which ``which`` holds, evenly."""
    places, chosen = np.flatnonzero(which), np.zeros(len(which), bool)
    if len(places) > MOST:
        places = places[np.linspace(0, len(places) - 1, MOST).round().astype(int)]
    chosen[places] = True
    return chosen


def _raws(canonical: Canonical, chosen: np.ndarray, facts: SequenceFacts) -> Iterator[Any]:
    for places, part in canonical.parts():
        if chosen[places].any():
            yield from canonical.input.raws(part.filter(pl.Series(chosen[places])), facts.input)


def _problem(told: dict[str, Any]) -> Any:
    from tasks.kinds.registry import Problem

    return TypeAdapter(Problem).validate_python(told)


def _read(profiled: Path) -> tuple[dict[str, Any], SequenceFacts]:
    told = json.loads((profiled / "profile.json").read_text())
    return told, SequenceFacts.model_validate(told["facts"])


def _canonical(table: Path) -> Canonical:
    return Canonical(table, json.loads((table / "table.json").read_text()))


def _require_input(canonical: Canonical, facts: SequenceFacts) -> None:
    wanted, given = facts.columns.input, canonical.table["columns"]["input"]
    if canonical.table["input"] != facts.input.kind:
        raise InputError("new data must be what the model reads", canonical.table["input"], f"give {facts.input.kind}")
    if facts.input.kind == "numeric" and given != wanted:
        raise InputError(
            "new data must have the model's channels in its order", f"{given}", f"give {', '.join(wanted)}"
        )
