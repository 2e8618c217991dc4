"""Forecasts for 100,000 series at once: seconds, series per second and peak memory, beside neuralforecast's LSTM.

    sh benchmarks/peers/install.sh
    python benchmarks/batch_prediction.py --series 10000 100000

Both have one LSTM layer of the same width over the same context, trained for a moment on a sample: what it predicts
does not matter here. Each row is a process of its own. Carousel's are the stages: ``ingest`` checks the table and
writes it in parts, ``predict`` reads part by part; neuralforecast's row is its ``predict`` on the table in memory.
Seconds and rates are without the start of the process, its peak is with it.
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
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from peers import process

ROOT = Path(__file__).parents[1]
RESULT = Path(__file__).parent / "results" / "batch_prediction.json"
STEPS, SAMPLE, HORIZON, SEASON, CONTEXT_SEASONS, HIDDEN, TRAINING = 120, 500, 14, 7, 4, 64, 100
NAME = "batch"
LIMIT = 3600.0

INGEST = """
import json, sys
from tasks.ingest import SeriesData, ingest_table
data = SeriesData(source=sys.argv[1], item_id="item", timestamp="day", target="sold")
print(json.dumps(ingest_table.fn(data).to_json()))
"""

PREDICT = """
import json, sys
from tasks.predict import predict_table
from tasks.references import Table
from tasks.registry import resolve
print(json.dumps(predict_table.fn(resolve("batch"), Table(**json.loads(sys.argv[1]))).to_json()))
"""


def generate(path: Path, series: int) -> None:
    """Write daily series with a weekly season, a thousand at a time."""
    import pyarrow as pa
    from pyarrow import parquet

    rng = np.random.default_rng(0)
    days = np.datetime64("2024-01-01") + np.arange(STEPS)
    fields = [("item", pa.string()), ("day", pa.timestamp("us")), ("sold", pa.float64())]
    with parquet.ParquetWriter(path, pa.schema(fields)) as writer:
        for start in range(0, series, 1000):
            count = min(1000, series - start)
            level = rng.lognormal(3, 1, (count, 1))
            season = 1 + 0.3 * np.sin(2 * np.pi * np.arange(STEPS) / SEASON + rng.uniform(0, 6, (count, 1)))
            values = level * season + rng.normal(0, 1, (count, STEPS))
            items = np.repeat([f"item-{start + i:06d}" for i in range(count)], STEPS)
            stamps = np.tile(days, count).astype("datetime64[us]")
            columns = [pa.array(items), pa.array(stamps), pa.array(values.ravel())]
            writer.write_table(pa.Table.from_arrays(columns, schema=writer.schema))


def train(sample: Path, home: Path) -> None:
    """Register a model of one small layer."""
    experiment = {
        "name": NAME,
        "data": {"source": str(sample), "item_id": ["item"], "timestamp": "day", "target": ["sold"]},
        "problem": {"kind": "forecast", "horizon": HORIZON, "season_length": SEASON},
        "search": {
            "time_budget": "120s",
            "max_trials": 1,
            "max_steps": TRAINING,
            "space": {
                "core": ["stacked_lstm"],
                "hidden_size": [HIDDEN],
                "num_layers": [1],
                "seasons": [CONTEXT_SEASONS],
                "head": ["direct"],
                "patch_length": [1],
            },
        },
        "fit": {"members": 1, "refit": "never"},
        "evaluate": {"baselines": ["last_value"]},
        "register": {"promote": "auto"},
    }
    (home / "batch.yaml").write_text(json.dumps(experiment))
    command = [str(Path(sys.executable).with_name("carousel")), "run", str(home / "batch.yaml")]
    subprocess.run(command, check=True, env={**os.environ, "CAROUSEL_HOME": str(home)}, stdout=subprocess.DEVNULL)
    # A baseline may be better after so short a training.
    subprocess.run([command[0], "promote", f"{NAME}/1", "--force"], env={**os.environ, "CAROUSEL_HOME": str(home)})


def stage(program: str, argument: str, home: Path, log: Path) -> tuple[dict[str, Any], dict[str, float]]:
    """Run a stage in a process; return its reference, and seconds and peak gigabytes."""
    answer = home / "answer.json"
    code = f"import sys\nsys.stdout = open({str(answer)!r}, 'w')\n{program}"
    variables = {"CAROUSEL_HOME": str(home), "PYTHONPATH": str(ROOT), "PREFECT_LOGGING_LEVEL": "ERROR"}
    used = process.run([sys.executable, "-c", code, argument], log, LIMIT, variables)
    assert used.returncode == 0, log.read_text()
    reference = json.loads(answer.read_text())
    made = json.loads((home / "stages" / reference["uri"] / "manifest.json").read_text())
    return reference, {"seconds": round(made["seconds"], 1), "peak_gb": round(used.peak_mb / 1e3, 2)}


def carousel(panel: Path, series: int, home: Path, log: Path) -> dict[str, Any]:
    table, ingest = stage(INGEST, str(panel), home, log)
    predictions, predict = stage(PREDICT, json.dumps(table), home, log)
    assert predictions["items"] == series
    rate = round(series / predict["seconds"])
    return {"ingest": ingest, "predict": predict | {"series_per_second": rate}}


def neuralforecast(sample: Path, panel: Path, series: int, venv: Path, work: Path, log: Path) -> dict[str, Any]:
    """Return what neuralforecast took for ``predict``, and the peak of its process."""
    program = Path(__file__).parent / "peers" / "batch_lstm.py"
    sizes = [HORIZON, CONTEXT_SEASONS * SEASON, HIDDEN, TRAINING]
    command = [str(venv / "bin" / "python"), str(program), str(sample), str(panel), str(work / "peer.json")]
    used = process.run([*command, *map(str, sizes)], log, LIMIT)
    if used.returncode != 0:
        return {"failed": "stopped" if used.returncode is None else log.read_text()[-500:]}
    found = json.loads((work / "peer.json").read_text())
    rate = round(series / found["predict_seconds"])
    rounded = {name: round(value, 1) for name, value in found.items()}
    return {**rounded, "peak_gb": round(used.peak_mb / 1e3, 2), "series_per_second": rate}


def parameters(home: Path) -> int:
    """Return the size of Carousel's model."""
    return int(json.loads(next(home.glob("stages/fit/*/manifest.json")).read_text())["facts"]["parameters"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--series", nargs="+", type=int, default=[10_000, 100_000])
    parser.add_argument("--venvs", type=Path, default=ROOT / ".peers", help="where install.sh has put the peers")
    arguments = parser.parse_args()
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        home, log = Path(folder), Path(folder) / "log.txt"
        generate(home / "sample.parquet", SAMPLE)
        train(home / "sample.parquet", home)
        for series in arguments.series:
            panel = home / f"panel-{series}.parquet"
            generate(panel, series)
            results[str(series)] = {"carousel": carousel(panel, series, home, log)}
            venv = arguments.venvs.resolve() / "neuralforecast"
            results[str(series)]["neuralforecast"] = neuralforecast(
                home / "sample.parquet", panel, series, venv, home, log
            )
            print(series, json.dumps(results[str(series)]), flush=True)
        size = parameters(home)
    record = {
        "date": datetime.date.today().isoformat(),
        "cpus": len(os.sched_getaffinity(0)),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "polars": pl.__version__,
        "steps": STEPS,
        "parameters": size,
        "series": results,
    }
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
