"""The report is one file that needs nothing from outside and shows hostile names as they are written."""

from __future__ import annotations

import json
import subprocess
import tempfile
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import polars as pl
import pytest
from pydantic import BaseModel

from tasks import store
from tasks.environment import environment
from tasks.gate import GateConfig, decide
from tasks.kinds.forecast_evaluation import headed
from tasks.kinds.metric import Metric
from tasks.references import Dataset, Decision, Evaluation, Model, StudyResult, Table
from tasks.report import write_report
from tasks.reporting import error_sections, forecast_sections
from tasks.reporting.page import Findings, render
from tasks.reporting.section import Section
from tasks.reporting.section import Table as Rows
from tasks.reporting.study_summary import StudySummary, TrialRow, summarise
from tasks.scoring import contest, forecast_contest
from tasks.scoring.forecast_contest import ForecastContest, Forecaster

HOSTILE = "<script>document.title='owned'</script><img src=x onerror=alert(1)>"
LEVELS = [0.1, 0.5, 0.9]


def evaluated(model_error: float = 0.5) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    truth = rng.normal(100, 10, (6, 4))
    spread = np.array([-5.0, 0.0, 5.0])
    entries = [
        Forecaster("lstm", "lstm", truth[:, :, None] + model_error + spread, 0.4),
        Forecaster("champion v2", "champion", truth[:, :, None] + 3 + spread, 0.4),
        Forecaster("linear", "baseline", truth[:, :, None] + 1 + spread, 2.0, ["linear took a rest"]),
        Forecaster("last_value", "baseline", truth[:, :, None] + 30 + spread, 0.1),
    ]
    ids = [HOSTILE, *"abcde"]
    held = ForecastContest(ids, np.arange(6), np.full(6, 8), np.full(6, 8), truth, np.full(6, 2.0), LEVELS, entries)
    facts = forecast_contest.summary(held) | {"season_length": 4, "frequency": "15m"}
    return json.loads(json.dumps(headed(facts, ["load"])))


def example(item_id: str) -> dict[str, Any]:
    flat = [100.0] * 4
    return {
        "item_id": item_id, "rank": "best", "mase": 0.25, "end": 8, "times": list(range(12)),
        "history": [99.0, None, *[98.0] * 6], "actual": flat, "others": {"linear": flat, "last_value": flat},
        "quantiles": {"0.1": [95.0] * 4, "0.5": flat, "0.9": [105.0] * 4},
    }  # fmt: skip


SERIES: dict[str, list[Any]] = {"item_id": [HOSTILE, "b"], "lstm": [2.5, 0.5], "linear": [2.0, 1.5]}


def write_evaluation(out: Path, evaluation: dict[str, Any], examples: list[Any], series: dict[str, list[Any]]) -> None:
    contest.write_json(evaluation, out / "evaluation.json")
    contest.write_json(examples, out / "examples.json")
    pl.DataFrame(series).write_parquet(out / "items.parquet")


def drawn(examples: list[Any], series: dict[str, list[Any]]) -> list[Section]:
    with tempfile.TemporaryDirectory() as out:
        write_evaluation(Path(out), evaluated(), examples, series)
        return forecast_sections.sections(Path(out))


def findings(**changes: Any) -> Findings:
    trials = [TrialRow(i, "pruned" if i % 3 else "complete", 2 - i / 10, 3.0, {"core": HOSTILE}) for i in range(9)]
    notice = {
        "check": "gaps", "level": "warning", "column": "y", "count": 1203, "items": 2, "examples": [f"{HOSTILE} at 1"],
        "message": f"1203 steps of {HOSTILE} are missing", "action": "masked",
    }  # fmt: skip
    whole = Findings(
        table={"target": ["load"], "rows": 72, "items": 6, "findings": []},
        evaluation=evaluated(),
        decision=decide(evaluated(), 1.5, GateConfig(max_size_mb=2)),
        sections=drawn([example(HOSTILE), example("b")], SERIES),
        model={"members": [{"core": {"layers": 2, "dropout": 0.125}}, {"core": {"layers": 1}}]},
        study=StudySummary("study-1", trials, {"core": 0.75, HOSTILE: 0.25}),
        seconds=[("ingest", 1.25), ("search", 125.0)],
        fingerprints=[("ingest", "0123456789abcdef")],
        notices=[notice],
    )
    return replace(whole, **changes)


class Page(HTMLParser):
    """Collects what a browser would load, the scripts, and the text outside of them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.tags: list[str] = []
        self.scripts, self.shown = "", ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        loading = {"src", "href", "srcset", "data", "action", "poster", "background", "xlink:href"}
        self.loaded += [value or "" for name, value in attrs if name in loading]

    def handle_data(self, data: str) -> None:
        if self.tags and self.cdata_elem in ("script", "style"):
            self.scripts += data
        else:
            self.shown += f" {data}"


def test_the_page_loads_nothing_from_outside() -> None:
    text = render(findings())
    page = Page(text)
    assert page.loaded == []
    assert "link" not in page.tags
    assert "iframe" not in page.tags
    style = text[text.index("<style>") : text.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style
    assert "default-src 'none'" in text
    assert text.count("* plotly.js v") == 1


def test_hostile_names_are_shown_and_never_run() -> None:
    text = render(findings())
    page = Page(text)
    assert "img" not in page.tags
    assert "<script>document" not in text
    assert f"{HOSTILE} at 1" in page.shown
    assert f"1203 steps of {HOSTILE}" in page.shown


def test_the_page_says_what_was_found() -> None:
    shown = " ".join(Page(render(findings())).shown.split())
    for told in (
        "4 steps of 15 minutes ahead", "on 6 sealed windows of 6 series",
        "lstm 0.250 beats linear 0.500 on 6 windows (won 100 %", "linear took a rest.",
        "9 trials: 3 complete, 6 pruned", "gaps warning y 1,203 2", "core.layers 2 1", "core.dropout 0.125",
        "search: 6 trials pruned 18.0 s", "Windows won 100 % against linear", "In 80 % 100.0 % lstm",
        "Difference in MASE −0.250", "search 2 min 05 s", "study study-1", "0123456789abcdef",
        "The gate to champion Passed: no baseline is better, and it is better than champion v2: MASE 0.25",
        "Champion shown to be better, p < 0.05 MASE 0.25 against 1.5, 83.3 % less", "Size at most 2 MB 1.5 MB met",
    ):  # fmt: skip
        assert told in shown, told


@pytest.mark.parametrize(("model_error", "outcome"), [(0.5, "good"), (3.0, "bad")])
def test_the_headline_has_the_colour_of_the_outcome(model_error: float, outcome: str) -> None:
    text = render(findings(evaluation=evaluated(model_error)))
    assert f'<div class="verdict {outcome}">' in text
    assert ("A baseline wins" in text) is (outcome == "bad")


def test_a_page_without_examples_findings_or_values_still_stands() -> None:
    study = StudySummary("study-1", [], {}, "0 of at least 4 complete trials: too few")
    few = drawn([], {name: values[:1] for name, values in SERIES.items()})
    bare = findings(sections=few, notices=[], study=study, model={}, seconds=[])
    shown = " ".join(Page(render(bare)).shown.split())
    assert "Nothing: 72 rows of 6 items without a breach." in shown
    assert "No trial reported a value." in shown
    assert "0 of at least 4 complete trials: too few." in shown
    assert "Forecasts against truth" not in shown
    assert "Hardest series" not in shown


def scored(**changes: Any) -> dict[str, Any]:
    """An evaluation of a kind that is not a forecast and has no baseline."""
    rows = [
        {"name": "lstm", "kind": "lstm", "accuracy": 0.985, "loss": 0.1, "seconds": 0.5},
        {"name": "champion v1", "kind": "champion", "accuracy": 0.97, "loss": None, "seconds": 0.5},
    ]
    metrics = [Metric("accuracy", "accuracy", True, "percent"), Metric("loss", "log loss", False, ".3f", "in nats")]
    plain: dict[str, Any] = {
        "kind": "classify", "title": f"Classify {HOSTILE}", "lead": "Proved on 200 items.", "noun": "item",
        "error": "error rate", "metrics": [metric._asdict() for metric in metrics], "leaderboard": rows, "tests": {},
        "best_baseline": None, "beats_baselines": True, "beats_champion": True, "verdict": ["It did well"], "notes": [],
    }  # fmt: skip
    return plain | changes


def test_a_kind_without_baselines_has_its_metrics_and_sections_on_the_page() -> None:
    words = Rows(["Reference", "errors", "share"], [[HOSTILE + "  x", 2, 0.5], ["b", None, 0.25]], {"share": "percent"},
                 code=("Reference",), bold=frozenset({(1, 2)}))  # fmt: skip
    sections = [
        Section("Words", "What went wrong.", words),
        Section("Only text", "Alone.", "Nothing to see", wide=False),
    ]
    text = render(findings(evaluation=scored(), sections=sections))
    shown = " ".join(Page(text).shown.split())
    for told in (
        "More is better: accuracy. Less is better: log loss. log loss: in nats.",
        "Model accuracy log loss Time lstm 98.5 % 0.100 0.5 s champion v1 champion 97.0 % – 0.5 s",
        f"Reference errors share {HOSTILE} x 2 50.0 % b – 25.0 %", "Nothing to see",
    ):  # fmt: skip
        assert told in shown, told
    assert '<td class=" fixed">' in text
    assert '<td class="n best">25.0 %' in text
    assert '<th class="n">errors' in text
    assert "Best baseline" not in shown
    assert "img" not in Page(text).tags


def test_pairs_without_a_finite_number_are_left_out_of_the_charts_of_numbers_and_counted() -> None:
    truth, predicted = [1.0, 2.0, 3.0, 4.0], [1.5, None, float("nan"), 2.0]
    drawn = error_sections.agreement(truth, predicted, list("abcd"))
    points = drawn.body.data[1]
    assert (list(points.x), list(points.y), list(points.customdata)) == ([1.0, 4.0], [1.5, 2.0], ["a", "d"])
    assert list(drawn.body.data[0].x) == [1.0, 4.0]
    assert drawn.hint.endswith("2 items without a finite prediction left out.")
    spread = error_sections.residuals([0.5, None, float("nan"), -2.0])
    assert list(spread.body.data[0].x) == [0.5, -2.0]
    assert spread.hint.endswith("2 items without a finite prediction left out.")
    whole = error_sections.agreement(truth, truth, list("abcd"))
    assert whole.hint == "Each point is an item; the line is right."
    bare = [error_sections.agreement([1.0], [None], ["a"]), error_sections.residuals([None])]
    shown = " ".join(Page(render(findings(evaluation=scored(), sections=bare))).shown.split())
    assert shown.count("No item has a finite prediction.") == 2
    assert shown.count("1 item without a finite prediction left out.") == 2


def test_long_labels_and_alignments_are_cut_on_the_page() -> None:
    row = {"label": "l" * 5000, "items": 3, "precision": 0.5, "recall": 0.5, "f1": 0.5}
    worst = [{"item": "an item", "alignment": "\n".join(f"line {n} " + "x" * 300 for n in range(40)), "error": 0.5}]
    columns = {"item": "Item", "alignment": "Alignment", "error": "Error"}
    sections = [error_sections.labels([row]), error_sections.examples(worst, columns, "Worst.", code=("Alignment",))]
    notice = {**findings().notices[0], "message": "m" * 5000, "examples": ["e" * 5000]}
    told = scored(notes=["n" * 5000])
    shown = Page(render(findings(evaluation=told, sections=sections, notices=[notice]))).shown
    assert f"{'l' * 239}…" in shown
    assert "line 11 " in shown
    assert "line 12 " not in shown
    assert "… and 28 lines more" in shown
    assert max(map(len, shown.split())) == 601, "a note and its full stop"
    assert "x" * 240 not in shown


def searched(uri: str, complete: int) -> optuna.Study:
    study = optuna.create_study(study_name="study-1", storage=uri, sampler=optuna.samplers.RandomSampler(0))
    for number in range(complete + 2):
        trial = study.ask()
        width, _ = trial.suggest_int("width", 1, 64), trial.suggest_float("noise", 0, 1)
        pruned = number >= complete
        trial.report(2.0, 8)
        trial.report(width / 64 + pruned, 16)
        trial.set_user_attr("progress", {"best": [2.0, width / 64 + pruned], "training": 3.0, "validation": 0.5})
        study.tell(trial, None if pruned else width / 64, optuna.trial.TrialState.PRUNED if pruned else None)
    return study


def test_a_study_is_summarised_with_the_parameter_that_matters_first(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path / 'studies.db'}"
    searched(uri, complete=12)
    summary = summarise(uri, "study-1")
    assert [trial.state for trial in summary.trials] == ["complete"] * 12 + ["pruned"] * 2
    assert summary.trials[13].value == summary.trials[13].params["width"] / 64 + 1
    assert summary.trials[13].seconds == 3.5
    assert summary.importance["width"] > 0.8
    assert summary.importance_note is None
    assert summary.rungs is not None
    assert sorted(tuple(line.x) for line in summary.rungs.data) == [(8, 16)] * 14
    assert summary.parameters is not None
    assert {"width", "noise"} <= set(summary.parameters.layout.xaxis.ticktext)


def test_importance_of_too_few_trials_is_a_sentence(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path / 'studies.db'}"
    searched(uri, complete=1)
    summary = summarise(uri, "study-1")
    assert summary.importance == {}
    assert summary.importance_note == "3 of at least 4 trials with a value: too few to rank the parameters"


class Made(BaseModel):
    """The Config of an output that a test writes by hand."""

    name: str


def made(stage: str, **files: Any) -> tuple[str, str]:
    def write(out: Path) -> dict[str, Any]:
        for name, content in files.items():
            (out / f"{name}.json").write_text(json.dumps(content))
        if stage == "evaluate":
            series: dict[str, list[Any]] = {"item_id": ["a", "b"], "lstm": [0.5, 0.75], "linear": [1.0, 0.5]}
            write_evaluation(out, evaluated(), [example(HOSTILE)], series)
        return {"seconds": 7.5}

    key = store.Key(stage, 1, Made(name=stage), ())
    store.commit(key, write)
    return key.uri, key.fingerprint


def test_the_stage_writes_one_file_from_references_alone(home: Path) -> None:
    home.mkdir(exist_ok=True)
    searched(environment().studies_uri, complete=5)
    whole = findings()
    short = {"findings": whole.notices}
    table = Table(*made("ingest", table=whole.table), 72, 6)
    dataset = Dataset(*made("prepare", dataset=short), "forecast", 6, 72)
    study = StudyResult(*made("search"), "study-1", 7, 0.5, 20.0)
    model = Model(*made("fit", model=whole.model), "forecast", 2, 100)
    evaluation = Evaluation(*made("evaluate"), "linear", True, True)
    refused = decide(evaluated(30), 1.5, GateConfig())
    decision = Decision(*made("gate", decision=refused), False, False, refused["reason"])
    report = write_report.fn(table, dataset, study, model, evaluation, decision)
    assert sorted(path.name for path in store.path(report).iterdir()) == ["manifest.json", "report.html"]
    shown = " ".join(Page((store.path(report) / "report.html").read_text()).shown.split())
    assert "7 trials: 5 complete, 2 pruned" in shown
    assert "fit 7.5 s" in shown
    assert "1203 steps of" in shown
    assert "b 0.750 0.500 a 0.500 1.000" in shown
    assert "Not passed: the baseline linear is better; it is not shown to be better than champion v2" in shown
    assert write_report.fn(table, dataset, study, model, evaluation, decision) == report


def test_a_browser_draws_every_chart_and_runs_no_name(tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    page.write_text(render(findings()))
    flags = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        "--virtual-time-budget=8000",
    ]
    command = ["chromium", *flags, f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", f"file://{page}"]
    drawn = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    assert "<title>Forecast of load: Carousel report</title>" in drawn
    for name in (
        "forecasts-against-truth",
        "error-by-horizon",
        "calibration",
        "series-by-series",
        "search",
        "parameter-importance",
    ):  # fmt: skip
        chart = drawn.index(f'id="plot-{name}"')
        assert "main-svg" in drawn[chart : chart + 2000], name
    assert "&lt;script&gt;document.title='owned'" in drawn[drawn.index('id="plot-forecasts-against-truth"') :]
