"""Kill workers of a search, or all of it, at random instants: no trial may be lost, none begun twice.

    python benchmarks/kills.py --kills 20

Half of the kills hit one worker, half the stage's process with its workers; the stage is then called again. At the end
every trial that was begun must have climbed on from what it had before each kill.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import optuna
import psutil

sys.path.append(str(Path(__file__).parents[1] / "tests" / "support"))

from searches import prepared

from tasks import studies

RESULT = Path(__file__).parent / "results" / "kills.json"
ROOT = Path(__file__).parents[1]
TRIALS = 60
SEARCH = f"""
import json, sys
from tasks.references import Dataset
from tasks.search import search_models
from tasks.search_config import SearchConfig
space = {{"core": ["stacked_lstm"], "hidden_size": [64], "patch_length": [4], "head": ["direct"], "batch_size": [64]}}
config = SearchConfig(time_budget="1h", max_trials={TRIALS}, max_steps=1600, space=space)
search_models.fn(Dataset(**json.loads(sys.argv[1])), config)
"""


def start(home: Path, dataset: str) -> subprocess.Popen[bytes]:
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    with (home / "log").open("ab") as log:
        return subprocess.Popen([sys.executable, "-c", SEARCH, dataset], env=env, stdout=log, stderr=log)


def climbed(home: Path) -> dict[int, tuple[str, list[float]]]:
    """Return parameters and values of each trial that was begun."""
    if not (home / "optuna.db").exists():
        return {}
    names = optuna.get_all_study_names(f"sqlite:///{home / 'optuna.db'}")
    if not names:
        return {}
    study = optuna.load_study(study_name=names[0], storage=studies.open_storage(f"sqlite:///{home / 'optuna.db'}"))
    told = studies.begun(study)
    return {t.number: (json.dumps(t.params, sort_keys=True), studies.progress(t).best) for t in told}


def run(kills: int, home: Path) -> dict[str, Any]:
    os.environ["CAROUSEL_HOME"] = str(home)
    dataset = json.dumps(asdict(prepared(home)))
    draw, lost, process = random.Random(0), 0, start(home, dataset)
    before: dict[int, tuple[str, list[float]]] = {}
    for number in range(kills):
        time.sleep(draw.uniform(4, 9))
        if process.poll() is not None:
            break
        workers = psutil.Process(process.pid).children()
        if number % 2 and workers:
            draw.choice(workers).kill()
        else:
            process.send_signal(signal.SIGKILL)
            process.wait()
            psutil.wait_procs(workers, timeout=20)
            process = start(home, dataset)
        now = climbed(home)
        lost += sum(now.get(trial, ("", []))[1][: len(best)] != best for trial, (_, best) in before.items())
        before = now
    status, after = process.wait(), climbed(home)
    lost += sum(after[trial][1][: len(best)] != best for trial, (_, best) in before.items())
    twice = len(after) - len({params for params, _ in after.values()})
    return {"kills": number + 1, "status": status, "trials": len(after), "lost": lost, "begun twice": twice}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with tempfile.TemporaryDirectory() as home:
        found = run(parser.parse_args().kills, Path(home))
    print(found)
    RESULT.write_text(json.dumps({"date": datetime.date.today().isoformat(), **found}, indent=2) + "\n")
    if found["trials"] != TRIALS or found["lost"] or found["begun twice"]:
        raise SystemExit("a trial was lost or begun twice")


if __name__ == "__main__":
    main()
