"""Input kind ``audio``: one file an item. The table keeps the files as they are; what is heard is checked once."""

from __future__ import annotations

import dataclasses
import glob
import hashlib
import os
import re
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import ConfigDict, Field

from tasks.addresses import Address
from tasks.inputs.table import ColumnInput, ids_go_in, open_table

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import polars as pl

    from models.sequence_columns import SequenceColumns
    from tasks.data.intake import Intake
    from tasks.data.sources import Source
    from tasks.inputs.registry import Specs

UNIT = "seconds"
KEPT = False
COMPARED = False
REQUIREMENTS = ("kaldi-native-fbank", "soundfile", "soxr")
USE = 'table = pd.DataFrame({{"{input}": ["recording.wav"]}})  # or columns samples and sample_rate'
EXAMPLE_SECONDS = 0.5
LOWEST_RATE = 4000
SUFFIXES = (".wav", ".flac", ".ogg", ".mp3", ".aif", ".aiff")
_BYTES = 64_000_000


class AudioInput(ColumnInput):
    """A column of paths to audio files, or of their content."""

    model_config = ConfigDict(title="Audio")

    kind: Literal["audio"] = "audio"
    column: str = Field(
        "path",
        title="Audio column",
        description="Paths, or the bytes of the files. Where the source is audio files themselves: a name for it.",
    )
    root: Address | None = Field(
        None, title="Root of the paths", description="A folder or fsspec URL; none: the folder of the source."
    )


def open_input(config: Any, work: Path) -> Source:
    """Open the table of paths, or write one for a folder or glob of audio files: path and ``folder`` of each."""
    import polars as pl

    from tasks.data.sources import open_source

    column = config.input.column
    if (found := _audio_files(config.source)) is None:
        source = open_table(config, work)
    else:
        paths = [os.path.relpath(file, _base(config)) for file in found]
        listed = pl.DataFrame({column: paths, "folder": [file.parent.name for file in found]})
        listed.write_parquet(work / "audio.parquet")
        source = open_source(str(work / "audio.parquet"), None, work)
        source = dataclasses.replace(source, name=config.source)
    if (dtype := source.columns().get(column)) is None or dtype == pl.Binary:
        return source
    digest = hashlib.sha256(source.fingerprint.encode())
    named = source.scan([column]).collect(engine="streaming")[column].cast(pl.String)
    for path in named.drop_nulls().unique().sort():
        content = _read(_base(config), path)
        digest.update(f"\0{path}\0".encode() + hashlib.sha256(content or b"").digest())
    return dataclasses.replace(source, fingerprint=digest.hexdigest()[:32])


def _audio_files(source: Any) -> list[Path] | None:
    """Return the files of a source that is audio itself, none if it is a table."""
    if not isinstance(source, str) or "://" in source:
        return None
    place = Path(source).expanduser()
    if place.is_dir():
        files = [file for file in place.rglob("*") if file.is_file() and not file.name.startswith(".")]
        heard = [file for file in files if file.suffix.lower() in SUFFIXES]
        tables = [file for file in files if file.name.lower().endswith((".csv", ".tsv", ".parquet", ".pq", ".csv.gz"))]
        return sorted(heard) if heard and not tables else None
    matches = [str(place)] if place.is_file() else glob.glob(str(place), recursive=True)
    files = [Path(match) for match in matches if Path(match).is_file()]
    if not files or not all(file.suffix.lower() in SUFFIXES for file in files):
        return None
    return sorted(files)


def _base(config: Any) -> str:
    """Return what paths are relative to: a local directory or an fsspec URL."""
    from tasks.data.sources import expand

    if config.input.root is not None:
        return os.path.expanduser(expand(config.input.root, "data.input.root"))
    if not isinstance(config.source, str):
        return os.getcwd()
    source = expand(config.source, "data.source")
    if "://" in source:
        return source.rpartition("/")[0]
    fixed = re.split(r"[*?\[]", os.path.expanduser(source))[0]
    place = Path(fixed if fixed == os.path.expanduser(source) or fixed.endswith("/") else os.path.dirname(fixed) or ".")
    return str((place if place.is_dir() else place.parent).resolve())


def _read(base: str, path: str) -> bytes | None:
    """Return a file's content, or None where there is none.

    Raises:
        InputError: the file system of a URL cannot be reached.
    """
    import fsspec

    from tasks.data.sources import reaching

    path = path.strip()
    remote = "://" in base or "://" in path
    url = path if "://" in path else f"{base.rstrip('/')}/{path}"
    with reaching("the audio files", url) if remote else nullcontext():
        try:
            if not remote:
                return (Path(base) / path).read_bytes()
            with fsspec.open(url, "rb") as stream:
                return stream.read()
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError):
            return None


def parts(intake: Intake) -> Iterator[pl.DataFrame]:
    """Yield canonical parts of about 64 megabytes: ``input`` is Binary, the files as they are."""
    import polars as pl

    from tasks.data.cells import TEXT

    column = intake.options.column
    binary = intake.schema[column] == pl.Binary
    intake.require_type(column, binary or isinstance(intake.schema[column], TEXT), "paths or bytes of audio files")
    rates: dict[int, int] = {}
    for rows in intake.rows():
        for some in _loaded(rows, column, None if binary else _base(intake.config)):
            yield _heard(intake, some, rates)
    if rates:
        _report_rates(intake, rates)


def _loaded(rows: pl.DataFrame, column: str, base: str | None) -> Iterator[pl.DataFrame]:
    """Yield slices of ``rows`` with their files; without ``base`` the column holds the content itself."""
    import polars as pl

    from tasks.data.intake import PLACE

    given = rows[f"read:{column}"].cast(pl.Binary if base is None else pl.String)
    held: list[bytes | None] = []
    first, size = 0, 0
    for i, value in enumerate(given):
        content = value if base is None or value is None else _read(base, value)
        held.append(content)
        size += len(content or b"")
        if size >= _BYTES or i + 1 == len(given):
            some = rows.slice(first, len(held)).with_columns(pl.Series("input", held, dtype=pl.Binary))
            if base is not None:
                path, place = pl.col(f"read:{column}").cast(pl.String), pl.col(PLACE)
                named = (path.fill_null("no path") + " in " + place).alias(PLACE)
                some = some.with_columns(path.alias("source"), named)
            yield some
            first, size, held = i + 1, 0, []


def _heard(intake: Intake, rows: pl.DataFrame, rates: dict[int, int]) -> pl.DataFrame:
    """Listen to each file once; ``rates`` counts the sample rates."""
    import polars as pl

    from tasks.data.intake import SIZE

    checks = ("missing_audio", "unreadable_audio", "truncated_audio", "silent_audio", "low_rate")
    found = [_listen(content) for content in rows["input"]]
    for breach, _, rate in found:
        if breach is None:
            rates[rate] = rates.get(rate, 0) + 1
    breaches = pl.Series([breach for breach, _, _ in found], dtype=pl.String)
    frame = rows.with_columns(pl.Series(SIZE, [seconds for _, seconds, _ in found], dtype=pl.Float64))
    column = intake.options.column
    return intake.sift(frame, column, {check: breaches.eq_missing(check) for check in checks}, what=f"{LOWEST_RATE:,}")


def _listen(content: bytes | None) -> tuple[str | None, float, int]:
    """Return the rule that a file breaks, if any, its seconds and its sample rate."""
    import io

    import numpy as np
    import soundfile

    from models.inputs.audio import read_audio

    if content is None:
        return "missing_audio", 0.0, 0
    try:
        with soundfile.SoundFile(io.BytesIO(content)) as opened:
            declared, said = opened.frames, opened.extra_info
        samples, rate = read_audio(content)
    except (ValueError, TypeError, RuntimeError):
        return "unreadable_audio", 0.0, 0
    seconds = len(samples) / rate
    # libsndfile reads as much of a WAV as there is and only notes that its header promised more.
    short = re.search(r"^data : \d+ \(should be", said, re.MULTILINE) is not None
    if short or len(samples) < declared or not len(samples):
        return "truncated_audio", seconds, rate
    if not np.isfinite(samples).all() or float(np.ptp(samples)) == 0.0:
        return "silent_audio", seconds, rate
    return ("low_rate" if rate < LOWEST_RATE else None), seconds, rate


def _report_rates(intake: Intake, rates: dict[int, int]) -> None:
    """Choose the commonest rate, which all others are brought to."""
    common = max(rates, key=lambda rate: (rates[rate], rate))
    intake.facts["sample_rate"] = common
    if others := {rate: count for rate, count in sorted(rates.items()) if rate != common}:
        examples = [f"{count:,} of {rate:,} Hz" for rate, count in others.items()]
        count, said = sum(others.values()), "{count} files of another rate than the {what} Hz of most"
        action = "resampled; what was recorded below that rate stays without its upper band"
        intake.ledger.add(
            "mixed_rates",
            "warning",
            intake.options.column,
            count=count,
            items=count,
            examples=examples,
            said=said,
            action=action,
            what=f"{common:,}",
        )


def raws(part: pl.DataFrame, facts: Any = None) -> Iterator[np.ndarray]:
    """Yield each item's samples: mono float32 ``[n]`` at the rate of ``facts``, or at its own."""
    from models.inputs.audio import read_audio, resample

    for content in part["input"]:
        samples, rate = read_audio(content)
        yield samples if facts is None else resample(samples, rate, facts.sample_rate)


def fit(items: Callable[[], Iterator[np.ndarray]], table: dict[str, Any]) -> Any:
    """Return ``AudioFacts`` for the commonest sample rate; nothing else of the items matters."""
    from models.inputs.audio import fit_audio

    return fit_audio(table["sample_rate"])


def difference(theirs: Any, ours: Any) -> str | None:
    """Compare rate and filters."""
    return None if theirs == ours else "it reads audio of another sample rate or with other filters"


def signature(facts: Any, columns: SequenceColumns) -> tuple[Specs, pd.DataFrame]:
    """Return the path or else samples and rate, and an example of half a second of a tone."""
    import numpy as np
    import pandas as pd
    from mlflow.types import ColSpec, DataType
    from mlflow.types.schema import Array

    from models.inputs.audio import RATE, SAMPLES

    specs = [
        ColSpec(DataType.string, columns.input[0], required=False),
        ColSpec(Array(DataType.double), SAMPLES, required=False),
        ColSpec(DataType.long, RATE, required=False),
    ]
    rate = facts.sample_rate
    tone = 0.1 * np.sin(2 * np.pi * 440 * np.arange(int(EXAMPLE_SECONDS * rate)) / rate)
    return specs, pd.DataFrame({SAMPLES: [tone.round(6).tolist()], RATE: [rate]}, index=["item 0"])


def goes_in(facts: Any, columns: SequenceColumns) -> str:
    """Say that a recording is a row, and what becomes of its rate."""
    return (
        f"A row for each recording: its path in `{columns.input[0]}`, or its `samples` and `sample_rate`; over HTTP "
        "only the latter, for a server opens no files that a request names. "
        f"It is resampled to {facts.sample_rate:,} Hz. {ids_go_in(columns)}"
    ).strip()
