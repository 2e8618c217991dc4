"""The MLflow registry as stages use it: names, aliases, tags, and a version's files on this machine."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from tasks.addresses import SECRET
from tasks.environment import environment
from tasks.errors import InputError
from tasks.references import ModelVersion

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion as RegistryVersion
    from mlflow.entities.model_registry import RegisteredModel

    from models.bundle import Bundle

CHAMPION, CHALLENGER = "champion", "challenger"
FINGERPRINT, DATA, STUDY = "carousel.model", "carousel.data", "carousel.study"
"""Tags of a version: fingerprints of the model, of its data set and of its search."""
RIVAL, GATE, DECISION = "carousel.rival", "carousel.gate", "carousel.decision"
"""Tags of a version: the version that it was measured against, whether it passed the gate, and what came of it."""
PASSED, REFUSED = "passed", "refused"
APPROVAL, WAITS, GIVEN = "carousel.approval", "waits", "given"
"""Tag of a version that passed the gate where somebody is asked: it waits, or approval was given or refused."""
P_VALUE, EFFECT = "carousel.p_value", "carousel.effect"
"""Tags of a version: of the paired test against its rival; -0.1 is an error of 10 % less."""

LONGEST_NAME = 200
"""Bytes: a file's name may have 255."""

_opened: set[str] = set()


def client() -> MlflowClient:
    """Return a client of the tracking server or, without one, of the local store.

    Raises:
        InputError: the server's address holds a password: MLflow prints it, and links lead there.
    """
    import mlflow

    env = environment()
    if env.tracking_uri.startswith("http") and re.search(SECRET, env.tracking_uri):
        raise InputError(
            "MLFLOW_TRACKING_URI must not hold a password or token",
            "one that is not shown",
            "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD instead",
        )
    env.root.mkdir(parents=True, exist_ok=True)
    mlflow.set_tracking_uri(env.tracking_uri)
    if env.tracking_uri not in _opened:
        # Two first openings of one database would both create its tables.
        with FileLock(env.root / "mlflow.lock"):
            mlflow.MlflowClient().search_registered_models(max_results=1)
        _opened.add(env.tracking_uri)
    return mlflow.MlflowClient()


def check_name(name: str) -> None:
    """Check the name of a registered model, which also names a directory, a lock and a part of URLs.

    Raises:
        InputError: it is empty, too long for a file's name, begins with a dot, or has characters that mean something
            there.
    """
    size = len(name.encode(errors="replace"))
    rules = {
        "name must be text without control characters": name.isprintable() and bool(name.strip()),
        "name must not begin with a dot": not name.startswith("."),
        "name must be text without / \\ : @ % and quotes": not set(name) & set("/\\:@%'\""),
        f"name must have at most {LONGEST_NAME} characters, or bytes of UTF-8": size <= LONGEST_NAME,
    }
    for rule, holds in rules.items():
        if not holds:
            shown = repr(name) if size <= LONGEST_NAME else f"{name[:20]!r}... of {size}"
            raise InputError(rule, shown, "choose another name, such as one of letters, digits, - and _")


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


def exists(name: str, version: str) -> bool:
    """Say whether ``name`` has ``version``, which may have been deleted."""
    from mlflow.exceptions import MlflowException

    try:
        client().get_model_version(name, version)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return False
        raise
    return True


def registered_model(name: str) -> RegisteredModel:
    """Return MLflow's entry for ``name``, with its tags and aliases.

    Raises:
        InputError: no such model is registered.
    """
    from mlflow.exceptions import MlflowException

    try:
        return client().get_registered_model(name)
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        raise InputError("a model must be registered", repr(name), f"choose one of: {_known()}") from None


def decision(version: ModelVersion) -> str:
    """Return what came of ``version`` at the gate, and why, in a sentence without a full stop."""
    return client().get_model_version(version.name, version.version).tags.get(DECISION, "it never came to the gate")


def _known() -> str:
    names = [registered.name for registered in client().search_registered_models()]
    return ", ".join(names) or "none is registered yet: run an experiment first"


def reference(version: RegistryVersion) -> ModelVersion:
    """Return ``version`` as what crosses stage boundaries."""
    champion = holder(version.name, CHAMPION)
    return ModelVersion(
        name=version.name,
        version=str(version.version),
        fingerprint=version.tags.get(FINGERPRINT, ""),
        run_id=version.run_id or "",
        champion=champion is not None and str(champion.version) == str(version.version),
        waits=version.tags.get(APPROVAL) == WAITS,
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
        rule = "a model is NAME (its champion), NAME@alias or NAME/version"
        raise InputError(rule, repr(model), f"choose one of: {_known()}") from None


def load_bundle(version: ModelVersion) -> Bundle:
    """Load the weights of ``version``: JSON and tensors, of which nothing runs.

    Raises:
        InputError: the version was not registered by Carousel, or its files are not what Carousel wrote.
    """
    from safetensors import SafetensorError

    from models import bundle

    directory = _download(version, f"models:/{version.name}/{version.version}", "artifacts/bundle")
    try:
        return bundle.load(directory)
    except (SafetensorError, ValueError, LookupError, TypeError) as error:
        raise InputError(
            "a version must hold JSON and tensors that Carousel wrote",
            f"{version.name} version {version.version}: {error}",
            "choose another version, or register the model again",
        ) from error


def files(version: ModelVersion) -> Path:
    """Return a directory of this machine with ``experiment.json``, ``evaluation.json`` and ``contract.json``.

    Raises:
        InputError: the version was not registered by Carousel.
    """
    return _download(version, f"runs:/{version.run_id}/carousel", "")


def profile(version: ModelVersion) -> Path:
    """Return a directory of this machine with what stage ``profile`` wrote for ``version``.

    Raises:
        InputError: it was registered by a Carousel that did not write one.
    """
    found = files(version) / "profile"
    if not found.is_dir():
        raise InputError(
            "a version that is monitored must know the data that it was made from",
            f"{version.name} version {version.version}, registered without a profile",
            f"retrain it on newer data: the deployment retrain with model {version.name}",
        )
    return found


def load_experiment(model: str) -> dict[str, Any]:
    """Return the parameters of the flow ``pipeline`` that made ``model``, as JSON values."""
    return json.loads((files(resolve(model)) / "experiment.json").read_text())


def to_retrain(model: str) -> str:
    """Return ``model``, but its newest version where it is a NAME without a champion."""
    if set(model) & set("/@") or holder(model, CHAMPION) is not None:
        return model
    return f"{model}@{CHALLENGER}"


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
