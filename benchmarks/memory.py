"""Peak memory and time of ingest and prepare on a generated panel, beside a polars scan-filter-sink of the same file.

    python benchmarks/memory.py --rows 50000000

Each row of the table is a child process of its own, so its peak resident memory is its own. The panel has items of
1,000 daily steps: a text id, a date, a target and a covariate.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

STEPS = 1000
RESULT = Path(__file__).parent / "results" / "memory.json"

PLAIN = """
import sys, polars as pl
source, out = sys.argv[1:]
pl.scan_parquet(source).filter(pl.col("target").is_not_null()).sink_parquet(out + "/plain.parquet")
"""

INGEST = """
import sys
from tasks.ingest import SeriesData, ingest_table
source, out = sys.argv[1:]
ingest_table.fn(SeriesData(source=source, target="target", timestamp="date", item_id="id", known_covariates="price"))
"""

PREPARE = """
import json, pathlib, sys
from models.problem import Forecast
from tasks.prepare import SplitConfig, prepare_dataset
from tasks.references import Table
manifest = next(pathlib.Path(sys.argv[2], "stages", "ingest").glob("*/manifest.json"))
facts = json.loads(manifest.read_text())["facts"]
name = manifest.parent.name
table = Table(f"ingest/{name}", name, facts["rows"], facts["items"])
prepare_dataset.fn(table, Forecast(horizon=28), SplitConfig())
"""

CASES = {"polars scan-filter-sink": PLAIN, "ingest": INGEST, "prepare": PREPARE}
"""Name -> program, which gets the panel and the directory that all of them write into."""

MEASURE = """
import resource, subprocess, sys, time
started = time.perf_counter()
subprocess.run([sys.executable, "-c", *sys.argv[1:]], check=True)
print(time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def generate(path: Path, rows: int) -> None:
    """Write the panel in row groups of a thousand items."""
    import numpy as np
    import pyarrow as pa
    from pyarrow import parquet

    rng = np.random.default_rng(0)
    dates = np.datetime64("2020-01-01") + np.arange(STEPS)
    fields = [("id", pa.string()), ("date", pa.date32()), ("target", pa.float64()), ("price", pa.float64())]
    with parquet.ParquetWriter(path, pa.schema(fields)) as writer:
        for start in range(0, rows // STEPS, 1000):
            items = min(1000, rows // STEPS - start)
            ids = np.repeat([f"item-{start + i:07d}" for i in range(items)], STEPS)
            values = [rng.normal(size=(items, STEPS)).cumsum(axis=1).ravel(), rng.normal(size=items * STEPS)]
            columns = [pa.array(ids), pa.array(np.tile(dates, items)), *map(pa.array, values)]
            writer.write_table(pa.Table.from_arrays(columns, schema=writer.schema))


def measure(program: str, panel: Path, out: Path) -> dict[str, float]:
    """Run ``program`` in a child process and return its seconds and its peak resident memory in gigabytes."""
    root = Path(__file__).parents[1]
    environment = {
        **os.environ,
        "CAROUSEL_HOME": str(out),
        "PYTHONPATH": str(root),
        "PREFECT_HOME": str(out),
        "PREFECT_LOGGING_LEVEL": "ERROR",
    }
    command = [sys.executable, "-c", MEASURE, program, str(panel), str(out)]
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    seconds, kilobytes = map(float, done.stdout.split()[-2:])
    return {"seconds": round(seconds, 1), "peak_gb": round(kilobytes * 1024 / 1e9, 2)}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--rows", type=int, default=50_000_000)
    rows = arguments.parse_args().rows
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        panel = Path(folder) / "panel.parquet"
        started = time.perf_counter()
        generate(panel, rows)
        size = panel.stat().st_size / 1e9
        print(f"{rows:,} rows, {size:.2f} GB of parquet, generated in {time.perf_counter() - started:.0f} s")
        print(f"{'':<26}{'seconds':>9}{'peak GB':>9}")
        for name, program in CASES.items():
            results[name] = measure(program, panel, Path(folder))
            print(f"{name:<26}{results[name]['seconds']:>9}{results[name]['peak_gb']:>9}", flush=True)
    record = {
        "date": datetime.date.today().isoformat(),
        "cpus": len(os.sched_getaffinity(0)),
        "machine": platform.machine(),
        "versions": {name: importlib.metadata.version(name) for name in ("polars", "numpy", "pyarrow")}
        | {"python": platform.python_version()},
        "rows": rows,
        "parquet_gb": round(size, 2),
        "results": results,
    }
    known = json.loads(RESULT.read_text()) if RESULT.exists() else []
    kept = [entry for entry in known if entry["rows"] != rows]
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(sorted([*kept, record], key=lambda entry: entry["rows"]), indent=2) + "\n")


if __name__ == "__main__":
    main()
