"""What a row, an item and a trial cost: processor seconds, memory and bytes, against their number, with fitted lines.

    python benchmarks/cost.py rows|items|trials|workers|all

Each point is a process of its own. Its cost is counted in processor seconds, user and system, of it and of all that it
started: on a machine that is shared with other work these hold still, the wall clock does not. "anonymous" is the peak
of memory that no file backs, summed over the process and its children and looked at every 20 ms: mapped arrays are in
the page cache and can be dropped by the kernel at any time. "resident" is the high-water mark of the largest process,
mapped files included. "written" is what the process gave to the disk. A line is fitted by least squares on the
processor seconds; the exponent is the slope of their logarithms beyond the intercept of the smallest point.

``trials`` counts what ten more trials cost in a study that has so many, without their training: a search that begins
with an empty study pays for all sizes on the way, so its cost is the integral. ``workers`` lets so many work on one
study in PostgreSQL with trainings that sleep, as if each were on a machine of its own: "ms_a_rung" is the wall clock
that a worker spends on asking for a trial and telling how it stands, waiting for its turn included, "busy" their share
of time in trainings, and the processor seconds are those of the workers.

The panel of ``rows`` has 2,000 items, hourly, in 64 shards of which each holds a stretch of time of all items; that of
``items`` has 40 hours an item.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from cost_points import generate

RESULT = Path(__file__).parent / "results" / "cost.json"
POINTS = Path(__file__).with_name("cost_points.py")
SIZES = {
    "rows": [1_000_000, 10_000_000, 100_000_000],
    "items": [1_000, 10_000, 100_000, 1_000_000],
    "trials": [10, 100, 500, 1_000, 2_000],
    "workers": [1, 2, 4, 8, 16],
}
ITEMS, STEPS = 2_000, 40
STAGES: dict[str, list[list[str]]] = {
    "rows": [["ingest", "{data}"], ["prepare", "24"], ["trial"]],
    "items": [
        ["ingest", "{data}"],
        ["prepare", "7"],
        ["trial"],
        ["evaluate", "last_value", "seasonal_naive"],
        ["contest", "auto_ets", "linear"],
    ],
    "trials": [["study", "{size}"]],
    "workers": [["crowd", "{size}"]],
}
MOST = {"contest": 1_000}
"""Sizes beyond which a stage takes too long to be measured."""


class Memory(threading.Thread):
    """Follows a process and its children until it ends; ``peak`` is the most anonymous memory of all together."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.pid, self.peak = pid, 0

    def run(self) -> None:
        while (now := _anonymous(self.pid)) is not None:
            self.peak = max(self.peak, now)
            time.sleep(0.02)


def _anonymous(pid: int) -> int | None:
    """Return the anonymous bytes of a process and its children; None: it has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    if "RssAnon" not in status:
        return None
    own = int(status.split("RssAnon:")[1].split()[0]) * 1024
    return own + sum(_anonymous(int(child)) or 0 for child in children)


def measure(stage: list[str], home: Path) -> dict[str, Any]:
    """Run a stage in a process of its own and return what it cost."""
    root = str(POINTS.parents[1])
    environment = {**os.environ, "CAROUSEL_HOME": str(home), "PYTHONPATH": root, "PREFECT_HOME": str(home)}
    # Threads of torch that wait for each other burn seconds, the more the busier the machine is.
    environment |= {"PREFECT_LOGGING_LEVEL": "ERROR", "OMP_NUM_THREADS": "1"}
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, str(POINTS), *stage], env=environment, stdout=subprocess.PIPE, text=True
    )
    memory = Memory(process.pid)
    memory.start()
    assert process.stdout is not None
    printed = process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(stage)} ended with {process.returncode}; it printed:\n{printed}")
    told = json.loads(printed.splitlines()[-1])
    return {
        "cpu": round(used.ru_utime + used.ru_stime, 2),
        "wall": round(time.perf_counter() - began, 2),
        "anonymous_gb": round(memory.peak / 1e9, 3),
        "resident_gb": round(used.ru_maxrss * 1024 / 1e9, 3),
        "written_gb": round(told.pop("written") / 1e9, 3),
        "told": told,
    } | ({"cpu": told.pop("cpu")} if "cpu" in told else {})


def point(axis: str, size: int, folder: Path) -> dict[str, dict[str, Any]]:
    """Measure all stages of one size, on data of its own."""
    home, data = folder / "home", folder / "panel"
    if axis == "rows":
        generate(data, size, ITEMS, 64)
    elif axis == "items":
        generate(data, size * STEPS, size, 8)
    found = {}
    for stage in STAGES[axis]:
        if size > MOST.get(stage[0], size):
            continue
        given = [part.format(data=data, size=size) for part in stage]
        found[stage[0]] = measure(given, home)
        show(axis, size, stage[0], found[stage[0]])
    return found


def show(axis: str, size: int, stage: str, cost: dict[str, Any]) -> None:
    told = {key: round(one, 4) if isinstance(one, float) else one for key, one in cost["told"].items()}
    numbers = [cost[name] for name in ("cpu", "wall", "anonymous_gb", "resident_gb", "written_gb")]
    print(f"{size:>13,} {axis:<7}{stage:<9}" + "".join(f"{one:>11}" for one in numbers) + f"  {told}", flush=True)


def fitted(sizes: list[int], cpu: list[float]) -> dict[str, float]:
    """Return the line of processor seconds against size, and the exponent of what comes on top of the first point."""
    slope, intercept = np.polyfit(sizes, cpu, 1)
    found = {"slope_us": round(1e6 * float(slope), 3), "intercept_s": round(float(intercept), 2)}
    beyond = [(n, c - cpu[0]) for n, c in zip(sizes, cpu, strict=True) if c > 1.2 * cpu[0]]
    if len(beyond) > 1:
        exponent, _ = np.polyfit(*np.log(np.array(beyond).T), 1)
        found["exponent"] = round(float(exponent), 2)
    return found


def fit(axis: str, points: dict[str, dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Fit each stage of an axis over the sizes that it was measured at, and print the lines."""
    fits = {}
    for stage, *_ in STAGES[axis]:
        sizes = sorted(int(size) for size, found in points.items() if stage in found)
        if len(sizes) < 2:
            continue
        fits[stage] = fitted(sizes, [points[str(size)][stage]["cpu"] for size in sizes])
        words = ", ".join(f"{name} {value:g}" for name, value in fits[stage].items())
        print(f"{axis}, {stage}: {words}")
    return fits


def keep(axis: str, points: dict[str, Any], sizes: list[int]) -> None:
    """Write the sizes that were measured into the results; other sizes and axes stay."""
    known = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    told = {
        "date": datetime.date.today().isoformat(),
        "cpus": len(os.sched_getaffinity(0)),
        "machine": platform.machine(),
        "versions": {name: version(name) for name in ("polars", "numpy", "torch", "optuna")}
        | {"python": platform.python_version()},
    }
    merged = known.get(axis, {}).get("points", {}) | {str(size): points[str(size)] for size in sizes}
    ordered = dict(sorted(merged.items(), key=lambda one: int(one[0])))
    known[axis] = told | {"points": ordered, "fits": fit(axis, ordered)}
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(known, indent=2) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("axis", choices=[*SIZES, "all"])
    parser.add_argument("--sizes", type=int, nargs="+", help="other sizes than those of the table")
    arguments = parser.parse_args()
    names = ("cpu s", "wall s", "anon. GB", "resid. GB", "written GB")
    print(f"{'':<30}" + "".join(f"{name:>11}" for name in names))
    for axis in SIZES if arguments.axis == "all" else [arguments.axis]:
        sizes, points = arguments.sizes or SIZES[axis], {}
        for size in sizes:
            with tempfile.TemporaryDirectory() as folder:
                points[str(size)] = point(axis, size, Path(folder))
        keep(axis, points, sizes)


if __name__ == "__main__":
    main()
