"""Writes a data set of whole sequences from canonical parquet, a part at a time.

Three passes: targets and split over all items; facts of the input, fitted on the training items; every item encoded
once in every view. Memory holds one part, and of all items their id, target and split columns. What a target can be is
fitted on all that lies before the sealed part; an input's vocabulary and scalers without the validation items, so that
trials meet unknown words as a deployed model does.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from models.bundle import TRAINED
from models.ragged import RaggedWriter
from models.sequence_columns import SequenceColumns
from models.sequence_model import SequenceFacts
from tasks.data.contract import EXAMPLES, Ledger
from tasks.errors import InputError, shortened
from tasks.inputs.registry import InputKind, input_kind
from tasks.kinds import sequence_keys, sequence_split
from tasks.kinds.kind import SplitOptions
from tasks.kinds.sequence_dataset import ITEMS, KEYS
from tasks.kinds.sequence_keys import Keys
from tasks.kinds.sequence_split import TEST, TRAIN, VALIDATION

if TYPE_CHECKING:
    from tasks.kinds.objective import Objective

CHUNK_LENGTH = 2048
"""Steps of a sequence that are learned from at once; longer ones are read onwards only."""
CRAMPED_SHARE = 0.02
"""Of the training items: a view that leaves more of them too few steps than the best one does is not learned from."""


@dataclass(frozen=True)
class Canonical:
    """A canonical table of sequences."""

    directory: Path
    table: dict[str, Any]

    @property
    def paths(self) -> list[Path]:
        return sorted(self.directory.glob("part-*.parquet"))

    @property
    def input(self) -> InputKind:
        return input_kind(self.table["input"])

    def light(self) -> pl.DataFrame:
        """Read of all items everything but the input."""
        return pl.concat([pl.read_parquet(p, columns=_but_input(p)) for p in self.paths], how="vertical_relaxed")

    def parts(self) -> Iterator[tuple[slice, pl.DataFrame]]:
        """Yield each part and which items of the table it holds."""
        first = 0
        for path in self.paths:
            part = pl.read_parquet(path)
            yield slice(first, first + len(part)), part
            first += len(part)

    def keys(self, items: pl.DataFrame) -> Keys:
        """Return who each of ``items``, all of them, is: uint64 [N]."""
        if self.table["columns"]["item_id"]:
            return sequence_keys.of_items(items["item_id"])
        return sequence_keys.of_contents((pl.read_parquet(path, columns=["input"]) for path in self.paths), self.input)

    def raws(self, chosen: np.ndarray) -> Iterator[Any]:
        """Yield the items, as the source had them, where ``chosen`` bool [N] holds."""
        for items, part in self.parts():
            if chosen[items].any():
                yield from self.input.raws(part.filter(pl.Series(chosen[items])))


def _but_input(path: Path) -> list[str]:
    return [column for column in pl.read_parquet_schema(path) if column != "input"]


def prepare(source: Path, problem: Any, options: SplitOptions, out: Path, objective: Objective) -> dict[str, Any]:
    """Write a data set into ``out``, as ``tasks.kinds.sequence_dataset`` describes it; return ``items`` and ``steps``.

    Raises:
        InputError: a target does not fit the problem, or the items cannot be split.
    """
    canonical, ledger = Canonical(source, json.loads((source / "table.json").read_text())), Ledger()
    items = canonical.light()
    if "target" not in items.columns:
        raise InputError("data.target must be given to learn from", "none", "name the column that is to be predicted")
    layout = canonical.table["columns"]["layout"]
    items = items.with_columns(objective.targets(problem, items["target"], layout).alias("target"))
    _check(canonical, items, problem, objective)
    strata = objective.strata(problem, items["target"])
    keys = canonical.keys(items)
    parts = sequence_split.assign(items, keys, strata, options)
    if strata is not None and items["target"].dtype in (pl.String, pl.List(pl.String)):
        sequence_split.report_absent(strata, parts, options, ledger)
    target = objective.fit_target(problem, items.filter(pl.Series(parts != TEST)), ledger)
    fitted = canonical.input.fit(lambda: canonical.raws(parts == TRAIN), canonical.table)
    longest, steps = _write(canonical, items, parts, fitted, target, out, ledger)
    np.save(out / "validation.npy", np.flatnonzero(parts[parts != TEST] == VALIDATION))
    _write_keys(keys, items[options.group] if options.group else None, parts == TEST, out)
    facts = SequenceFacts(
        input=fitted,
        target=target,
        longest=longest,
        chunk_length=CHUNK_LENGTH,
        columns=SequenceColumns.model_validate(canonical.table["columns"]),
    )
    described = {
        "kind": objective.name,
        "facts": facts.model_dump(mode="json"),
        "split": {key: getattr(options, key) for key in type(options).model_fields},  # type: ignore[attr-defined]
        "sizes": {name: int((parts == code).sum()) for code, name in enumerate(sequence_split.PARTS)},
        "findings": ledger.report(),
    }
    (out / "dataset.json").write_text(json.dumps(described, indent=2, ensure_ascii=False))
    return {"items": len(items), "steps": steps}


def _write_keys(keys: Keys, groups: pl.Series | None, sealed: np.ndarray, out: Path) -> None:
    """Write who the items on either side of the seal are, and whose: bool [N] ``sealed``."""
    columns = [keys] if groups is None else [keys, sequence_keys.of_groups(groups)]
    known = np.stack(columns, axis=1)
    np.save(out / TRAINED, np.unique(known[~sealed]))
    np.save(out / "sealed" / KEYS, known[sealed])


def _check(canonical: Canonical, items: pl.DataFrame, problem: Any, objective: Objective) -> None:
    """Check the target of each item; a tag list against the steps that it belongs to."""
    kind = canonical.table["input"]
    if not canonical.input.COMPARED:
        objective.check_target(problem, items.select("item_id", "target"), kind)
        return
    for rows, part in canonical.parts():
        frame = part.select("item_id", "input").with_columns(items["target"][rows])
        objective.check_target(problem, frame, kind)


def _write(
    canonical: Canonical, items: pl.DataFrame, parts: np.ndarray, fitted: Any, target: Any, out: Path, ledger: Ledger
) -> tuple[dict[str, int], int]:
    """Encode every item.

    Returns:
        The longest training item of each view that can be learned from, and the steps of all items in the first view.
    """
    with ExitStack() as stack:
        train = stack.enter_context(_Writer(out / "train", fitted, target, fitted.variants))
        sealed = stack.enter_context(_Writer(out / "sealed", fitted, target, 1))
        for rows, part in canonical.parts():
            codes, frame = parts[rows], items[rows]
            if canonical.input.KEPT:
                frame = frame.insert_column(2, part["input"])
            test = codes == TEST
            for chosen, writer in ((~test, train), (test, sealed)):
                picked = pl.Series(chosen)
                writer.write(frame.filter(picked), canonical.input.raws(part.filter(picked), fitted))
    _report_unseen(sealed, ledger)
    _report_cramped(train, ledger)
    return {view: train.longest[view] for view in _roomy(train)}, train.steps + sealed.steps


class _Writer:
    """Writes the items of one part of the split in every view.

    Args:
        directory: ``train/`` or ``sealed/``.
        variants: prepared of each item.
    """

    def __init__(self, directory: Path, fitted: Any, target: Any, variants: int) -> None:
        self.directory, self.fitted, self.target, self.variants = directory, fitted, target, variants
        self.longest = dict.fromkeys(fitted.views, 0)
        self.steps, self.items = 0, 0
        self.unseen: dict[str, int] = {}
        self.cramped: dict[str, list[str]] = {view: [] for view in fitted.views}
        self._parts = 0

    def __enter__(self) -> _Writer:
        (self.directory / "parts").mkdir(parents=True)
        self._stack = ExitStack()
        self._views = {
            view: self._stack.enter_context(RaggedWriter(self.directory, view, *self.fitted.layout(view)))
            for view in self.fitted.views
        }
        self._targets = self._stack.enter_context(RaggedWriter(self.directory, "target", self.target.dtype))
        return self

    def __exit__(self, *raised: Any) -> None:
        self._stack.__exit__(*raised)
        if raised[0] is None:
            pl.scan_parquet(self.directory / "parts" / "*.parquet").sink_parquet(self.directory / ITEMS)
            shutil.rmtree(self.directory / "parts")

    def write(self, frame: pl.DataFrame, raws: Iterator[Any]) -> None:
        """Write the items of ``frame`` (a row each), whose inputs are ``raws``."""
        for item_id, value, raw in zip(frame["item_id"], frame["target"].to_list(), raws, strict=True):
            encoded = self.target.encode(value)
            self._targets.append(encoded)
            for label in _labels(self.target, value):
                self.unseen[label] = self.unseen.get(label, 0) + 1
            least = self.target.fewest_steps(encoded)
            for view in self.fitted.views:
                if self._encode(view, raw) < least:
                    self.cramped[view].append(item_id)
        frame.write_parquet(self.directory / "parts" / f"{self._parts:05d}.parquet")
        self._parts += 1
        self.items += len(frame)

    def _encode(self, view: str, raw: Any) -> int:
        """Write all variants of an item in ``view`` and return its steps."""
        for variant in range(self.variants):
            array = self.fitted.encode_variant(view, raw, variant)
            self._views[view].append(array)
            if variant == 0:
                length = len(array)
        self.longest[view] = max(self.longest[view], length)
        self.steps += length if view == self.fitted.views[0] else 0
        return length


def _labels(target: Any, value: Any) -> set[str]:
    """Return what of an item's target the facts do not know."""
    known = target.codes if hasattr(target, "codes") else None
    if known is None or value is None:
        return set()
    given = target.split(value) if target.kind == "transcribe" else [value] if isinstance(value, str) else value
    return {one for one in given if one is not None and one not in known}


def _report_unseen(sealed: _Writer, ledger: Ledger) -> None:
    if sealed.unseen:
        listed = sorted(sealed.unseen.items(), key=lambda entry: (-entry[1], entry[0]))
        ledger.add(
            "unseen_label", "warning", "target", count=len(listed), items=max(sealed.unseen.values()),
            examples=[f"{label!r} of {count} items" for label, count in listed[:EXAMPLES]],
            said="{count} labels of the test part that training does not hold", what="test",
            action="counted as errors: no model can predict them",
        )  # fmt: skip


def _roomy(train: _Writer) -> list[str]:
    """Return the views whose items have steps enough for their targets, as far as any view's do."""
    fewest = min(map(len, train.cramped.values()))
    return [view for view, items in train.cramped.items() if len(items) <= fewest + CRAMPED_SHARE * train.items]


def _report_cramped(train: _Writer, ledger: Ledger) -> None:
    cramped = min(train.cramped.values(), key=len)
    if (count := len(cramped)) == train.items:
        raise InputError(
            "a transcript must have no more symbols than its item has steps",
            f"{count:,} training items, all of them with fewer steps: {shortened(cramped)}",
            "check data.target and problem.unit, or give the input more steps",
        )
    if count:
        said = "{count} of {what} training items with fewer steps than symbols"
        ledger.add(
            "short_input", "warning", "target", count=count, items=count, examples=cramped[:EXAMPLES], said=said,
            what=f"{train.items:,}", action="not learned from: CTC spells a symbol a step at most",
        )  # fmt: skip
    roomy = _roomy(train)
    if left_out := [view for view in train.cramped if view not in roomy]:
        ledger.add(
            "short_view", "info", "input", count=len(left_out), examples=left_out, what=", ".join(left_out),
            said="{count} ways to read the input with fewer steps than symbols in many items: {what}",
            action=f"not searched; read as {', '.join(roomy)}",
        )  # fmt: skip
