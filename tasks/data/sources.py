"""Open any source as lazy polars frames and fingerprint its content.

Files stay where they are; what lies elsewhere (an fsspec URL, a database) is first copied into a work directory. From
there on a source is a list of local files. A password never enters a message or a fingerprint.
"""

from __future__ import annotations

import difflib
import glob
import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
import polars as pl

from tasks.data.files import CSV, PARQUET, file_format, is_full, read_header, reading, separator
from tasks.errors import InputError, shortened

ROW = "row:number"
FILE = "row:file"
_MAGIC = re.compile(r"[*?\[]")


@dataclass(frozen=True)
class Source:
    """Local files of one format.

    Args:
        name: the source as the user wrote it, for messages.
        files: in the order of their names.
        root: what the names of the files are relative to.
        fingerprint: of the content.
        text: every column is read as text (CSV).
    """

    name: str
    files: tuple[Path, ...]
    root: Path
    fingerprint: str
    text: bool

    def columns(self) -> dict[str, pl.DataType]:
        """Return the columns that every file has, with their types."""
        with reading(self.name, self.files):
            if not self.text:
                return dict(self._parquet().collect_schema())
            headers = [read_header(file) for file in self.files]
        for header, file in zip(headers, self.files, strict=True):
            self._check_header(header, file, headers[0])
        return {column: pl.String() for column in headers[0]}

    def scan(self, columns: Sequence[str], numbered: bool = False) -> pl.LazyFrame:
        """Return ``columns`` lazily; ``numbered`` adds the row, from 1, and of several CSV files the file."""
        if not self.text:
            frame = self._parquet(row_index_name=ROW, row_index_offset=1) if numbered else self._parquet()
            return frame.select([ROW, *columns] if numbered else columns)
        return pl.concat([self._csv(file, columns, numbered) for file in self.files])

    def _parquet(self, **options: Any) -> pl.LazyFrame:
        hive = any("=" in part for file in self.files for part in file.relative_to(self.root).parts[:-1])
        casts = pl.ScanCastOptions(integer_cast="upcast", float_cast="upcast", datetime_cast="nanosecond-downcast")
        return pl.scan_parquet(
            list(self.files), glob=False, hive_partitioning=hive, extra_columns="ignore", cast_options=casts, **options
        )

    def _csv(self, file: Path, columns: Sequence[str], numbered: bool) -> pl.LazyFrame:
        options: dict[str, Any] = {"row_index_name": ROW, "row_index_offset": 1} if numbered else {}
        frame = pl.scan_csv(file, separator=separator(file), infer_schema=False, glob=False, **options)
        if numbered and len(self.files) > 1:
            frame = frame.with_columns(pl.lit(str(file.relative_to(self.root))).alias(FILE))
            return frame.select(ROW, FILE, *columns)
        return frame.select([ROW, *columns] if numbered else columns)

    def _check_header(self, header: list[str], file: Path, first: list[str]) -> None:
        name = file.relative_to(self.root)
        if repeated := {column for column in header if header.count(column) > 1}:
            raise InputError(
                f"column names of {name} must differ",
                f"more than one column {shortened(sorted(map(repr, repeated)))}",
                "rename them in the source",
            )
        if missing := [column for column in first if column not in header]:
            raise InputError(
                f"all files of {self.name} must have the same columns",
                f"no {shortened(map(repr, missing))} in {name}",
                "narrow data.source to files of one layout",
            )


def open_source(source: Any, columns: Sequence[str] | None, work: Path) -> Source:
    """Open a path, a glob, a folder, an fsspec URL or a query.

    Args:
        source: a string, or an ``ingest.Query``.
        columns: what will be read: of a query's result nothing else is kept; none: all of them.
        work: an empty directory for copies.

    Raises:
        InputError: nothing is there, it cannot be read, or it is neither CSV nor parquet.
    """
    if not isinstance(source, str):
        from tasks.data.database import fetch_query

        digest = fetch_query(source, columns, work)
        return Source("the query's result", tuple(sorted(work.glob("*.parquet"))), work, digest, text=False)
    with reading(source):
        place = _localise(expand(source, "data.source"), source, work)
        root, files = _find_files(place, source)
        text = _is_text(files, source)
        return Source(source, tuple(files), root, _digest(files, root), text)


def expand(text: str, key: str) -> str:
    """Replace each ``${NAME}`` by that environment variable.

    Raises:
        InputError: a variable is not set.
    """
    names = re.findall(r"\$\{(\w+)\}", text)
    if missing := [name for name in names if name not in os.environ]:
        raise InputError(
            f"every ${{NAME}} in {key} must be an environment variable",
            f"{shortened(missing)} not set",
            "export it where the flow runs",
        )
    return re.sub(r"\$\{(\w+)\}", lambda match: os.environ[match[1]], text)


def _localise(url: str, name: str, work: Path) -> str:
    """Copy what an fsspec URL names into ``work`` and return the local place; a local path is returned as it is."""
    if "://" not in url:
        return os.path.expanduser(url)
    with reaching(name, url):
        system, path = fsspec.core.url_to_fs(url)
        if "file" in (system.protocol if isinstance(system.protocol, tuple) else (system.protocol,)):
            return path
        return _copy(system, path, work / "copy")


@contextmanager
def reaching(name: str, url: str) -> Iterator[None]:
    """Turn what an fsspec file system raises into an InputError without credentials; ``name`` is what ``url`` is."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        if is_full(error):
            raise
        raise InputError(
            f"{name} must be reachable",
            f"{type(error).__name__} from the file system of {url.split('://')[0]}://",
            "check the address, the credentials in the environment, and that fsspec's package for it is installed",
        ) from None


def _copy(system: Any, path: str, target: Path) -> str:
    if _MAGIC.search(path):
        found, base = sorted(system.glob(path)), path[: _MAGIC.search(path).start()].rpartition("/")[0]  # type: ignore[union-attr]
    elif system.isdir(path):
        found, base = sorted(system.find(path)), path.rstrip("/")
    else:
        found, base = [path], path.rpartition("/")[0]
    for file in found:
        local = target / file.removeprefix(base).lstrip("/")
        if not local.resolve().is_relative_to(target.resolve()):
            raise InputError("a remote file's name must stay inside its folder", repr(file), "rename it at the source")
        local.parent.mkdir(parents=True, exist_ok=True)
        system.get_file(file, str(local))
    return str(target / found[0].removeprefix(base).lstrip("/")) if found == [path] else str(target)


def _find_files(place: str, name: str) -> tuple[Path, list[Path]]:
    path = Path(place)
    if path.is_file():
        return path.resolve().parent, [path.resolve()]
    if path.is_dir():
        root = path.resolve()
        found = [file for file in root.rglob("*") if _is_data(file.relative_to(root)) and file.is_file()]
    else:
        root = (
            Path(_MAGIC.split(place)[0]).parent
            if not _MAGIC.split(place)[0].endswith("/")
            else Path(_MAGIC.split(place)[0])
        )
        root = root.resolve()
        matches = glob.glob(place, recursive=True) if _MAGIC.search(place) else []
        found = [Path(match).resolve() for match in matches if Path(match).is_file()]
    if not found:
        siblings = [file.name for file in path.parent.iterdir()] if path.parent.is_dir() else []
        near = difflib.get_close_matches(path.name, siblings, n=3)
        hint = f"; near it lies {shortened(near)}" if near else ""
        raise InputError(
            "data.source must name a file, or a folder or glob with CSV or parquet files",
            f"nothing at {name!r}{hint}",
            "correct the path (relative paths start where the command runs)",
        )
    return root, sorted(found, key=lambda file: file.as_posix())


def _is_data(relative: Path) -> bool:
    hidden = any(part.startswith((".", "_")) for part in relative.parts)
    return not hidden and relative.name.lower().endswith(PARQUET + CSV)


def _is_text(files: list[Path], name: str) -> bool:
    formats = {file_format(file) for file in files}
    if formats <= {"csv"} or formats <= {"parquet"}:
        return formats == {"csv"}
    raise InputError(
        "data.source must name files of one format, CSV or parquet",
        f"{shortened(sorted(formats))} in {name!r}",
        "give the files .csv or .parquet names, or narrow data.source with a glob such as *.csv",
    )


def _digest(files: list[Path], root: Path) -> str:
    """Hash names (relative to ``root``), sizes and bytes of ``files``."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.relative_to(root).as_posix()}\0{file.stat().st_size}\0".encode())
        with file.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()[:32]
