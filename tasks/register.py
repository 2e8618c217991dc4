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
from typing import TYPE_CHECKING, Any

from filelock import FileLock
from prefect import task

from tasks import aliases, store
from tasks.environment import environment
from tasks.errors import worth_retrying
from tasks.kinds.registry import kind
from tasks.references import Dataset, Decision, Evaluation, Model, ModelVersion, Profile, Report, StudyResult
from tasks.registry import (
    APPROVAL,
    CHALLENGER,
    CHAMPION,
    DATA,
    DECISION,
    EFFECT,
    FINGERPRINT,
    GATE,
    P_VALUE,
    PASSED,
    REFUSED,
    RIVAL,
    STUDY,
    WAITS,
    check_name,
    client,
    find_version,
    holder,
    reference,
)
from tasks.reporting.card import model_card
from tasks.reporting.failure import explain_stage
from tasks.reporting.figures import costs, metrics, parameters
from tasks.reporting.outcome import publish

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion as RegistryVersion

REQUIREMENTS = ("mlflow", "torch", "numpy", "safetensors")
ROOT = Path(__file__).parents[1]
BY = "the gate"


@task(name="find previous search", on_failure=[explain_stage])
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


@task(name="find rival", on_failure=[explain_stage])
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


@task(
    name="register",
    task_run_name="register {name}",
    retries=1,
    retry_condition_fn=worth_retrying,
    on_failure=[explain_stage],
)
def register_model(
    name: str,
    experiment: dict[str, Any],
    model: Model,
    rival: ModelVersion | None,
    evaluation: Evaluation,
    decision: Decision,
    report: Report,
    profile: Profile,
) -> ModelVersion:
    """Register ``model`` as challenger, and as champion if ``decision`` promotes it and ``rival`` still is champion.

    Args:
        name: the registered model.
        experiment: the pipeline's parameters, kept for a retraining.
        model: what is registered.
        rival: the version that ``evaluation`` measured it against.
        evaluation: of the sealed test part.
        decision: of the gate.
        report: logged beside the model.
        profile: likewise: what a monitor has to know.

    Raises:
        InputError: it is no name that a model may have.
    """
    from tasks.reporting.trials import log_search

    check_name(name)
    with FileLock(environment().root / f"register-{name}.lock"):
        version = find_version(name, model.fingerprint)
        if version is None:
            run_id = _finished_run(name, model) or _log_run(name, experiment, model, evaluation, report, profile)
            version = _create_version(name, run_id, model, rival, evaluation)
        if DECISION not in version.tags:
            # MLflow gives a version as an integer in one place and as text in another.
            _decide(version, rival, decision)
            version = client().get_model_version(name, version.version)
        registered = reference(version)
        log_search(registered.run_id, model)
    publish(registered, store.path(evaluation), store.path(decision), store.path(report) / "report.html")
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


def _log_run(
    name: str, experiment: dict[str, Any], model: Model, evaluation: Evaluation, report: Report, profile: Profile
) -> str:
    """Log parameters, metrics, report, card, profile and the model itself; return the run's id."""
    import mlflow

    from tasks.reporting.lineage import training_data

    client()
    directory, evaluated = store.path(model), store.path(evaluation)
    facts = json.loads((evaluated / "evaluation.json").read_text())
    described = json.loads((directory / "model.json").read_text())
    table = store.manifest(report)["facts"]
    tags = {FINGERPRINT: model.fingerprint, "carousel.experiment": name, "carousel.version": version_of("carousel")}
    with mlflow.start_run(
        experiment_id=_experiment_id(name), tags=tags, run_name=f"{name} {model.fingerprint[:6]}"
    ) as run:
        mlflow.log_params(parameters(experiment))
        mlflow.log_metrics(metrics(facts) | costs(model))
        mlflow.log_artifact(str(store.path(report) / "report.html"))
        served = kind(model.kind)
        schema = served.signature(described)[1].inputs
        card = model_card(name, served.card(described, facts), facts, table["findings"], schema)
        mlflow.log_text(card, "model_card.md")
        client().log_inputs(run.info.run_id, [training_data(model, experiment["data"]["source"], schema)])
        mlflow.log_dict(experiment, "carousel/experiment.json")
        mlflow.log_dict(facts, "carousel/evaluation.json")
        mlflow.log_dict({"findings": table["findings"]}, "carousel/contract.json")
        mlflow.log_artifacts(str(store.path(profile)), "carousel/profile")
        _log_model(directory, described)
    return run.info.run_id


def _experiment_id(name: str) -> str:
    import mlflow

    known = mlflow.get_experiment_by_name(name)
    if known is not None:
        return known.experiment_id
    env = environment()
    # A server knows best where artifacts lie: a team's keeps them where all of its machines reach them.
    served = env.tracking_uri.startswith(("http://", "https://"))
    return mlflow.create_experiment(name, artifact_location=None if served else str(env.artifacts / name))


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


def _decide(version: RegistryVersion, rival: ModelVersion | None, decision: Decision) -> None:
    """Give the aliases that ``version`` has earned, and store the evidence at it.

    The tag of the outcome is written last, so that a decision that was cut off is made again.
    """
    name, number = version.name, str(version.version)
    aliases.give(name, CHALLENGER, number, BY, "registered")
    evidence = json.loads((store.path(decision) / "decision.json").read_text(encoding="utf-8"))
    asks = decision.passed and evidence["limits"]["promote"] == "approve"
    outcome = f"{'promoted' if decision.promotes else 'not promoted'}: {decision.reason}"
    if asks:
        outcome = aliases.waiting(name, number, decision.reason)
    elif decision.promotes:
        expected = rival.version if rival else None
        if not aliases.replace_champion(name, number, expected, BY, decision.reason):
            outcome = aliases.overtaken(name)
    tags = {GATE: PASSED if decision.passed else REFUSED, **({APPROVAL: WAITS} if asks else {})}
    if against := evidence["against"]:
        told = {P_VALUE: against["p_value"], EFFECT: against["effect"]}
        tags |= {tag: f"{value:.4g}" for tag, value in told.items() if value is not None}
    mlflow_client = client()
    mlflow_client.log_dict(version.run_id or "", {"outcome": outcome, **evidence}, "carousel/decision.json")
    for tag, value in (tags | {DECISION: outcome}).items():
        mlflow_client.set_model_version_tag(name, number, tag, value)
