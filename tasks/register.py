"""Stage ``register``: a version in the MLflow registry, challenger always, champion through the gate.

The registry is shared and changes, so this stage is idempotent instead of cached: each of its steps looks first whether
it was done, and a run that was cut off goes on from there. A version appears with all its tags at once or not at all.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from importlib.metadata import version as version_of
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from filelock import FileLock
from prefect import task
from pydantic import Field

from tasks import store
from tasks.config import Config
from tasks.environment import environment
from tasks.errors import worth_retrying
from tasks.kinds.metric import parse
from tasks.kinds.registry import kind
from tasks.references import Dataset, Evaluation, Model, ModelVersion, Report, StudyResult
from tasks.registry import (
    CHALLENGER,
    CHAMPION,
    DATA,
    DECISION,
    FINGERPRINT,
    RIVAL,
    STUDY,
    client,
    find_version,
    holder,
    reference,
)
from tasks.reporting.card import model_card
from tasks.reporting.outcome import publish

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion as RegistryVersion

PROMOTED = "promoted: no baseline and no champion is better"
REQUIREMENTS = ("mlflow", "torch", "numpy", "safetensors")
ROOT = Path(__file__).parents[1]


class RegisterConfig(Config):
    """The gate between challenger and champion."""

    promote: Literal["auto", "never"] = Field(
        "auto",
        title="Promote",
        description="auto: the challenger becomes champion if no baseline and no champion is better.",
    )


@task(name="find previous search")
def find_previous(name: str, dataset: Dataset) -> StudyResult | None:
    """Return the search that one on ``dataset`` goes on from, that of the champion, or none if the store lacks it.

    A data set that a version was made from already keeps the search of that day, so that nothing is searched twice.
    """
    known = client().search_model_versions(f"name='{name}' and tags.`{DATA}`='{dataset.fingerprint}'")
    if known:
        own = store.stored("search", known[0].tags.get(STUDY, ""))
        return _study(*own["inputs"][1:2]) if own else None
    champion = holder(name, CHAMPION)
    return _study(champion.tags.get(STUDY, "")) if champion else None


def _study(fingerprint: str = "") -> StudyResult | None:
    found = store.stored("search", fingerprint) if fingerprint else None
    return StudyResult.of(f"search/{fingerprint}", fingerprint, found["facts"]) if found else None


@task(name="find rival")
def find_rival(name: str, model: Model) -> ModelVersion | None:
    """Return the champion that ``model`` is to be measured against, or none.

    A model that is registered already keeps the rival of that day, so that nothing is measured twice.
    """
    known = find_version(name, model.fingerprint)
    if known is None:
        champion = holder(name, CHAMPION)
        return reference(champion) if champion else None
    earlier = known.tags.get(RIVAL)
    return reference(client().get_model_version(name, earlier)) if earlier else None


@task(name="register", task_run_name="register {name}", retries=1, retry_condition_fn=worth_retrying)
def register_model(
    name: str,
    experiment: dict[str, Any],
    model: Model,
    rival: ModelVersion | None,
    evaluation: Evaluation,
    report: Report,
    register: RegisterConfig,
) -> ModelVersion:
    """Register ``model`` as challenger, and as champion if it beats the baselines and ``rival``.

    Args:
        name: the registered model.
        experiment: the pipeline's parameters, kept for a retraining.
        model: what is registered.
        rival: the version that ``evaluation`` measured it against.
        evaluation: of the sealed test part.
        report: logged beside the model.
        register: the gate.
    """
    with FileLock(environment().root / f"register-{name}.lock"):
        version = find_version(name, model.fingerprint)
        if version is None:
            run_id = _finished_run(name, model) or _log_run(name, experiment, model, evaluation, report)
            version = _create_version(name, run_id, model, rival, evaluation)
        if DECISION not in version.tags:
            # MLflow gives a version as an integer in one place and as text in another.
            _decide(name, str(version.version), rival, evaluation, register)
        registered = reference(version)
    publish(registered, store.path(evaluation), store.path(report) / "report.html")
    return registered


def _finished_run(name: str, model: Model) -> str | None:
    """Return the run of ``name`` that logged ``model`` whole, and mark those that were cut off as killed."""
    mlflow_client, found = client(), None
    for run in mlflow_client.search_runs([_experiment_id(name)], f"tags.`{FINGERPRINT}` = '{model.fingerprint}'"):
        if run.info.status == "FINISHED":
            found = run.info.run_id
        elif run.info.status == "RUNNING":
            mlflow_client.set_terminated(run.info.run_id, status="KILLED")
    return found


def _log_run(name: str, experiment: dict[str, Any], model: Model, evaluation: Evaluation, report: Report) -> str:
    """Log parameters, metrics, report, card and the model itself; return the run's id."""
    import mlflow

    client()
    directory, evaluated = store.path(model), store.path(evaluation)
    facts = json.loads((evaluated / "evaluation.json").read_text())
    described = json.loads((directory / "model.json").read_text())
    table = store.manifest(report)["facts"]
    tags = {FINGERPRINT: model.fingerprint, "carousel.experiment": name, "carousel.version": version_of("carousel")}
    with mlflow.start_run(
        experiment_id=_experiment_id(name), tags=tags, run_name=f"{name} {model.fingerprint[:6]}"
    ) as run:
        mlflow.log_params(_parameters(experiment))
        mlflow.log_metrics(_metrics(facts) | _costs(model))
        mlflow.log_artifact(str(store.path(report) / "report.html"))
        written = kind(model.kind).card(described, facts)
        mlflow.log_text(model_card(name, written, facts, table["findings"]), "model_card.md")
        mlflow.log_dict(experiment, "carousel/experiment.json")
        mlflow.log_dict(facts, "carousel/evaluation.json")
        mlflow.log_dict({"findings": table["findings"]}, "carousel/contract.json")
        _log_model(directory, described)
    return run.info.run_id


def _experiment_id(name: str) -> str:
    import mlflow

    known = mlflow.get_experiment_by_name(name)
    if known is not None:
        return known.experiment_id
    return mlflow.create_experiment(name, artifact_location=str(environment().artifacts / name))


def _log_model(directory: Path, described: dict[str, Any]) -> None:
    """Log the bundle as a pyfunc from code: JSON and safetensors, no pickle."""
    import mlflow

    served = kind(described["kind"])
    example, signature = served.signature(described)
    packages = [*REQUIREMENTS, *served.requirements(described)]
    with tempfile.TemporaryDirectory() as scratch:
        # MLflow names an artifact's directory after its source.
        bundle = shutil.copytree(directory, Path(scratch) / "bundle")
        mlflow.pyfunc.log_model(
            name="model",
            python_model=str(served.PYFUNC),
            artifacts={"bundle": str(bundle)},
            code_paths=[str(ROOT / "models")],
            signature=signature,
            input_example=example,
            pip_requirements=[f"{package}=={version_of(package).partition('+')[0]}" for package in packages],
        )


def _create_version(
    name: str, run_id: str, model: Model, rival: ModelVersion | None, evaluation: Evaluation
) -> RegistryVersion:
    """Create the version with all its tags in one step."""
    import mlflow
    from mlflow.exceptions import MlflowException

    mlflow_client = client()
    try:
        mlflow_client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    run = mlflow_client.get_run(run_id)
    experiment = mlflow_client.get_experiment(run.info.experiment_id)
    logged = mlflow_client.search_logged_models([experiment.experiment_id], f"source_run_id = '{run_id}'")[0]
    tags = {
        FINGERPRINT: model.fingerprint,
        **dict(zip((DATA, STUDY), store.manifest(model)["inputs"], strict=False)),
        "carousel.code": version_of("carousel"),
    }
    tags |= {RIVAL: rival.version} if rival else {}
    tags |= {"best_baseline": evaluation.best_baseline} if evaluation.best_baseline else {}
    tags |= {name: f"{value:.6g}" for name, value in run.data.metrics.items() if name.startswith("test_")}
    card = mlflow.artifacts.load_text(f"{run.info.artifact_uri}/model_card.md")
    return mlflow_client.create_model_version(
        name, logged.artifact_location, run_id, tags=tags, description=card, model_id=logged.model_id
    )


def _decide(
    name: str, version: str, rival: ModelVersion | None, evaluation: Evaluation, register: RegisterConfig
) -> None:
    """Give the aliases that the version has earned; the tag is written last, so a cut-off decision is made again."""
    mlflow_client = client()
    mlflow_client.set_registered_model_alias(name, CHALLENGER, version)
    decision = _gate(holder(name, CHAMPION), version, rival, evaluation, register)
    if decision == PROMOTED:
        mlflow_client.set_registered_model_alias(name, CHAMPION, version)
    mlflow_client.set_model_version_tag(name, version, DECISION, decision)


def _gate(
    champion: RegistryVersion | None,
    version: str,
    rival: ModelVersion | None,
    evaluation: Evaluation,
    register: RegisterConfig,
) -> str:
    """Return ``PROMOTED``, or why the version stays a challenger."""
    if register.promote == "never":
        return "register.promote is never"
    if not evaluation.beats_baselines:
        return f"the baseline {evaluation.best_baseline} is better"
    if not evaluation.beats_champion:
        return "the champion is not worse, or could not be compared"
    if champion is not None and str(champion.version) not in (version, rival.version if rival else ""):
        return f"version {champion.version} became champion meanwhile, and was not compared"
    return PROMOTED


def _costs(model: Model) -> dict[str, float]:
    """Return the size of ``model``, and where the seconds of its search and fit went."""
    made = store.manifest(model)
    costs = {"parameters": float(model.parameters), "members": float(model.members)}
    if "seconds" in made:
        costs["fit_seconds"] = float(made["seconds"])
    if searched := store.stored("search", "".join(made["inputs"][1:2])):
        spent = {"": searched["facts"]["seconds"]} | {f"_{name}": s for name, s in searched["facts"]["clock"].items()}
        costs |= {f"search_seconds{account}": float(seconds) for account, seconds in spent.items()}
        costs |= {"trials": float(searched["facts"]["trials"])}
    return costs


def _parameters(experiment: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten the experiment to dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in experiment.items():
        if isinstance(value, dict):
            flat |= _parameters(value, f"{prefix}{key}.")
        elif value not in (None, [], ""):
            flat[f"{prefix}{key}"] = str(value)[:500]
    return flat


def _metrics(evaluation: dict[str, Any]) -> dict[str, float]:
    """Return the model's metrics as ``test_mase`` and so on, everybody else's as ``seasonal_naive_mase``."""
    names = [*(metric.name for metric in parse(evaluation["metrics"])), "seconds"]
    metrics: dict[str, float] = {}
    for row in evaluation["leaderboard"]:
        prefix = "test" if row["kind"] == "lstm" else row["name"].replace(" ", "_")
        metrics |= {f"{prefix}_{name}": float(row[name]) for name in names if row.get(name) is not None}
    return metrics
