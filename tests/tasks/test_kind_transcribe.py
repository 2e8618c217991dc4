"""Transcribe: texts become symbols, error rates are those of the whole part, and alignments show what went wrong."""

from __future__ import annotations

import json
from typing import Any

import polars as pl
import pytest

from models.objectives.transcribe import Transcript
from tasks.data.contract import Ledger
from tasks.errors import InputError
from tasks.kinds.transcribe import OBJECTIVE, Transcribe

PROBLEM, WORDS = Transcribe(), Transcribe(unit="word")


def fitted(problem: Transcribe, texts: list[str], ledger: Ledger | None = None) -> Any:
    return OBJECTIVE.fit_target(problem, pl.DataFrame({"target": texts}), ledger or Ledger())


def said(texts: list[str], by_words: bool) -> list[Transcript]:
    return [Transcript(text.split() if by_words else list(text), -1.0) for text in texts]


@pytest.mark.parametrize(
    ("problem", "values", "texts"),
    [
        (PROBLEM, [" one  two\n", "", None], ["one two", "", None]),
        (Transcribe(lowercase=True), ["One TWO"], ["one two"]),
        (PROBLEM, ["cafe\u0301"], ["caf\u00e9"]),
        (WORDS, [["K", "AE1", "T"], []], ["K AE1 T", ""]),
        (PROBLEM, [12, 7], ["12", "7"]),
    ],
)
def test_a_target_becomes_a_text_with_single_blanks(problem: Transcribe, values: list[Any], texts: list[Any]) -> None:
    column = OBJECTIVE.targets(problem, pl.Series("target", values))
    assert column.to_list() == texts
    assert OBJECTIVE.targets(problem, column).to_list() == texts


def test_a_table_of_steps_has_its_items_text_in_every_row() -> None:
    rows = [["a  b"] * 12, ["", None, ""], ["a", "b"], [None]]
    column = OBJECTIVE.targets(PROBLEM, pl.Series("target", rows), "steps")
    assert column.to_list() == ["a b", "", None, None]
    assert OBJECTIVE.targets(PROBLEM, column, "steps").to_list() == column.to_list()
    lists = pl.Series("target", [[["K", "T"]] * 3, [["K"], ["T"]]])
    assert OBJECTIVE.targets(WORDS, lists, "steps").to_list() == ["K T", None]
    assert OBJECTIVE.targets(WORDS, pl.Series("target", [["K", "K"]]), "items").to_list() == ["K K"]


def test_symbols_are_characters_or_words_of_the_training_items() -> None:
    assert fitted(PROBLEM, ["ab a"]).symbols == [" ", "a", "b"]
    target = fitted(WORDS, ["yes no", "yes"])
    assert (target.symbols, target.separator, target.beam_width) == (["no", "yes"], " ", 16)
    assert fitted(Transcribe(beam_width=0), ["ab"]).beam_width == 0
    assert [fitted(problem, ["ab"]).lowercase for problem in (PROBLEM, Transcribe(lowercase=True))] == [False, True]


def test_texts_that_are_all_empty_are_refused_and_some_are_reported() -> None:
    with pytest.raises(InputError, match="2 training items, all of them empty"):
        fitted(PROBLEM, ["", ""])
    ledger = Ledger()
    fitted(PROBLEM, ["", "a"], ledger)
    assert [found["check"] for found in ledger.report()] == ["empty_transcript"]


def test_an_item_without_a_text_is_refused_and_silence_is_not() -> None:
    frame = pl.DataFrame({"item_id": ["x", "y"], "target": ["", None]})
    OBJECTIVE.check_target(PROBLEM, frame[:1], "audio")
    with pytest.raises(InputError, match="1 item without: y"):
        OBJECTIVE.check_target(PROBLEM, frame, "audio")


@pytest.mark.parametrize(("problem", "headline"), [(WORDS, "wer"), (PROBLEM, "cer")])
def test_the_headline_is_the_rate_of_what_the_model_spells_and_items_add_up_to_it(
    problem: Transcribe, headline: str
) -> None:
    target = fitted(problem, ["yes no yes no"])
    truth = ["yes no no", "no", "yes yes"]
    predictions = said(["yes yes no", "no no", "yes"], problem is WORDS)
    scores = OBJECTIVE.score(target, truth, predictions)
    assert OBJECTIVE.metrics(target)[0].name == headline
    assert set(scores) == {metric.name for metric in OBJECTIVE.metrics(target)}
    assert scores["wer"] == pytest.approx(3 / 6)
    errors, weights = OBJECTIVE.item_errors(target, truth, predictions), OBJECTIVE.item_weights(target, truth)
    assert (errors * weights).sum() / weights.sum() == pytest.approx(scores[headline])
    assert OBJECTIVE.validation_loss("error", target, truth, predictions) == scores[headline]
    assert OBJECTIVE.validation_loss("wer", target, truth, predictions) == scores["wer"]


def test_the_report_aligns_the_worst_items_and_counts_words_never_heard() -> None:
    target = fitted(WORDS, ["yes no"])
    frame = pl.DataFrame({"item_id": ["a", "b"], "source": ["a.wav", "b.wav"]})
    details = OBJECTIVE.details(target, ["yes maybe no", "no"], said(["yes no", "no"], True), frame)
    details = json.loads(json.dumps(details, allow_nan=False))
    assert details["worst"] == [
        {"item": "a.wav", "alignment": "yes maybe no\nyes ***** no", "error": pytest.approx(1 / 3)}
    ]
    assert details["totals"] == {"hits": 3, "substitutions": 0, "deletions": 1, "insertions": 0}
    assert OBJECTIVE.notes(details) == ["1 sealed word that training never showed ('maybe') count as errors"]
    assert [section.title for section in OBJECTIVE.sections(details)] == [
        "Words by error", "Taken for another", "Worst items",
    ]  # fmt: skip


def test_there_is_no_baseline() -> None:
    assert OBJECTIVE.baselines == []
    frame = pl.DataFrame({"target": ["a"]})
    with pytest.raises(ValueError, match="no baselines"):
        OBJECTIVE.baseline("majority", fitted(PROBLEM, ["ab"]), frame, frame, "audio")
