"""The data contract: what was found in a source, how often and where, and what was done about it.

Nothing is dropped, filled or reordered without a finding. A finding of level ``error`` stops the stage before anything
is kept; ``warning`` and ``info`` go into ``table.json`` and from there into the report.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from models.encoding import LARGEST
from tasks.errors import InputError, shortened

EXAMPLES = 5
Level = Literal["error", "warning", "info"]

RESERVED = ("item_id", "input", "source", "target")
"""Columns of a canonical table of sequences that are Carousel's own."""
MEND = "mend or remove them, or set data.unusable: drop"

RULES: dict[str, tuple[str, str]] = {
    "missing_column": ("column {column} must exist in the source", "correct the name in data.{key}"),
    "two_roles": ("column {column} must have one role", "take it out of all but one of data.target, data.item_id, ..."),
    "reserved_name": ("{column} is Carousel's own name and must not be a target's or a covariate's", "rename it"),
    "categorical_role": ("data.categorical must name covariates", "add {column} to a covariate list, or leave it out"),
    "type": ("column {column} must be of a type that its role can use", "convert it in the source"),
    "empty": ("the source must have rows", "set data.source to a table with rows"),
    "null_item_id": ("item column {column} must have no nulls", "fill it in the source, or shorten data.null_values"),
    "null_timestamp": ("time column {column} must have no nulls", "remove or complete those rows in the source"),
    "item_id_clash": ("item ids joined by '|' must differ", "rename the items, so that no id contains '|'"),
    "unparsable": ("column {column} must hold {what}", "mend the values, name them in data.null_values, or {remedy}"),
    "unparsable_stamp": ("time column {column} must hold {what}", "write stamps as 2013-01-31T05:00 or whole numbers"),
    "mixed_zones": ("stamps of {column} must agree on their time zone", "{remedy}"),
    "wall_clock": (
        "stamps of {column} must exist exactly once on the clock of {what}",
        "give them with an offset or in UTC",
    ),
    "time_zone": ("data.time_zone must fit the stamps", "{remedy}"),
    "timestamp_unit": ("data.timestamp_unit must fit the stamps", "{remedy}"),
    "epoch": ("whole numbers of {column} are an index, which has no calendar", ""),
    "infinite": (
        f"column {{column}} must be finite, and below {LARGEST:g} in size",
        "mend the values or set data.{key}infinite: null",
    ),
    "all_null_target": ("target {column} must have values", "choose another target or mend data.null_values"),
    "duplicates": ("an item must have one row for each stamp", "set data.duplicates to first, last or mean"),
    "unsorted": ("rows of an item are in the order of time", ""),
    "frequency": ("the frequency must fit the stamps", "{remedy}"),
    "mixed_frequencies": (
        "all items must have the same step",
        "set data.frequency to the finest step, or ingest the items of each step apart",
    ),
    "off_grid": ("stamps must lie on the grid of {what}", "set data.frequency to the true step, or round the stamps"),
    "sparse_grid": ("the grid of {what} must not be almost empty", "set data.frequency to the true step"),
    "gaps": ("every step of an item has a row", "set data.gaps to mask, zero, forward_fill or interpolate"),
    "null_target": ("targets have no nulls", "set data.gaps to mask, zero, forward_fill or interpolate"),
    "null_covariate": ("covariates have no nulls", ""),
    "constant": ("a series varies", ""),
    "short": ("a series has at least {what} observed steps", ""),
    "unobserved": ("an item has observed steps", ""),
    "static_varies": ("static covariate {column} must be constant within an item", "list it in data.past_covariates"),
    "future_leak": ("a known covariate does not give the target away", ""),
    "left_out": ("columns that hold one value an item are carried along", ""),
    "no_items": ("there must be an item that something can be learned from", "mend the source, or data.unusable"),
    "null_label": ("every item must have a target in {column}", f"{MEND}; check data.null_values"),
    "indicators": ("several target columns must hold 0 or 1 each", "name one target column, or write 0 and 1"),
    "duplicate_items": ("item ids of {column} must differ", "name all columns that tell items apart in data.item_id"),
    "repeated_input": ("items differ", ""),
    "disputed_input": ("items that are alike have the same target", ""),
    "empty_text": ("column {column} must hold a text for every item", MEND),
    "broken_text": ("texts are decoded as they were encoded", ""),
    "empty_tokens": ("column {column} must hold a token for every item", MEND),
    "empty_token": ("tokens of column {column} must not be empty", MEND),
    "empty_sequence": ("an item must have a step with a value", MEND),
    "uneven_channels": ("the channels of an item must have as many steps", MEND),
    "no_item_id": ("data.item_id must tell one sequence from another", "name the columns that are constant within one"),
    "several_targets": ("a table with a row a step must have one target column", "name one, or give a row an item"),
    "null_step": ("step column {column} must have no nulls", "complete it in the source, or leave data.input.step out"),
    "unparsable_step": ("step column {column} must hold numbers or ISO dates", "mend it in the source"),
    "duplicate_steps": ("an item must have one row for each step", "set data.input.duplicates to first or last"),
    "null_channel": ("channels have no nulls", ""),
    "empty_channel": ("channel {column} must have values", "leave it out of data.input.columns"),
    "constant_channel": ("a channel varies", ""),
    "missing_audio": ("the audio files of column {column} must exist", f"{MEND}; set data.input.root to their folder"),
    "unreadable_audio": ("audio must be readable as WAV, FLAC, OGG or MP3", MEND),
    "truncated_audio": ("audio must be as long as its header says", MEND),
    "silent_audio": ("audio must not be silent", MEND),
    "low_rate": ("audio must have at least {what} samples a second", MEND),
    "mixed_rates": ("audio files have the same sample rate", ""),
    "missing_class": ("every class has items in every part", ""),
    "short_input": ("an item has a step for each symbol of its target", ""),
    "short_view": ("every way to read the input has a step for each symbol of a target", ""),
    "unseen_label": ("the labels of the {what} part occur in training", ""),
    "future_rows": ("rows after the last target hold known covariates", ""),
}
"""Check -> (rule, remedy)."""


def severity(policy: str) -> Level:
    """Return the level of a breach for which the Config names ``policy``."""
    return "error" if policy == "error" else "warning"


@dataclass
class Finding:
    """One breach of the contract, or one fact worth telling.

    Args:
        check: a key of ``RULES``.
        level: ``error`` stops the stage.
        column: the column that it is about, if one.
        count: rows or values concerned.
        items: items concerned, 0 where it is not known.
        examples: the first few places.
        message: one sentence with the counts.
        action: what was done.
    """

    check: str
    level: Level
    column: str | None
    count: int
    items: int
    examples: list[str]
    message: str
    action: str


@dataclass
class Ledger:
    """Collects findings over the passes and parts of a source; entries of one check and column add up."""

    findings: dict[tuple[str, str | None], Finding] = field(default_factory=dict)
    _words: dict[tuple[str, str | None], dict[str, Any]] = field(default_factory=dict)

    def add(
        self,
        check: str,
        level: Level,
        column: str | None = None,
        *,
        count: int = 1,
        items: int = 0,
        examples: Iterable[str] = (),
        said: str = "",
        action: str = "",
        **words: str,
    ) -> None:
        """Add to the finding ``check`` of ``column``.

        Args:
            said: what was found, with ``{count}`` and ``{items}`` where the totals belong.
            words: what the rule's and the remedy's further braces stand for.
        """
        key = (check, column)
        found = self.findings.setdefault(key, Finding(check, level, column, 0, 0, [], said, action))
        found.count += count
        found.items += items
        found.examples = (found.examples + list(examples))[:EXAMPLES]
        self._words[key] = {"column": repr(column), "key": "", "what": "", "remedy": "", **words}

    def errors(self) -> list[InputError]:
        """Return the errors found so far, in the order in which they were found."""
        return [self._error(key, found) for key, found in self.findings.items() if found.level == "error"]

    def raise_errors(self) -> None:
        """Raise one InputError for all errors found so far.

        Raises:
            InputError: rule, received value and remedy of the first; the others follow in the remedy's text.
        """
        if self.errors():
            raise self.refusal()

    def refusal(self) -> InputError:
        """Return one InputError for all errors found so far, of which there must be one."""
        first, *others = self.errors()
        return InputError(first.rule, first.received, first.remedy + "".join(f"\nalso: {error}" for error in others))

    def report(self) -> list[dict[str, Any]]:
        """Return the findings as JSON, warnings first."""
        order = {"error": 0, "warning": 1, "info": 2}
        ordered = sorted(self.findings.items(), key=lambda entry: order[entry[1].level])
        return [{**vars(found), "message": self._received(key, found)} for key, found in ordered]

    def _error(self, key: tuple[str, str | None], found: Finding) -> InputError:
        rule, remedy = (text.format(**self._words[key]) for text in RULES[found.check])
        return InputError(rule, self._received(key, found), remedy)

    def _received(self, key: tuple[str, str | None], found: Finding) -> str:
        said = found.message.format(count=f"{found.count:,}", items=f"{found.items:,}", **self._words[key])
        rest = found.count > len(found.examples)
        return said + (f": {shortened(found.examples)}{', ...' if rest else ''}" if found.examples else "")
