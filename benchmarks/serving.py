"""A registered model over HTTP beside the same model in process: p50 and p99 in milliseconds, requests per second.

    carousel run examples/tourism.yaml
    python benchmarks/serving.py tourism --items 1 100 --seconds 10

A request is the example of the model's signature, for so many items. Rows of a result:

    torch eager       the members on tensors that are laid out already
    torch.export      the same, its first member exported: only where that can be done and gives the same to 1e-5
    pyfunc            a pandas table to a pandas table, in process
    carousel serve    JSON over HTTP, from so many clients at once, on the same cores
    mlflow serve      likewise, plain ``mlflow models serve``
"""

from __future__ import annotations

import argparse
import datetime
import http.client
import json
import os
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from carousel import services
from carousel.served import Served, load
from models import panel_building
from models.forecast_bundle import Bundle
from models.panel import Windows
from models.sequences import SequenceArrays
from tasks import registry
from tasks.environment import environment, quiet
from tasks.kinds.registry import kind

RESULT = Path(__file__).parent / "results" / "serving.json"
TOLERANCE = 1e-5
START_SECONDS = 180


def table_of(served: Served, items: int) -> pd.DataFrame:
    """Return the example of the signature, for ``items`` items."""
    facts = served.model.bundle.facts
    example, _ = kind(served.model.bundle.kind).signature({"facts": facts.model_dump(mode="json")})
    names = facts.item_columns if hasattr(facts, "item_columns") else facts.columns.item_id
    copies = [example.assign(**dict.fromkeys(names, f"item {item}")) for item in range(items)]
    return pd.concat(copies, ignore_index=True)


def body_of(table: pd.DataFrame) -> bytes:
    """Return ``table`` as a JSON request."""
    records = json.loads(table.to_json(orient="records", date_format="iso", date_unit="s"))
    return json.dumps({"dataframe_records": records}).encode()


def laid_out(served: Served, table: pd.DataFrame) -> Callable[[], Any]:
    """Return what predicts ``table`` from tensors that are laid out already."""
    bundle = served.model.bundle
    if isinstance(bundle, Bundle):
        upcoming = _upcoming(bundle, table)
        items = np.arange(len(upcoming.item_ids))
        return lambda: bundle.predict(upcoming.panel, items, upcoming.ends_N)
    _, raws = bundle.facts.input.read(table, bundle.facts.columns)
    arrays = SequenceArrays(bundle.encode(raws), None)
    return lambda: bundle.predict(arrays)


def _upcoming(bundle: Bundle, table: pd.DataFrame) -> Any:
    from tasks.kinds import forecast_pyfunc as pyfunc

    facts = bundle.facts
    ids = pyfunc._item_ids(table, facts.item_columns)
    return panel_building.build(
        facts, ids, pyfunc._stamps(table[facts.time_column], facts), pyfunc._columns(table, facts)
    )


class Exportable(torch.nn.Module):
    """A forecaster as a function of tensors."""

    def __init__(self, member: torch.nn.Module) -> None:
        super().__init__()
        self.member = member

    def forward(self, *tensors: torch.Tensor) -> torch.Tensor:
        return self.member(Windows(*tensors)).unscaled()


def exported(served: Served, table: pd.DataFrame, seconds: float) -> dict[str, Any]:
    """Export the first member of a forecaster and compare it with itself; or say why not."""
    bundle = served.model.bundle
    if not isinstance(bundle, Bundle):
        return {"not": "packed sequences of any length cannot be exported"}
    member, upcoming = bundle.members[0].eval(), _upcoming(bundle, table)
    panel, items = upcoming.panel, np.arange(len(upcoming.item_ids))
    indices = torch.from_numpy(items), torch.from_numpy(upcoming.ends_N)
    windows = panel.gather(*indices, member.config.context_length, bundle.facts.horizon)
    tensors = tuple(getattr(windows, field.name) for field in fields(windows))
    eager = Exportable(member).eval()
    with torch.inference_mode():
        try:
            program = torch.export.export(eager, tensors, strict=False).module()
            apart = float((program(*tensors) - eager(*tensors)).abs().max() / eager(*tensors).abs().max())
        except Exception as error:
            return {"not": f"{type(error).__name__}: {str(error).splitlines()[0][:200]}"}
        found = {
            "eager": timed(lambda: eager(*tensors), seconds),
            "exported": timed(lambda: program(*tensors), seconds),
        }
    return {**found, "apart": apart, "equal": apart < TOLERANCE}


def timed(act: Callable[[], Any], seconds: float) -> dict[str, float]:
    """Call ``act`` for so long; the first calls do not count."""
    for _ in range(3):
        act()
    taken, until = [], time.perf_counter() + seconds
    while (began := time.perf_counter()) < until:
        act()
        taken.append(time.perf_counter() - began)
    return summary(taken, seconds)


def summary(taken: list[float], seconds: float) -> dict[str, float]:
    p50, p99 = np.percentile(taken, [50, 99]) * 1000
    return {"p50_ms": round(p50, 2), "p99_ms": round(p99, 2), "per_second": round(len(taken) / seconds, 1)}


def asked(port: int, body: bytes, clients: int, seconds: float) -> dict[str, float]:
    """Ask a server for so long from ``clients`` threads, each with a connection that stays open."""
    taken: list[float] = []

    def ask(until: float) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        while (began := time.perf_counter()) < until:
            connection.request("POST", "/invocations", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            content = answer.read()
            assert answer.status == 200, content
            taken.append(time.perf_counter() - began)
        connection.close()

    for measured in (False, True):
        taken.clear()
        until = time.perf_counter() + (seconds if measured else 1.0)
        threads = [threading.Thread(target=ask, args=(until,)) for _ in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return summary(taken, seconds)


@contextmanager
def started(port: int, path: str, *command: str) -> Iterator[None]:
    """Run a server until the block ends."""
    beside = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    variables = {**os.environ, "PATH": beside, "MLFLOW_TRACKING_URI": environment().tracking_uri}
    process = subprocess.Popen([sys.executable, *command, "--port", str(port)], env=variables)
    try:
        deadline = time.monotonic() + START_SECONDS
        while not services.answers(f"http://127.0.0.1:{port}{path}"):
            assert process.poll() is None, "the server has ended"
            assert time.monotonic() < deadline, "the server does not answer"
            time.sleep(0.2)
        yield
    finally:
        process.terminate()
        process.wait()


def measure(model: str, items: list[int], clients: list[int], seconds: float) -> dict[str, Any]:
    """Measure ``model`` in every way, for requests of so many items each."""
    found = registry.resolve(model)
    served = load(found)
    tables = {count: table_of(served, count) for count in items}
    bodies = {count: body_of(table) for count, table in tables.items()}
    results: dict[str, Any] = {}
    for count, table in tables.items():
        inside = {"torch eager": timed(laid_out(served, table), seconds)}
        inside["torch.export"] = exported(served, table, seconds)
        inside["pyfunc"] = timed(lambda table=table: served.model.predict(None, table), seconds)  # type: ignore[misc]
        results[str(count)] = inside
    uri = f"models:/{found.name}/{found.version}"
    main = "import sys; from carousel.cli import main; sys.exit(main())"
    commands = {
        "carousel serve": ("/ready", "-c", main, "serve", f"{found.name}/{found.version}"),
        "mlflow serve": ("/ping", "-m", "mlflow", "models", "serve", "--env-manager", "local", "--model-uri", uri),
    }
    for name, command in commands.items():
        port = services.free_port()
        with started(port, *command):
            for count, body in bodies.items():
                rows = {str(many): asked(port, body, many, seconds) for many in clients}
                results[str(count)][name] = {f"{many} clients": row for many, row in rows.items()}
    sizes = {"members": len(served.model.bundle.members), "kind": served.model.bundle.kind}
    return {"version": found.version, **sizes, "items": results}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="+", metavar="MODEL")
    parser.add_argument("--items", nargs="+", type=int, default=[1, 100])
    parser.add_argument("--clients", nargs="+", type=int, default=[1, 2, 8])
    parser.add_argument("--seconds", type=float, default=10.0)
    arguments = parser.parse_args()
    quiet(environment())
    # As the server does, which computes requests side by side.
    torch.set_num_threads(1)
    known = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    for model in arguments.models:
        found = measure(model, arguments.items, arguments.clients, arguments.seconds)
        print(model, json.dumps(found, indent=2), flush=True)
        known[model] = {
            "date": datetime.date.today().isoformat(),
            "cpus": len(os.sched_getaffinity(0)),
            "machine": platform.machine(),
            "versions": {name: version(name) for name in ("torch", "mlflow", "fastapi", "uvicorn")},
            **found,
        }
        RESULT.parent.mkdir(exist_ok=True)
        RESULT.write_text(json.dumps(known, indent=2) + "\n")


if __name__ == "__main__":
    main()
