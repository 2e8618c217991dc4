"""Accuracy of the whole pipeline on sequence problems that others have published figures for, in minutes.

    python benchmarks/sequence_accuracy.py japanese_vowels
    python benchmarks/sequence_accuracy.py --data DIR banking77 snips_intent snips_slots fsdd fsdd_strings yesno

Each task is ``carousel run`` in a home of its own, on the official split or with every speaker held out in turn; the
test part is read once, by the stage ``evaluate``. All settings but the time budget are Carousel's defaults. DIR holds
what the data sets' own repositories offer: ``banking77/{train,test}.csv`` (text, category), ``snips/snips.parquet``
(split, tokens, tags, text, intent), ``fsdd/index.csv`` (path, digit, speaker) and ``yesno/index.csv`` (path,
transcript) with the recordings. Results are added to ``results/sequence_accuracy.json``, the newest of a task last.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import soundfile
import yaml

RESULT = Path(__file__).parent / "results" / "sequence_accuracy.json"
ROOT = Path(__file__).parents[1]
SHORTEST, LONGEST = 3, 7
"""Digits of a joined string."""
GAP_SECONDS = (0.02, 0.15)
"""Quiet between two joined digits."""


class Run(NamedTuple):
    """A run of a task: what is left out of it, and its experiment."""

    name: str
    experiment: dict[str, Any]


def experiment(source: Path | str, given: dict[str, Any], target: str, kind: str, split: dict[str, Any]) -> dict:
    data = {"source": str(source), "input": given, "target": target}
    return {"name": "accuracy", "data": data, "problem": {"kind": kind}, "split": split}


def japanese_vowels(data: Path, work: Path) -> Iterator[Run]:
    yield Run("official", yaml.safe_load((ROOT / "examples" / "japanese_vowels.yaml").read_text()))


def banking77(data: Path, work: Path) -> Iterator[Run]:
    parts = [pl.read_csv(data / "banking77" / f"{part}.csv").with_columns(part=pl.lit(part)) for part in PARTS]
    pl.concat(parts).write_parquet(work / "banking77.parquet")
    text = {"kind": "text", "column": "text"}
    yield Run("official", experiment(work / "banking77.parquet", text, "category", "classify", {"column": "part"}))


def snips_intent(data: Path, work: Path) -> Iterator[Run]:
    source, text = data / "snips" / "snips.parquet", {"kind": "text", "column": "text"}
    yield Run("official", experiment(source, text, "intent", "classify", {"column": "split"}))


def snips_slots(data: Path, work: Path) -> Iterator[Run]:
    source, tokens = data / "snips" / "snips.parquet", {"kind": "tokens", "column": "tokens"}
    yield Run("official", experiment(source, tokens, "tags", "tag", {"column": "split"}))


def fsdd(data: Path, work: Path) -> Iterator[Run]:
    index = pl.read_csv(data / "fsdd" / "index.csv")
    for speaker in sorted(index["speaker"].unique()):
        yield _by_speaker(index, speaker, "digit", "classify", data / "fsdd", work)


def fsdd_strings(data: Path, work: Path) -> Iterator[Run]:
    index = pl.read_csv(data / "fsdd" / "index.csv")
    joined = _joined(index, data / "fsdd", work)
    for speaker in sorted(index["speaker"].unique()):
        run = _by_speaker(joined, speaker, "digits", "transcribe", work, work)
        run.experiment["problem"]["unit"] = "word"
        yield run


def yesno(data: Path, work: Path) -> Iterator[Run]:
    """Every third recording is held out, in the order of their names."""
    index = pl.read_csv(data / "yesno" / "index.csv").sort("path").with_row_index("row")
    table = index.with_columns(part=pl.when(pl.col("row") % 3 == 2).then(pl.lit("test")).otherwise(pl.lit("train")))
    table.write_parquet(work / "yesno.parquet")
    audio = {"kind": "audio", "column": "path", "root": str(data / "yesno")}
    told = experiment(work / "yesno.parquet", audio, "transcript", "transcribe", {"column": "part"})
    told["problem"]["unit"] = "word"
    yield Run("every third", told)


PARTS = ("train", "test")
TASKS: dict[str, tuple[Callable[[Path, Path], Iterator[Run]], str]] = {
    "japanese_vowels": (japanese_vowels, "60s"),
    "banking77": (banking77, "130s"),
    "snips_intent": (snips_intent, "5m"),
    "snips_slots": (snips_slots, "5m"),
    "fsdd": (fsdd, "130s"),
    "fsdd_strings": (fsdd_strings, "5m"),
    "yesno": (yesno, "3m"),
}
"""The runs of a task, and the time budget of each one's search."""


def _by_speaker(table: pl.DataFrame, held_out: str, target: str, kind: str, root: Path, work: Path) -> Run:
    """Hold out a speaker; another one of the rest is for validation."""
    part = pl.when(pl.col("speaker") == held_out).then(pl.lit("test")).otherwise(pl.lit("train"))
    table.with_columns(part=part).write_parquet(work / f"{held_out}.parquet")
    audio = {"kind": "audio", "column": "path", "root": str(root)}
    split = {"column": "part", "group": "speaker"}
    return Run(held_out, experiment(work / f"{held_out}.parquet", audio, target, kind, split))


def _joined(index: pl.DataFrame, root: Path, work: Path) -> pl.DataFrame:
    """Join each speaker's recordings to strings of 3 to 7 digits, every recording in one string of its speaker."""
    rng, rows = np.random.default_rng(0), []
    for speaker in sorted(index["speaker"].unique()):
        own = index.filter(pl.col("speaker") == speaker).sort("path")
        order = list(rng.permutation(len(own)))
        while order:
            taken = [order.pop() for _ in range(min(len(order), int(rng.integers(SHORTEST, LONGEST + 1))))]
            sounds: list[np.ndarray] = []
            for row in taken:
                samples, rate = soundfile.read(root / own["path"][int(row)], dtype="float32")
                sounds += [samples, np.zeros(int(rng.uniform(*GAP_SECONDS) * rate), np.float32)]
            path = f"{speaker}-{len(rows):04d}.wav"
            soundfile.write(work / path, np.concatenate(sounds), rate)
            digits = " ".join(str(own["digit"][int(row)]) for row in taken)
            rows.append({"path": path, "digits": digits, "speaker": speaker})
    return pl.DataFrame(rows)


def measure(run: Run, budget: str, log: Path) -> dict[str, Any]:
    """Run an experiment from nothing; return its time, its size and the leaderboard of its sealed part."""
    with tempfile.TemporaryDirectory() as folder:
        home, path = Path(folder) / "home", Path(folder) / "experiment.yaml"
        path.write_text(yaml.safe_dump(run.experiment))
        command = [str(Path(sys.executable).with_name("carousel")), "run", str(path)]
        variables = {**os.environ, "CAROUSEL_HOME": str(home), "PYTHONPATH": str(ROOT)}
        began = time.perf_counter()
        with log.open("ab") as stream:
            told = [*command, "--set", f"search.time_budget={budget}"]
            subprocess.run(told, check=True, cwd=ROOT, env=variables, stdout=stream, stderr=stream)
        seconds = time.perf_counter() - began
        evaluation = json.loads(next(home.glob("stages/evaluate/*/evaluation.json")).read_text())
        search = json.loads(next(home.glob("stages/search/*/manifest.json")).read_text())["facts"]
    headline, board = evaluation["metrics"][0]["name"], evaluation["leaderboard"]
    return {
        "run": run.name,
        "metric": headline,
        "lstm": next(row[headline] for row in board if row["kind"] == "lstm"),
        "others": {row["name"]: row[headline] for row in board if row["kind"] != "lstm"},
        "p_value": evaluation["tests"].get("best_baseline", {}).get("p_value"),
        "items": evaluation["items"],
        "trials": search["trials"],
        "best_value": search["best_value"],
        "seconds": round(seconds),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tasks", nargs="+", choices=list(TASKS))
    parser.add_argument("--data", type=Path, help="the folder of the data sets; japanese_vowels needs none")
    parser.add_argument("--only", nargs="+", help="runs of the tasks, such as speakers; none: all of them")
    parser.add_argument("--log", type=Path, default=Path(os.devnull), help="what the runs print is added to this file")
    arguments = parser.parse_args()
    for task in arguments.tasks:
        runs, budget = TASKS[task]
        if arguments.data is None and task != "japanese_vowels":
            parser.error(f"{task} needs --data")
        results = []
        with tempfile.TemporaryDirectory() as work:
            data = Path() if arguments.data is None else arguments.data.resolve()
            for run in runs(data, Path(work)):
                if arguments.only is None or run.name in arguments.only:
                    results.append(measure(run, budget, arguments.log))
                    print(f"{task}: {results[-1]}", flush=True)
        record(task, budget, results)


def record(task: str, budget: str, results: list[dict[str, Any]]) -> None:
    """Add what was measured of ``task`` to the results, with the mean over its runs."""
    entry = {
        "task": task,
        "date": datetime.date.today().isoformat(),
        "search_budget": budget,
        "cpus": len(os.sched_getaffinity(0)),
        "machine": platform.machine(),
        "mean": round(statistics.mean(result["lstm"] for result in results), 4),
        "runs": results,
    }
    print(f"{task}: mean {entry['mean']} over {len(results)} runs")
    written = json.loads(RESULT.read_text()) if RESULT.exists() else []
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps([*written, entry], indent=2) + "\n")


if __name__ == "__main__":
    main()
