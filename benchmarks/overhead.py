"""Where the time of an experiment goes: training and validation steps, baselines, and everything else.

    python benchmarks/overhead.py examples/tourism.yaml --runs 3

Each run starts from nothing, in a home of its own. Training is what the workers and the fit spent in steps, as
wall-clock time: the sum over processes divided by how many ran side by side.
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
from pathlib import Path

RESULT = Path(__file__).parent / "results" / "overhead.json"
ROOT = Path(__file__).parents[1]


def run(experiment: str, home: Path) -> float:
    """Run the experiment in ``home`` and return its wall-clock seconds."""
    began = time.perf_counter()
    command = [str(Path(sys.executable).with_name("carousel")), "run", experiment]
    variables = {**os.environ, "CAROUSEL_HOME": str(home)}
    subprocess.run(command, check=True, cwd=ROOT, env=variables, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - began


def ledger(home: Path, total: float) -> dict[str, float]:
    """Return wall-clock seconds by what they were spent on."""
    stages = {path.parts[-3]: json.loads(path.read_text()) for path in home.glob("stages/*/*/manifest.json")}
    seconds = {name: manifest["seconds"] for name, manifest in stages.items()}
    search, fit = stages["search"]["facts"], stages["fit"]["facts"]
    abreast = max(1, min(search["workers"], len(fit["trained"])))
    board = json.loads(next(home.glob("stages/evaluate/*/evaluation.json")).read_text())["leaderboard"]
    baselines = sum(row["seconds"] for row in board if row["kind"] == "baseline")
    in_search = (search["clock"]["training"] + search["clock"]["validation"]) / search["workers"]
    in_fit = sum(trained["seconds"] for trained in fit["trained"]) / abreast
    parts = {
        "search: training and validation": in_search,
        "search: starting workers, asking and telling": seconds["search"] - in_search,
        "fit: training": in_fit,
        "fit: starting Lightning, idle beside the last member": seconds["fit"] - in_fit,
        "evaluate: baselines": baselines,
        "evaluate: the rest": seconds["evaluate"] - baselines,
        "ingest": seconds["ingest"],
        "prepare": seconds["prepare"],
        "report": seconds["report"],
    }
    return parts | {"servers, imports, orchestration, registering": total - sum(parts.values()), "total": total}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("experiment", nargs="?", default="examples/tourism.yaml")
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    ledgers = []
    for _ in range(arguments.runs):
        with tempfile.TemporaryDirectory() as home:
            ledgers.append(ledger(Path(home), run(arguments.experiment, Path(home))))
    medians = {part: statistics.median(one[part] for one in ledgers) for part in ledgers[0]}
    for part, value in medians.items():
        print(f"{part:<54}{value:>8.1f} s{value / medians['total']:>7.0%}")
    trained = medians["search: training and validation"] + medians["fit: training"]
    print(f"{'not in training and validation steps':<54}{medians['total'] - trained:>8.1f} s")
    record = {
        "date": datetime.date.today().isoformat(),
        "experiment": arguments.experiment,
        "runs": arguments.runs,
        "cpus": len(os.sched_getaffinity(0)),
        "machine": platform.machine(),
        "median_seconds": {part: round(value, 2) for part, value in medians.items()},
    }
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
