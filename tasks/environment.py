"""Where Carousel runs: set by environment variables, never part of a Config or of a fingerprint.

Every variable begins with ``CAROUSEL_``; ``MLFLOW_TRACKING_URI`` and ``PREFECT_API_URL`` keep the meaning that
MLflow and Prefect give them.
"""

from __future__ import annotations

import os
import warnings
from functools import cached_property
from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

HEARTBEAT = 30
"""Seconds between the signs of life that a flow run sends to Prefect, which takes no less."""


class Environment(BaseSettings):
    """The places and the hardware of this process, read once from the environment.

    ``home`` holds all state of a local run; the other places default to lie below it.
    """

    model_config = SettingsConfigDict(env_prefix="CAROUSEL_", frozen=True, extra="ignore")

    home: Path = Path("mlruns")
    shared_store: str = Field("", validation_alias="CAROUSEL_STORE", description="an fsspec URL: where machines share")
    study_storage: str = ""
    engine: Literal["local", "pool", "ray"] = Field("local", description="where the workers of a search run")
    workers: int = Field(default_factory=lambda: len(os.sched_getaffinity(0)), ge=1)
    devices: int = Field(1, ge=1, description="processes that share one training (DDP): GPUs, or CPU processes")
    trial_devices: int = Field(1, ge=1, description="processes that share one trial: GPUs, or CPU processes")
    device_shares: int = Field(1, ge=1, description="processes of a search that share one GPU")
    patience: float = Field(30.0, gt=0, description="seconds without a sign of life after which a training hangs")
    verbose: bool = False

    @cached_property
    def root(self) -> Path:
        return self.home.expanduser().resolve()

    @cached_property
    def store(self) -> Path:
        return self.root / "stages"

    @cached_property
    def work(self) -> Path:
        return self.root / "work"

    @cached_property
    def artifacts(self) -> Path:
        return self.root / "artifacts"

    @cached_property
    def tracking_uri(self) -> str:
        return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{self.root / 'mlflow.db'}"

    @cached_property
    def studies_uri(self) -> str:
        return self.study_storage or f"sqlite:///{self.root / 'optuna.db'}"

    @cached_property
    def prefect_home(self) -> Path:
        return self.root / "prefect"


def environment() -> Environment:
    """Read the environment anew: a test or a child process may have changed it."""
    return Environment()


def quiet(env: Environment) -> None:
    """Set what the five libraries read: no telemetry, no pickles, signs of life, and logs only on ``--verbose``.

    Must run before prefect, mlflow or optuna is imported; a variable that the user has set is kept.
    """
    defaults = {
        "DO_NOT_TRACK": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "RAY_USAGE_STATS_ENABLED": "0",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        # A run that is silent for longer than two beats counts as crashed (carousel.automations).
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(HEARTBEAT),
        # In memory, the default, a server that is killed forgets who holds a turn, and the turn is never free again.
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
        "PREFECT_HOME": str(env.prefect_home),
        "PREFECT_LOGGING_LEVEL": "INFO" if env.verbose else "ERROR",
        "PREFECT_SERVER_LOGGING_LEVEL": "INFO" if env.verbose else "CRITICAL",
        "MLFLOW_LOGGING_LEVEL": "INFO" if env.verbose else "ERROR",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "true" if env.verbose else "false",
        "CAROUSEL_HOME": str(env.root),
    }
    for name, value in defaults.items():
        os.environ.setdefault(name, value)
    # A section of an experiment is called so, and nobody calls the method that pydantic's classes have of that name.
    warnings.filterwarnings("ignore", 'Field name "register" .* shadows', UserWarning)
