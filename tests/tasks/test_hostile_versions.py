"""A version that somebody put a pickle into is refused wherever Carousel loads one, and nothing of it runs."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import polars as pl
import pytest
from mlflow import MlflowClient
from mlflow.pyfunc.model import PythonModel
from registered import register_untrained, untrained

from models.problem import Forecast
from tasks import registry, store
from tasks.environment import environment, quiet
from tasks.errors import InputError
from tasks.evaluate import EvaluateConfig, evaluate_model
from tasks.ingest import SeriesData, ingest_table
from tasks.predict import predict_table
from tasks.prepare import SplitConfig, prepare_dataset
from tasks.references import ModelVersion
from tasks.trial_files import TrialFiles

NAME, HORIZON = "sales", 3
ROLES: dict[str, Any] = {"timestamp": "step", "target": "sold"}


class Hostile(PythonModel):
    """Opens a file for writing as soon as it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (str(self.trace), "w")


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """The file that is there if a pickle was loaded."""
    path = tmp_path / "loaded"
    pickle.loads(pickle.dumps(Hostile(path))).close()
    path.unlink()
    return path


@pytest.fixture
def source(tmp_path: Path) -> Path:
    rows = pl.DataFrame({"step": range(60), "sold": [float(step % 7) for step in range(60)]})
    rows.write_parquet(tmp_path / "sales.parquet")
    return tmp_path / "sales.parquet"


@pytest.fixture
def version(home: Path, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelVersion:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    quiet(environment())
    return register_untrained(NAME, pl.read_parquet(source), tmp_path, HORIZON, **ROLES)


def bundle_of(version: ModelVersion) -> Path:
    """Return where the registry keeps the bundle."""
    kept = MlflowClient().get_model_version_download_uri(version.name, version.version)
    return Path(kept.removeprefix("file://")) / "artifacts" / "bundle"


def pickled(path: Path, trace: Path) -> None:
    path.write_bytes(pickle.dumps(Hostile(trace)))


def pickled_array(path: Path, trace: Path) -> None:
    np.save(path, np.array([Hostile(trace)], dtype=object), allow_pickle=True)


@pytest.mark.parametrize(
    ("file", "write"),
    [
        ("model.json", pickled),
        ("member-0.safetensors", pickled),
        ("trained.npy", pickled),
        ("trained.npy", pickled_array),
    ],
)
def test_a_pickle_in_the_place_of_a_file_is_not_loaded(
    version: ModelVersion, source: Path, trace: Path, file: str, write: Any
) -> None:
    write(bundle_of(version) / file, trace)
    table = ingest_table.fn(SeriesData(source=str(source), **ROLES))
    for load in (lambda: registry.load_bundle(version), lambda: predict_table.fn(version, table)):
        with pytest.raises(InputError, match=r"JSON and tensors that Carousel wrote \(got sales version 1: "):
            load()
    dataset = prepare_dataset.fn(table, Forecast(horizon=HORIZON), SplitConfig())
    compared = evaluate_model.fn(untrained(dataset, 1), dataset, version, EvaluateConfig(baselines=["last_value"]))
    assert not compared.beats_champion
    assert "not comparable" in json.loads((store.path(compared) / "evaluation.json").read_text())["verdict"][-1]
    assert not trace.exists()


def test_a_version_that_is_a_pickle_is_loaded_neither_by_carousel_nor_by_mlflow_beside_it(
    version: ModelVersion, source: Path, trace: Path
) -> None:
    with mlflow.start_run():
        logged = mlflow.pyfunc.log_model(name="model", python_model=Hostile(trace), pip_requirements=["mlflow"])
    trace.unlink(missing_ok=True)
    made = MlflowClient().create_model_version(NAME, logged.model_uri)
    hostile = ModelVersion(NAME, str(made.version), "0" * 16, logged.run_id, champion=False)
    table = ingest_table.fn(SeriesData(source=str(source), **ROLES))
    for load in (lambda: registry.load_bundle(hostile), lambda: predict_table.fn(hostile, table)):
        with pytest.raises(InputError, match="must have been registered by Carousel"):
            load()
    with pytest.raises(mlflow.MlflowException, match="pickle is disallowed"):
        mlflow.pyfunc.load_model(f"models:/{NAME}/{made.version}")
    assert not trace.exists()


def test_a_pickle_in_the_place_of_a_trials_state_is_not_loaded(tmp_path: Path, trace: Path) -> None:
    pickled(tmp_path / "trial-0.state", trace)
    with pytest.raises(pickle.UnpicklingError):
        TrialFiles(tmp_path).read_state(0)
    assert not trace.exists()
