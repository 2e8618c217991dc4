"""How a forecaster is asked and answers, whatever environment it runs in: numpy and pandas alone.

A forecaster is a program ``python PEER.py REQUEST.json ANSWER_DIR``. The request is what ``forecast_data`` writes, with
``budget`` (seconds to train in), ``threads`` and ``seed``. The answer:

    quantiles.npy    float64 [W, F, Q]
    facts.json       fit_seconds, predict_seconds, versions, and what else is worth keeping
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

Floats = np.ndarray


class Forecasts(NamedTuple):
    """What a peer returns; ``fit_seconds`` is what it took of the budget."""

    quantiles_WFQ: Floats
    fit_seconds: float
    facts: dict[str, Any]


@dataclass(frozen=True)
class Request:
    """A request, opened: ``asked`` is its JSON, ``history`` the rows of all series in order."""

    asked: dict[str, Any]
    history: pd.DataFrame
    train_end_N: np.ndarray
    items_W: np.ndarray
    ends_W: np.ndarray

    @classmethod
    def read(cls, path: Path) -> Request:
        asked = json.loads(path.read_text())
        arrays = np.load(asked["windows"])
        return cls(asked, pd.read_parquet(asked["history"]), *(arrays[name] for name in ("train_end", "items", "ends")))

    @property
    def known(self) -> list[str]:
        return self.asked["known_numeric"] + self.asked["known_categorical"]

    @property
    def starts_N(self) -> np.ndarray:
        """Return the row at which each series begins."""
        return np.searchsorted(self.history["series"].to_numpy(), np.arange(len(self.train_end_N)))

    def training(self) -> pd.DataFrame:
        """Return the rows that may be learned from."""
        end_S = self.train_end_N[self.history["series"].to_numpy()]
        return self.history[self.history["step"].to_numpy() < end_S]

    def one_hot(self) -> Request:
        """Return the request with each category a numeric column of its own."""
        columns = self.asked["known_categorical"]
        if not columns:
            return self
        coded = pd.get_dummies(self.history[columns], dtype=float)
        history = pd.concat([self.history.drop(columns=columns), coded], axis=1)
        numeric = self.asked["known_numeric"] + list(coded.columns)
        asked = {**self.asked, "known_numeric": numeric, "known_categorical": []}
        return Request(asked, history, self.train_end_N, self.items_W, self.ends_W)

    def histories(self) -> list[Floats]:
        """Return what each window may look at: its series before its end."""
        target, starts_W = self.history["target"].to_numpy(), self.starts_N[self.items_W]
        return [target[start : start + end] for start, end in zip(starts_W, self.ends_W, strict=True)]

    def before(self, newest: int) -> pd.DataFrame:
        """Return the ``newest`` rows before the end of each window, with the column ``window`` [0, W)."""
        lengths_W = np.minimum(self.ends_W, newest)
        return self._rows(self.ends_W - lengths_W, lengths_W)

    def horizons(self) -> pd.DataFrame:
        """Return the rows that each window predicts, likewise, without the target."""
        lengths_W = np.full(len(self.ends_W), self.asked["horizon"])
        return self._rows(self.ends_W, lengths_W).drop(columns="target")

    def _rows(self, first_W: np.ndarray, lengths_W: np.ndarray) -> pd.DataFrame:
        within = np.arange(lengths_W.sum()) - np.repeat(np.cumsum(lengths_W) - lengths_W, lengths_W)
        rows = np.repeat(self.starts_N[self.items_W] + first_W, lengths_W) + within
        frame = self.history.iloc[rows].reset_index(drop=True)
        return frame.assign(window=np.repeat(np.arange(len(lengths_W)), lengths_W))


def versions(*packages: str) -> dict[str, str]:
    return {package: importlib.metadata.version(package) for package in packages}


def serve(forecast: Callable[[Request], Forecasts], packages: tuple[str, ...]) -> None:
    """Answer the request that the command line names with ``forecast``; ``packages`` are those to name versions of."""
    parser = argparse.ArgumentParser()
    parser.add_argument("request", type=Path)
    parser.add_argument("answer", type=Path)
    arguments = parser.parse_args()
    request = Request.read(arguments.request)
    began = time.perf_counter()
    found = forecast(request)
    rest = time.perf_counter() - began - found.fit_seconds
    shape = (len(request.items_W), request.asked["horizon"], len(request.asked["quantiles"]))
    assert found.quantiles_WFQ.shape == shape, f"{found.quantiles_WFQ.shape} instead of {shape}"
    np.save(arguments.answer / "quantiles.npy", np.sort(found.quantiles_WFQ, axis=2))
    seconds = {"fit_seconds": found.fit_seconds, "predict_seconds": rest}
    facts = {**seconds, **found.facts, "versions": versions(*packages)}
    (arguments.answer / "facts.json").write_text(json.dumps(facts, indent=2))
