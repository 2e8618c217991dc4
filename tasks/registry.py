"""The MLflow registry as stages use it: names, aliases, tags, and a version's files on this machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from tasks.environment import environment
from tasks.errors import InputError
from tasks.references import ModelVersion

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion as RegistryVersion

    from models.bundle import Bundle

CHAMPION, CHALLENGER = "champion", "challenger"
FINGERPRINT, DATA, STUDY = "carousel.model", "carousel.data", "carousel.study"
"""Tags of a version: fingerprints of the model, of its data set and of its search."""
RIVAL, DECISION = "carousel.rival", "carousel.decision"
"""Tags of a version: the version that it was measured against, and what the gate decided."""

_opened: set[str] = set()


def client() -> MlflowClient:
    """Return a client of the tracking server or, without one, of the local store."""
    import mlflow

    env = environment()
    env.root.mkdir(parents=True, exist_ok=True)
    mlflow.set_tracking_uri(env.tracking_uri)
    if env.tracking_uri not in _opened:
        # Two first openings of one database would both create its tables.
        with FileLock(env.root / "mlflow.lock"):
            mlflow.MlflowClient().search_registered_models(max_results=1)
        _opened.add(env.tracking_uri)
    return mlflow.MlflowClient()


def find_version(name: str, fingerprint: str) -> RegistryVersion | None:
    """Return the version of ``name`` that holds the model of ``fingerprint``, if it is registered."""
    found = client().search_model_versions(f"name='{name}' and tags.`{FINGERPRINT}`='{fingerprint}'")
    return found[0] if found else None


def holder(name: str, alias: str) -> RegistryVersion | None:
    """Return the version of ``name`` that has ``alias``, if there is one."""
    from mlflow.exceptions import MlflowException

    try:
        return client().get_model_version_by_alias(name, alias)
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise


def reference(version: RegistryVersion) -> ModelVersion:
    """Return ``version`` as what crosses stage boundaries."""
    champion = holder(version.name, CHAMPION)
    return ModelVersion(
        name=version.name,
        version=str(version.version),
        fingerprint=version.tags.get(FINGERPRINT, ""),
        run_id=version.run_id or "",
        champion=champion is not None and str(champion.version) == str(version.version),
    )


def resolve(model: str) -> ModelVersion:
    """Find a version by ``NAME`` (its champion), ``NAME@alias`` or ``NAME/version``.

    Raises:
        InputError: there is no such version.
    """
    from mlflow.exceptions import MlflowException

    name, _, number = model.partition("/")
    name, _, alias = name.partition("@")
    try:
        if number:
            return reference(client().get_model_version(name, number))
        return reference(client().get_model_version_by_alias(name, alias or CHAMPION))
    except MlflowException:
        known = [registered.name for registered in client().search_registered_models()]
        raise InputError(
            "a model is NAME (its champion), NAME@alias or NAME/version",
            repr(model),
            f"choose one of: {', '.join(known) or 'none is registered yet: run an experiment first'}",
        ) from None


def load_bundle(version: ModelVersion) -> Bundle:
    """Load the weights of ``version``.

    Raises:
        InputError: the version was not registered by Carousel.
    """
    from models import bundle

    return bundle.load(_download(version, f"models:/{version.name}/{version.version}", "artifacts/bundle"))


def files(version: ModelVersion) -> Path:
    """Return a directory of this machine with ``experiment.json``, ``evaluation.json`` and ``contract.json``.

    Raises:
        InputError: the version was not registered by Carousel.
    """
    return _download(version, f"runs:/{version.run_id}/carousel", "")


def load_experiment(model: str) -> dict[str, Any]:
    """Return the parameters of the flow ``pipeline`` that made ``model``, as JSON values."""
    return json.loads((files(resolve(model)) / "experiment.json").read_text())


def _download(version: ModelVersion, uri: str, path: str) -> Path:
    """Return ``path`` below the artifacts at ``uri`` as a file or directory of this machine."""
    import mlflow
    from mlflow.exceptions import MlflowException

    client()
    try:
        found = Path(mlflow.artifacts.download_artifacts(artifact_uri=uri)) / path
    except (MlflowException, OSError) as error:
        found, reason = None, str(error)
    else:
        reason = f"no {path}"
    if found is None or not found.exists():
        raise InputError(
            "a version must have been registered by Carousel",
            f"{version.name} version {version.version}: {reason}",
            "choose a version that 'carousel leaderboard' shows",
        )
    return found
