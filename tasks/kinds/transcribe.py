"""Problem kind ``transcribe``: a text for a sequence, by CTC: speech to words, letters to phonemes."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from tasks.errors import InputError, shortened
from tasks.kinds.items import as_text, counted, one_each, require_targets, shown
from tasks.kinds.metric import Metric
from tasks.scoring import transcription

if TYPE_CHECKING:
    import polars as pl

    from models.objectives.transcribe import TranscribeTarget
    from models.sequence_columns import Layout
    from tasks.data.contract import Ledger
    from tasks.kinds.objective import Arrays
    from tasks.reporting.section import Section

MOST_EXAMPLES = 15
MOST_WORDS = 2000


class Transcribe(BaseModel):
    """Predict a text for each whole sequence."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["transcribe"] = "transcribe"
    unit: Literal["character", "word"] = Field(
        "character",
        title="Unit",
        description="What the model spells: characters, or whatever stands between blanks, such as words or phonemes.",
    )
    lowercase: bool = Field(False, title="Lower case", description="Whether upper case is of no account.")
    beam_width: int = Field(
        16, title="Beam width", description="Hypotheses that decoding keeps; 0: the best path alone (greedy).", ge=0
    )


class TranscribeObjective:
    """See ``tasks.kinds.objective.Objective``."""

    name = "transcribe"
    does = "Turns each sequence into text."
    inputs = ["audio", "numeric", "text", "tokens"]  # noqa: RUF012
    baselines: list[str] = []  # noqa: RUF012
    validation_metrics = ["error", "wer", "cer"]  # noqa: RUF012
    error = "error rate of an item"

    def targets(self, problem: Transcribe, column: pl.Series, layout: Layout = "items") -> pl.Series:
        """Return String: composed (NFC), one blank between words; a list's symbols are joined by blanks.

        Steps that say different things have no text.
        """
        import polars as pl

        text = column = one_each(column) if layout == "steps" else column
        if isinstance(column.dtype, pl.List | pl.Array):
            text = as_text(column).list.join(" ", ignore_nulls=True)
        elif column.dtype != pl.String:
            text = as_text(column)
        text = text.str.normalize("NFC").str.replace_all(r"\s+", " ").str.strip_chars()
        return text.str.to_lowercase() if problem.lowercase else text

    def check_target(self, problem: Transcribe, frame: pl.DataFrame, input_kind: str) -> None:
        remedy = "mend or remove those items: all rows of one have the same text, and silence has an empty one"
        require_targets(frame, "one text", remedy)

    def fit_target(self, problem: Transcribe, frame: pl.DataFrame, ledger: Ledger) -> TranscribeTarget:
        from models.objectives.transcribe import TranscribeTarget

        separator = " " if problem.unit == "word" else ""
        split = TranscribeTarget(symbols=[], separator=separator).split
        texts = frame["target"].drop_nulls().to_list()
        counts = Counter(symbol for text in texts for symbol in split(text))
        if not counts:
            raise InputError(
                "a target to transcribe must hold text among the training items",
                f"{counted(len(texts), 'training item')}, all of them empty",
                "choose another target, or look at data.null_values, split.group and split.column",
            )
        if problem.unit == "word" and len(counts) > MOST_WORDS:
            said = "{count} different words; none that training does not hold can ever be predicted"
            ledger.add("many_words", "warning", "target", count=len(counts), said=said, action="kept")
        if empty := sum(not text for text in texts):
            said = "{count} training items with an empty text"
            ledger.add("empty_transcript", "info", "target", count=empty, items=empty, said=said, action="kept")
        return TranscribeTarget(
            symbols=sorted(counts),
            separator=separator,
            lowercase=problem.lowercase,
            beam_width=problem.beam_width,
        )

    def strata(self, problem: Transcribe, column: pl.Series) -> list[str] | None:
        return None

    def metrics(self, target: TranscribeTarget) -> list[Metric]:
        words = _by_words(target)
        wer = Metric("wer", "WER", False, "percent", "word error rate: wrong, missing and surplus words a true word")
        cer = Metric("cer", "CER", False, "percent", "character error rate", not words)
        exact = Metric("exact", "Exact", True, "percent", "items without an error")
        return [wer, cer, exact] if words else [cer, wer, exact]

    def score(self, target: TranscribeTarget, truth: list[Any], predictions: list[Any]) -> dict[str, float]:
        return transcription.score(truth, _decoded(target, predictions))

    def validation_loss(self, metric: str, target: TranscribeTarget, truth: list[Any], predictions: list[Any]) -> float:
        """``error`` is the headline: the rate of the unit that the model spells."""
        return self.score(target, truth, predictions)[self.metrics(target)[0].name if metric == "error" else metric]

    def item_errors(self, target: TranscribeTarget, truth: list[Any], predictions: list[Any]) -> NDArray[np.float64]:
        """Return the wrong units of an item over its true ones."""
        count = transcription.word_errors if _by_words(target) else transcription.character_errors
        errors_N, length_N = count(truth, _decoded(target, predictions))
        return errors_N / np.maximum(length_N, 1)

    def item_weights(self, target: TranscribeTarget, truth: list[Any]) -> NDArray[np.float64]:
        """Return the true units of each item, at least one."""
        return np.array([max(len(target.split(text)), 1) for text in truth], np.float64)

    def baseline(
        self,
        name: str,
        target: TranscribeTarget,
        train: pl.DataFrame,
        test: pl.DataFrame,
        input_kind: str,
        arrays: tuple[Arrays, Arrays] | None = None,
    ) -> list[Any]:
        """There is none to call: no simple method transcribes.

        Raises:
            ValueError: always.
        """
        raise ValueError(f"transcribe has no baselines (got {name!r}): leave evaluate.baselines out")

    def details(
        self, target: TranscribeTarget, truth: list[Any], predictions: list[Any], items: pl.DataFrame
    ) -> dict[str, Any]:
        decoded, words = _decoded(target, predictions), _by_words(target)
        error_N, texts = self.item_errors(target, truth, predictions), shown(items)
        worst = [i for i in np.argsort(-error_N, kind="stable").tolist() if error_N[i] > 0][:MOST_EXAMPLES]
        known = set(target.symbols)
        strange = Counter(symbol for text in truth for symbol in target.split(text) if symbol not in known)
        return {
            "by_words": words,
            "unseen": dict(sorted(strange.items(), key=lambda pair: (-pair[1], pair[0]))),
            "totals": transcription.totals(truth, decoded, words),
            "confusions": transcription.confusions(truth, decoded, words),
            "worst": [
                {
                    "item": texts[i],
                    "alignment": transcription.alignment(truth[i], decoded[i], words),
                    "error": float(error_N[i]),
                }
                for i in worst
            ],
        }

    def notes(self, details: dict[str, Any]) -> list[str]:
        unseen = details["unseen"]
        if not unseen:
            return []
        noun = "word" if details["by_words"] else "character"
        count = counted(sum(unseen.values()), f"sealed {noun}")
        return [f"{count} that training never showed ({shortened(map(repr, unseen))}) count as errors"]

    def sections(self, details: dict[str, Any]) -> list[Section]:
        from tasks.reporting import error_sections
        from tasks.reporting.section import Section, Table

        noun = "Words" if details["by_words"] else "Characters"
        rows = [[name.capitalize(), count] for name, count in details["totals"].items()]
        hint = f"{noun} that are right, taken for another, left out, and put in where there is none."
        drawn = [Section(f"{noun} by error", hint, Table(["Outcome", noun], rows), wide=False)]
        if details["confusions"]:
            cells = [[row["truth"], row["predicted"], row["count"]] for row in details["confusions"]]
            table = Table(["Truth", "Predicted", "Times"], cells, code=("Truth", "Predicted"))
            hint = f"The most frequent single errors; {transcription.GAP} stands for nothing."
            drawn.append(Section("Taken for another", hint, table, wide=False))
        if details["worst"]:
            columns = {"item": "Item", "alignment": "Truth above, prediction below", "error": "Error rate"}
            hint = f"The items with the highest error rate; {transcription.GAP} fills a gap."
            formats = {"Error rate": "percent"}
            code = (columns["alignment"],)
            drawn.append(error_sections.examples(details["worst"], columns, hint, formats=formats, code=code))
        return drawn


OBJECTIVE = TranscribeObjective()


def _by_words(target: TranscribeTarget) -> bool:
    return target.separator == " "


def _decoded(target: TranscribeTarget, predictions: list[Any]) -> list[str]:
    return [target.decode(transcript) for transcript in predictions]
