"""Problem kind ``forecast``: quantiles of the target over a horizon."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from models.problem import Forecast
from tasks.kinds.kind import Card, Learner, LearnerOptions, SplitOptions
from tasks.reporting.section import Section

if TYPE_CHECKING:
    import polars as pl

    from tasks.monitoring.health import Watched

PYFUNC = Path(__file__).with_name("forecast_pyfunc.py")
DATA: Literal["series"] = "series"
INPUTS: tuple[str, ...] = ()
SEARCH_METRICS = ("mase", "wql")
BASELINES = ("last_value", "seasonal_naive", "auto_ets", "linear")
ERROR = "MASE"


def prepare(source: Path, problem: Forecast, options: SplitOptions, out: Path) -> dict[str, Any]:
    """Write the data set of canonical table ``source`` into ``out``: see ``forecast_dataset`` for what lies in it."""
    from tasks.kinds import forecast_panel

    return forecast_panel.prepare(source, problem, options, out)


def learner(dataset: Path, options: LearnerOptions) -> Learner:
    """Open ``dataset`` for the search."""
    from tasks.kinds.forecast_learner import ForecastLearner

    return ForecastLearner(dataset, options)


def training(dataset: Path, recipe: dict[str, Any], seed: int) -> Any:
    """Return the LightningModule that trains ``recipe`` on all that lies before the sealed part."""
    from tasks.kinds import forecast_learner

    return forecast_learner.training(dataset, recipe, seed)


def unseen(dataset: Path, earlier: Path) -> bool:
    """Compare where each series' training part ends; a series that begins elsewhere cannot be compared."""
    import polars as pl

    from tasks.kinds.forecast_dataset import ForecastDataset

    stops = []
    for directory in (earlier, dataset):
        opened = ForecastDataset(directory)
        series = pl.read_parquet(directory / "series.parquet", columns=["item_id", "target", "start"])
        stop = pl.Series(opened.training_stops(with_validation=False))
        stops.append(series.with_columns(stop=stop, frequency=pl.lit(opened.facts.frequency)))
    both = stops[0].join(stops[1], on=["item_id", "target"], suffix="_now")
    same = (pl.col("start") == pl.col("start_now")) & (pl.col("frequency") == pl.col("frequency_now"))
    return both.select((same & (pl.col("stop") <= pl.col("stop_now"))).all()).item()


def describe(dataset: Path, recipes: list[dict[str, Any]], weights: list[int], out: Path) -> None:
    """Write ``model.json`` for a bundle of trained ``recipes``."""
    from tasks.kinds import forecast_learner

    forecast_learner.describe(dataset, recipes, weights, out)


def evaluate(
    dataset: Path,
    model: Path,
    rival: tuple[str, Any] | None,
    rival_note: str | None,
    baselines: list[str],
    workers: int,
    out: Path,
) -> dict[str, Any]:
    """Hold model, champion and baselines against each other on the sealed windows: see ``forecast_evaluation``."""
    from tasks.kinds import forecast_evaluation

    return forecast_evaluation.evaluate(dataset, model, rival, rival_note, baselines, workers, out)


def sections(evaluated: Path, model: Path) -> list[Section]:
    """Return what the report shows of forecasts."""
    from tasks.reporting import forecast_sections

    return forecast_sections.sections(evaluated)


def card(described: dict[str, Any], evaluation: dict[str, Any]) -> Card:
    """Return the forecaster's parts of a model card."""
    from tasks.reporting import forecast_card

    return forecast_card.card(described)


def signature(described: dict[str, Any]) -> tuple[Any, Any]:
    """Return an input example and MLflow's signature for the bundle that ``model.json`` describes."""
    from models.forecaster_facts import Facts
    from tasks.kinds import forecast_signature

    return forecast_signature.signature(Facts.model_validate(described["facts"]))


def served(bundle: Any, most_steps: int | None) -> Any:
    """Return what MLflow would load of ``bundle``; its windows have a fixed length, however long a series is."""
    from tasks.kinds.forecast_pyfunc import ForecastModel

    model = ForecastModel()
    model.bundle = bundle
    return model


def requirements(described: dict[str, Any]) -> tuple[str, ...]:
    """Return the packages that the registered model needs beside MLflow, torch and numpy."""
    return ()


def predict(bundle: Any, table: Path, out: Path) -> dict[str, Any]:
    """Write forecasts for canonical table ``table`` into ``out``, a part at a time."""
    from tasks.kinds import forecast_prediction

    return forecast_prediction.predict(bundle, table, out)


def profile(table: Path, dataset: Path, evaluated: Path, out: Path) -> None:
    """Write what a monitor has to know: see ``forecast_monitoring`` for the files."""
    from tasks.kinds import forecast_monitoring

    forecast_monitoring.profile(table, dataset, evaluated, out)


def watch(profiled: Path, table: Path) -> Watched:
    """Test the steps of ``table`` that came after those that ``profiled`` describes."""
    from tasks.kinds import forecast_monitoring

    return forecast_monitoring.watch(profiled, table)


def live(bundle: Any, profiled: Path, predicted: list[Path], table: Path) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the errors of the sealed windows, and of past forecasts whose truth is in ``table``."""
    from tasks.kinds import forecast_monitoring

    return forecast_monitoring.live(profiled, predicted, table)
