"""AutoETS of statsforecast over many histories, in processes of its own.

It is a program, not a process pool: ``python -m tasks.scoring.ets`` never imports the caller's main module again, so
it is safe below a script, a notebook, a flow and a worker alike. Arrays travel through stdin and stdout; no pickle.

AutoETS: Hyndman & Khandakar (2008), "Automatic time series forecasting".
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.children import PARENT, die_with_parent

Floats = NDArray[np.float64]

SEASONS = 10
MOST_STEPS = 400
LONGEST_SEASON = 24


def forecast_all(
    histories: list[Floats], horizon: int, season_length: int, levels: list[float], workers: int
) -> Floats:
    """Return quantiles [W, F, Q]; a history that AutoETS cannot fit has NaN in all of its window.

    Args:
        histories: of each only the newest ``SEASONS`` seasons (at least ``MOST_STEPS`` steps) are fitted; a NaN is
            bridged by a straight line, for AutoETS knows no missing values.
        season_length: taken as 1 for a history shorter than two seasons, and when longer than ``LONGEST_SEASON``.
        workers: processes that share the work.
    """
    newest = max(SEASONS * season_length if season_length <= LONGEST_SEASON else 0, MOST_STEPS)
    cut = [np.asarray(history[-newest:], dtype=np.float64) for history in histories]
    shares = [cut[worker::workers] for worker in range(min(workers, len(cut)))]
    quantiles_WFQ = np.full((len(cut), horizon, len(levels)), np.nan)
    with ThreadPoolExecutor(max(len(shares), 1)) as pool:
        answers = pool.map(lambda share: _in_child(share, horizon, season_length, levels), shares)
        for worker, answer in enumerate(answers):
            quantiles_WFQ[worker::workers] = answer
    return quantiles_WFQ


def _in_child(share: list[Floats], horizon: int, season_length: int, levels: list[float]) -> Floats:
    request = io.BytesIO()
    np.savez(
        request,
        flat=np.concatenate(share),
        lengths=np.array([len(history) for history in share]),
        setting=np.array([horizon, season_length]),
        levels=np.array(levels),
    )
    root = str(Path(__file__).resolve().parents[1])
    paths = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    single = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "tasks.scoring.ets"],
        input=request.getvalue(),
        capture_output=True,
        env={**os.environ, **single, PARENT: str(os.getpid()), "PYTHONPATH": paths},
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"AutoETS process ended with {done.returncode}: {done.stderr.decode()[-2000:]}")
    return np.load(io.BytesIO(done.stdout), allow_pickle=False)


def _answer() -> None:
    request = np.load(io.BytesIO(sys.stdin.buffer.read()), allow_pickle=False)
    horizon, season_length = (int(value) for value in request["setting"])
    levels = [float(level) for level in request["levels"]]
    histories = np.split(request["flat"], np.cumsum(request["lengths"])[:-1])
    answer = np.full((len(histories), horizon, len(levels)), np.nan)
    for place, history in enumerate(histories):
        try:
            answer[place] = _forecast_one(_bridged(history), horizon, season_length, levels)
        except Exception as error:
            print(f"history {place}: {error!r}", file=sys.stderr)
    reply = io.BytesIO()
    np.save(reply, answer)
    sys.stdout.buffer.write(reply.getvalue())


def _forecast_one(history: Floats, horizon: int, season_length: int, levels: list[float]) -> Floats:
    import warnings

    from statsforecast.models import AutoETS

    warnings.simplefilter("ignore")
    seasonal = season_length <= LONGEST_SEASON and len(history) >= 2 * season_length
    widths = sorted({round(abs(2 * level - 1) * 100, 6) for level in levels} - {0.0})
    model: Any = AutoETS(season_length=season_length if seasonal else 1)
    found = model.forecast(history, horizon, level=widths or None)
    return np.stack([_quantile(found, level) for level in levels], axis=1)


def _quantile(found: dict[str, Floats], level: float) -> Floats:
    width = round(abs(2 * level - 1) * 100, 6)
    if width == 0.0:
        return found["mean"]
    side = "hi" if level > 0.5 else "lo"
    exact = {name: values for name, values in found.items() if name.startswith(f"{side}-")}
    return next(values for name, values in exact.items() if abs(float(name[3:]) - width) < 1e-6)


def _bridged(history: Floats) -> Floats:
    known = np.flatnonzero(np.isfinite(history))
    if len(known) == 0:
        raise ValueError("no observed value")
    steps = np.arange(known[0], len(history))
    return np.interp(steps, known, history[known])


if __name__ == "__main__":
    die_with_parent()
    _answer()
