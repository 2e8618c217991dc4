"""The model card says what goes in, how good it is, and what was found; its code is code."""

from __future__ import annotations

import ast
from typing import Any

import pandas as pd
import pytest
from panels import PLAIN, RICH, make_facts

from models.encoding import Encoding
from tasks.kinds import forecast
from tasks.reporting.card import model_card
from tasks.scoring.forecast_contest import METRICS

EVALUATION: dict[str, Any] = {
    "verdict": ["lstm 0.9 beats linear 1.2 on 8 windows", "a second sentence"],
    "leaderboard": [
        {"name": "lstm", "mase": 0.91234, "wql": 0.051, "smape": 7.5, "coverage_80": 0.79},
        {"name": "linear", "mase": 1.2, "wql": 0.06, "smape": 8.25, "coverage_80": 0.5},
    ],
    "metrics": [metric._asdict() for metric in METRICS],
    "notes": ["auto_ets failed on 1 of 8 windows"],
    "windows": 8,
    "items": 4,
    "reach": [{"view": "target", "unit": "steps", "steps": 24, "longest": 56, "items": 8}],
}


def card(encoding: Encoding = PLAIN, findings: list[dict[str, Any]] | None = None, **changes: Any) -> str:
    facts = make_facts(encoding, **changes).model_dump(mode="json")
    described = {"facts": facts, "members": [{"context_length": 28}, {"context_length": 56}]}
    return written(described, EVALUATION, findings)


def written(described: dict[str, Any], evaluation: dict[str, Any], findings: list[dict[str, Any]] | None = None) -> str:
    schema = forecast.signature(described)[1].inputs
    return model_card("sales", forecast.card(described, evaluation), evaluation, findings or [], schema)


def code_of(text: str) -> str:
    return text.split("```python\n")[1].split("```")[0]


def test_the_card_tells_the_task_the_verdict_and_the_leaderboard() -> None:
    text = card()
    assert text.startswith("# sales\n\nForecasts y 5 steps of 1d ahead, as 3 quantiles. An ensemble of 2 LSTM")
    assert "- lstm 0.9 beats linear 1.2 on 8 windows\n- a second sentence\n" in text
    assert "- auto_ets failed on 1 of 8 windows\n" in text
    assert "| model | MASE | WQL | sMAPE | in 80 % |\n|---|---:|---:|---:|---:|\n" in text
    assert "| lstm | 0.912 | 0.0510 | 7.50 | 79.0 % |\n| linear | 1.200 | 0.0600 | 8.25 | 50.0 % |\n" in text
    assert "8 windows of 4 series." in text
    assert "at most 56 steps of the past" in text


def test_the_card_names_every_column_that_goes_in_and_no_other() -> None:
    text = card(RICH)
    columns = "`item`, `day`, `y`, `wind`, `price`, `promo`, `size`, `sky`, `holiday`, `region`"
    assert f"A long table with the columns {columns}." in text
    assert "past numeric: wind; known numeric: price, promo; static numeric: size" in text
    named = RICH.model_copy(update={"static_categorical": ["region", Encoding.TARGET]})
    assert f"`{Encoding.TARGET}`" not in card(named, targets=["y", "z"])


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        (
            24,
            "What lies more than **24 steps** back changes its output by less than 1 % on average, measured on 8",
        ),
        (56, "As far as there is anything: even the first of 56 steps changes its output by more than 1 % on average"),
    ],
)
def test_the_card_says_how_far_back_the_model_looks(steps: int, said: str) -> None:
    evaluation = EVALUATION | {"reach": [EVALUATION["reach"][0] | {"steps": steps}]}
    described = {"facts": make_facts(PLAIN).model_dump(mode="json"), "members": [{"context_length": 56}]}
    assert f"## How far back it looks\n\n{said}" in written(described, evaluation)


@pytest.mark.parametrize(("frequency", "csv"), [("1d", "; CSV it does not"), ("1", " and CSV.")])
def test_the_card_says_what_can_be_sent_to_a_server(frequency: str, csv: str) -> None:
    text = card(frequency=frequency, calendar_width=0)
    assert "`carousel serve sales` takes JSON and CSV" in text
    assert f"`mlflow models serve --env-manager local -m models:/sales@champion` takes JSON{csv}" in text


def test_findings_stand_with_what_was_done() -> None:
    assert "- nothing to report" in card()
    assert "- 3 steps are missing (masked)" in card(findings=[{"message": "3 steps are missing", "action": "masked"}])


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"frequency": "1h", "time_zone": "Asia/Tokyo"}, "in UTC, without a zone; the calendar is that of Asia/Tokyo"),
        ({"frequency": "1d", "time_zone": "Asia/Tokyo"}, "the local dates of Asia/Tokyo, without a zone"),
        ({"frequency": "1mo", "time_zone": "Asia/Tokyo"}, "the local dates of Asia/Tokyo, without a zone"),
    ],
)
def test_the_card_says_by_which_clock_stamps_are_given(changes: dict[str, Any], sentence: str) -> None:
    assert f"Stamps are {sentence}." in card(**changes)
    assert "Stamps are" not in card(frequency=changes["frequency"])


def prepared_by(text: str, table: pd.DataFrame) -> pd.DataFrame:
    """Run the lines of the card that prepare the table."""
    lines = [line for line in code_of(text).splitlines() if line.startswith("table")]
    scope: dict[str, Any] = {"table": table, "pd": pd}
    exec("\n".join(lines), scope)
    return scope["table"]


def test_the_cards_code_parses_and_gives_columns_the_types_of_the_signature() -> None:
    text = card(RICH)
    ast.parse(code_of(text))
    names = ["item", "y", "wind", "price", "promo", "size", "sky", "holiday", "region"]
    made = prepared_by(text, pd.DataFrame({name: [1, 2] for name in names}))
    numbers = {"y", "wind", "price", "promo", "size"}
    assert {name for name in names if made[name].dtype == "float64"} == numbers
    assert made["item"].tolist() == ["1", "2"]


@pytest.mark.parametrize(("frequency", "hour"), [("1h", 4), ("1d", 0)])
def test_the_cards_code_takes_the_zone_from_stamps(frequency: str, hour: int) -> None:
    stamps = pd.date_range("2024-06-01", periods=2, tz="America/New_York")
    text = card(frequency=frequency, time_zone="America/New_York")
    made = prepared_by(text, pd.DataFrame({"item": "a", "y": 1, "day": stamps}))
    assert made["day"].tolist() == [pd.Timestamp(2024, 6, day, hour) for day in (1, 2)]
