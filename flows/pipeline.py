"""The whole mission: a table in, a proven model in the registry out."""

from prefect import flow

from tasks.evaluate import EvaluateConfig, evaluate_model
from tasks.experiment import check_sections, described, model_name
from tasks.fit import FitConfig, fit_model
from tasks.gate import GateConfig, judge_model
from tasks.ingest import Data, ingest_table
from tasks.kinds.registry import Problem
from tasks.prepare import SplitConfig, prepare_dataset
from tasks.profile import profile_table
from tasks.promote import ask, can_ask, settle_version
from tasks.references import ModelVersion
from tasks.register import find_previous, find_rival, register_model
from tasks.report import write_report
from tasks.reporting.failure import explain_flow
from tasks.reporting.shown import echo
from tasks.search import search_models
from tasks.search_config import SearchConfig


@flow(name="pipeline", on_failure=[explain_flow])
def pipeline(
    data: Data,
    problem: Problem,
    name: str | None = None,
    split: SplitConfig = SplitConfig(),
    search: SearchConfig = SearchConfig(),
    fit: FitConfig = FitConfig(),
    evaluate: EvaluateConfig = EvaluateConfig(),
    register: GateConfig = GateConfig(),
) -> ModelVersion:
    """Ingest, search, fit, prove and register a model.

    Args:
        data: the source and the role of each of its columns.
        problem: what is to be predicted.
        name: the registered model; none: made from the problem and the target.
        split: how much is held back for validation and for the sealed test.
        search: the budget of the search.
        fit: how the final model is trained.
        evaluate: what the model is measured against.
        register: the gate between challenger and champion.
    """
    check_sections(data, problem, split, search, evaluate)
    name = model_name(name, problem, data)
    experiment = described(locals())
    echo(experiment)
    table = ingest_table(data)
    dataset = prepare_dataset(table, problem, split)
    previous = find_previous(name, dataset)
    study = search_models(dataset, search, previous)
    model = fit_model(dataset, study, fit)
    rival = find_rival(name, model)
    evaluation = evaluate_model(model, dataset, rival, evaluate)
    decision = judge_model(model, evaluation, register)
    report = write_report(table, dataset, study, model, evaluation, decision)
    profile = profile_table(table, dataset, evaluation)
    version = register_model(name, experiment, model, rival, evaluation, decision, report, profile)
    if version.waits and can_ask():
        return settle_version(version, ask(version, evaluation, decision, report))
    return version
