"""The forms of the deployments, filled in and sent back in a browser: what arrives is what was seen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from deployed import Deployed
from forms import Form, chromium, picture

from carousel.services import Addresses
from flows.launch import launch
from models.problem import Forecast
from tasks.evaluate import EvaluateConfig
from tasks.fit import FitConfig
from tasks.form import Advanced
from tasks.gate import GateConfig
from tasks.ingest import SeriesData
from tasks.prepare import SplitConfig
from tasks.search_config import SearchConfig

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
UNSAID = {"name": None, "time_budget": None, "trials": None}
SECTIONS = ["data", "problem", "split", "search", "fit", "evaluate", "register"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as started:
        yield started


@pytest.fixture
def opened(browser: Any, running: Addresses, tmp_path: Path) -> Callable[[str], Form]:
    """Open the form of a deployment of the test's own in one of Prefect's two user interfaces."""
    return lambda interface: Form(browser, running.prefect, Deployed(running, launch, tmp_path).id, interface)


@pytest.fixture(params=["", "/v2"], ids=["V1", "V2"])
def interface(request: pytest.FixtureRequest) -> str:
    return request.param


def test_a_form_that_names_a_file_and_is_else_untouched_leaves_all_to_the_file(
    opened: Callable[[str], Form], interface: str, tmp_path: Path
) -> None:
    form = opened(interface)
    form.write("Experiment", "examples/tourism.yaml")
    picture(form.page, f"prefect-form-flat{interface.replace('/', '-')}", tmp_path)
    sent = form.send().parameters
    assert sent == {"experiment": "examples/tourism.yaml", **UNSAID, "advanced": dict.fromkeys(SECTIONS)}


def test_flat_fields_that_are_chosen_arrive_as_they_are_filled_in(opened: Callable[[str], Form]) -> None:
    form = opened("/v2")
    form.write("Experiment", "examples/tourism.yaml")
    for tab in ("Name", "Time", "Number"):
        form.tab(tab)
    form.write("Model name", "visitors")
    form.write("Time budget", "90s")
    form.write("Trials", "7")
    sent = form.send().parameters
    assert {key: sent[key] for key in UNSAID} == {"name": "visitors", "time_budget": "90s", "trials": 7}


def test_flat_fields_that_are_chosen_and_left_empty_are_as_in_the_experiment(opened: Callable[[str], Form]) -> None:
    form = opened("/v2")
    form.write("Experiment", "examples/tourism.yaml")
    for tab in ("Name", "Time", "Number"):
        form.tab(tab)
    sent = form.send().parameters
    assert {key: sent.get(key) for key in UNSAID} == UNSAID


def test_sections_that_are_opened_and_sent_back_unchanged_are_their_defaults(
    opened: Callable[[str], Form], interface: str, tmp_path: Path
) -> None:
    form = opened(interface)
    form.tab("None: the sections below")
    for tab in ("Series", "Forecast", "Split", "Search", "Fit", "Evaluate", "Gate"):
        form.tab(tab)
    form.write("Source", "sales.parquet")
    form.write("Time column", "day")
    form.add()
    form.write("Target columns", "units")
    form.write("Horizon", "28")
    picture(form.page, f"prefect-form-advanced{interface.replace('/', '-')}", tmp_path)
    sent = launch.validate_parameters(form.send().parameters)
    assert sent["experiment"] is None
    assert sent["advanced"] == Advanced(
        data=SeriesData(source="sales.parquet", timestamp="day", target="units"),
        problem=Forecast(horizon=28),
        split=SplitConfig(),
        search=SearchConfig(),
        fit=FitConfig(),
        evaluate=EvaluateConfig(),
        register=GateConfig(),
    )
