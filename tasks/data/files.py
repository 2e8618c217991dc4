"""Local CSV and parquet files: which of the two a file is, its header, and what is said of one that cannot be read."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import fsspec
import polars as pl

from tasks.errors import InputError, shortened

PARQUET = (".parquet", ".pq")
CSV = (".csv", ".csv.gz", ".csv.zst", ".tsv", ".tsv.gz", ".txt")
_SEPARATORS = (",", ";", "\t", "|")


@contextmanager
def reading(name: str, files: Sequence[Path] = ()) -> Iterator[None]:
    """Turn what polars and the file system say of an unreadable source into an InputError; ``files`` tells where."""
    try:
        yield
    except pl.exceptions.NoDataError:
        raise InputError(
            f"{name} must hold a header and rows", "an empty file", "set data.source to a file with data"
        ) from None
    except (pl.exceptions.PolarsError, OSError, EOFError, UnicodeError, csv.Error) as error:
        if is_full(error):
            raise
        if "utf-8" in str(error).lower() and (found := _find_invalid(files)):
            raise InputError(
                f"{name} must be readable CSV or parquet, its text in UTF-8",
                f"bytes that are none in {shortened(found)}",
                "save the file as UTF-8, for instance with iconv -f latin1 -t utf-8",
            ) from error
        said = str(error).strip().splitlines() or [type(error).__name__]
        raise InputError(
            f"{name} must be readable CSV or parquet, all files with the same columns",
            said[0][:300],
            "mend or replace the file, or check its permissions",
        ) from error


def _find_invalid(files: Sequence[Path], most: int = 6) -> list[str]:
    """Return the first lines that are not UTF-8, as ``line 17 of train.csv (b'caf\\xe9')``."""
    found: list[str] = []
    for file in files:
        if file_format(file) != "csv":
            continue
        with fsspec.open(str(file), "rb", compression="infer") as stream:
            for number, line in enumerate(stream, start=1):
                try:
                    line.decode()
                except UnicodeDecodeError as error:
                    near = line[max(error.start - 10, 0) : error.end + 10]
                    found.append(f"line {number:,} of {file.name} ({near!r})")
                if len(found) == most:
                    return found
    return found


def is_full(error: BaseException) -> bool:
    """Say whether a disk had no room left; polars tells it only in words."""
    return "No space left on device" in str(error)


def file_format(file: Path) -> str:
    """Return ``csv`` or ``parquet`` by the file's name, else by how it begins; what is neither is told in words."""
    if file.name.lower().endswith(PARQUET):
        return "parquet"
    if file.name.lower().endswith(CSV):
        return "csv"
    with file.open("rb") as stream:
        return "parquet" if stream.read(4) == b"PAR1" else f"an unknown format ({file.suffix or file.name})"


def read_header(file: Path) -> list[str]:
    """Return the column names of a CSV file.

    Raises:
        NoDataError: it has none.
    """
    with fsspec.open(str(file), "rt", encoding="utf-8-sig", compression="infer", newline="") as stream:
        header = next(csv.reader(stream, delimiter=separator(file)), [])
    if not header:
        raise pl.exceptions.NoDataError
    return header


def separator(file: Path) -> str:
    """Return the separator that the header line uses most; a comma if none."""
    with fsspec.open(str(file), "rt", encoding="utf-8-sig", compression="infer") as stream:
        line = stream.readline(1 << 20)
    return max(_SEPARATORS, key=line.count)
