"""Stage ``ingest``: a source and column roles in, canonical parquet out."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from filelock import FileLock
from prefect import task
from pydantic import BeforeValidator, ConfigDict, Discriminator, Field, Tag

from tasks import store
from tasks.addresses import Address
from tasks.config import Choice, Columns, Config
from tasks.environment import environment
from tasks.errors import InputError
from tasks.inputs.registry import Input
from tasks.references import Table
from tasks.reporting.failure import explain_stage
from tasks.store import Key

if TYPE_CHECKING:
    from tasks.data.contract import Ledger
    from tasks.data.sources import Source

VERSION = 3
DEFAULT_NULLS = ["", "NA", "N/A", "NaN", "nan", "null", "NULL", "None"]


def _spelled(value: object) -> object:
    """Take YAML's bare null for the word."""
    return "null" if value is None else value


class Query(Config):
    """A SQL query and the database that answers it."""

    sql: str = Field(title="SQL query", min_length=1)
    connection: Address = Field(
        title="Connection URI",
        description="A SQLAlchemy URI; ${NAME} is replaced by that environment variable: no password stands here.",
        min_length=1,
    )


class SeriesData(Config):
    """Many series of one table, a row for each step: the source and the role of each of its columns."""

    model_config = ConfigDict(title="Series")

    source: Address | Query = Field(
        title="Source",
        description="A CSV or parquet file, a glob, a hive-partitioned folder, an fsspec URL, or a SQL query.",
    )
    target: Columns = Field(title="Target columns", min_length=1)
    timestamp: str = Field(title="Time column", description="Dates, date-times, or whole numbers.")
    timestamp_unit: Literal["s", "ms", "us", "ns"] | None = Field(
        None, title="Unit of whole numbers", description="If they count the time since 1970, UTC; none: an index."
    )
    item_id: Columns = Field(
        [], title="Item columns", description="What tells one series from another; none: one series."
    )
    past_covariates: Columns = Field([], title="Past covariates", description="Known up to the present only.")
    known_covariates: Columns = Field([], title="Known covariates", description="Known for the horizon, too.")
    static_covariates: Columns = Field([], title="Static covariates", description="Constant within an item.")
    categorical: Columns = Field(
        [], title="Categorical covariates", description="Text columns are, without being named."
    )
    frequency: str = Field(
        "auto",
        title="Frequency",
        description="auto, or a step such as 15m, 1h, 1d, 1w, 1mo, 1q, 1y; 1 for an integer index.",
        pattern=r"^(auto|[1-9]\d*(s|m|h|d|w|mo|q|y)?)$",
    )
    time_zone: str | None = Field(
        None, title="Time zone", description="IANA name of the zone whose clock shapes the data."
    )
    gaps: Literal["mask", "error", "zero", "forward_fill", "interpolate"] = Field(
        "mask",
        title="Missing steps and values",
        description="mask: explicit, out of the loss, flagged to the model. The others change the target, and say so.",
    )
    duplicates: Literal["error", "first", "last", "mean"] = Field("error", title="Duplicate stamps of an item")
    unparsable: Annotated[Literal["error", "null"], BeforeValidator(_spelled)] = Field(
        "error", title="Values that do not parse"
    )
    infinite: Annotated[Literal["error", "null"], BeforeValidator(_spelled)] = Field("error", title="Infinite values")
    null_values: list[str] = Field(DEFAULT_NULLS, title="Text that means missing")


class SequenceData(Config):
    """Sequences with a target each: the source, what a sequence consists of, and what is to be predicted of it."""

    model_config = ConfigDict(title="Sequences")

    source: Address | Query = Field(
        title="Source",
        description="A CSV or parquet file, a glob, a folder, an fsspec URL or a SQL query, or audio files themselves.",
    )
    input: Input = Field(title="Input")
    target: Annotated[Columns | None, BeforeValidator(lambda given: given or None)] = Field(
        None,
        title="Target column",
        description="Several: a label each, 1 where it holds. None: nothing is known of the items but their input.",
    )
    item_id: Columns = Field(
        [], title="Item columns", description="What tells one sequence from another; none: every row is one."
    )
    unusable: Literal["error", "drop"] = Field(
        "error",
        title="Items that nothing can be learned from",
        description="Empty, silent, unreadable or without a target. drop: they are left out, and the report says so.",
    )
    null_values: list[str] = Field(
        DEFAULT_NULLS, title="Text that means missing", description="In ids, targets and numbers; never in a text."
    )


def _form(data: Any) -> str:
    """Return the form of data that is meant: sequences say what their input is."""
    named = "input" in data if isinstance(data, dict) else hasattr(data, "input")
    return "SequenceData" if named else "SeriesData"


Data = Annotated[
    Annotated[SeriesData, Tag("SeriesData")] | Annotated[SequenceData, Tag("SequenceData")],
    Discriminator(_form),
    Choice(),
]
"""What a flow's ``data`` may be."""


# Kept with the run: a run that is taken up again goes on with the data that it began with.
@task(name="ingest", persist_result=True, result_serializer="json", on_failure=[explain_stage])
def ingest_table(data: Data) -> Table:
    """Read the source, check the data contract, and write canonical parquet.

    Raises:
        InputError: the source cannot be read, or breaks the contract; it lists all errors found.
    """
    from tasks.data.roles import used_columns
    from tasks.data.sequences import open_sequences, write_sequences
    from tasks.data.sources import open_source

    with _work(data) as work:
        if isinstance(data, SequenceData):
            source = open_sequences(data, work)
        else:
            source = open_source(data.source, used_columns(data), work)

        def write(out: Path) -> dict[str, Any]:
            if isinstance(data, SequenceData):
                return write_sequences(source, data, work, out)
            return write_table(source, data, work, out)

        key = Key("ingest", VERSION, data, (source.fingerprint,))
        facts = store.commit(key, write)
    return Table(key.uri, key.fingerprint, rows=facts["rows"], items=facts["items"])


def write_table(source: Source, config: SeriesData, work: Path, out: Path) -> dict[str, Any]:
    """Write ``part-00000.parquet``, ..., ``items.parquet`` and ``table.json`` and return the facts.

    The parts hold whole items, sorted by ``item_id`` and ``timestamp``, on a regular grid. A target or covariate is
    Float64, a categorical one String.

    Raises:
        InputError: the source breaks the contract; nothing is kept.
    """
    from tasks.data.buckets import list_items, read_buckets
    from tasks.data.contract import Ledger
    from tasks.data.parts import Parts, choose_step
    from tasks.data.survey import survey

    ledger = Ledger()
    layout = survey(source, config, ledger)
    items = list_items(layout, ledger)
    ledger.raise_errors()
    buckets = read_buckets(layout, items, work / "buckets")
    step = choose_step(buckets, layout, items.ids, ledger)
    ledger.raise_errors()
    parts = Parts(out, layout, items.ids, step, ledger)
    for rows in buckets:
        parts.write(rows)
    parts.close()
    return _describe(parts, out, config, ledger)


def _describe(parts: Any, out: Path, config: SeriesData, ledger: Ledger) -> dict[str, Any]:
    layout = parts.layout
    facts = {"rows": parts.rows, "items": parts.items, "observed": parts.observed}
    roles = ("target", "past_covariates", "known_covariates", "static_covariates")
    table = {role: getattr(config, role) for role in roles} | {
        "categorical": list(layout.categorical),
        "frequency": str(parts.step),
        "time_type": "integer" if layout.clock.kind == "integer" else "datetime",
        "time_zone": layout.clock.zone,
        **facts,
        "findings": ledger.report(),
    }
    (out / "table.json").write_text(json.dumps(table, indent=2, ensure_ascii=False))
    return facts


@contextmanager
def _work(config: SeriesData | SequenceData) -> Iterator[Path]:
    """Give an empty directory for copies of the source; a killed run leaves one, which the next run of it empties."""
    source = config.source if isinstance(config.source, str) else config.source.model_dump_json()
    place = environment().work / f"source-{hashlib.sha256(source.encode()).hexdigest()[:16]}"
    place.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(place.with_suffix(".lock")):
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        try:
            yield place
        except Exception as error:
            from tasks.data.files import is_full

            if is_full(error):
                raise InputError(
                    "the disk of CAROUSEL_HOME must have room for the table and a copy of the source",
                    f"no space left below {environment().root}",
                    "free some, or set CAROUSEL_HOME to a larger disk",
                ) from error
            raise
        finally:
            shutil.rmtree(place, ignore_errors=True)
