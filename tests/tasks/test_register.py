"""Register: against a real MLflow registry, from a real search and fit, however often it is cut off."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import polars as pl
import pytest
from mlflow import MlflowClient
from registered import HORIZON, STEPS, Stages, config_of, run_stages, sales, untrained

from models import bundle
from models.problem import Forecast
from tasks import aliases as aliases_log
from tasks import registry, store
from tasks.environment import environment
from tasks.errors import InputError
from tasks.gate import GateConfig, judge_model
from tasks.ingest import ingest_table
from tasks.kinds.forecast import evaluate
from tasks.leaderboard import leaderboard, verdict
from tasks.predict import predict_table
from tasks.prepare import SplitConfig, prepare_dataset
from tasks.promote import Approval, settle_version
from tasks.references import ModelVersion
from tasks.register import find_previous, find_rival
from tasks.registry import APPROVAL, CHALLENGER, CHAMPION, DATA, DECISION, EFFECT, FINGERPRINT, GATE, P_VALUE, RIVAL
from tasks.reporting.outcome import outcome

ROOT = Path(__file__).parents[2]
NAME = "sales"
FIRST = "promoted: no baseline is better, and there was no champion"
QUANTILES = [f"q{level / 10:g}" for level in range(1, 10)]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("register")


@pytest.fixture(scope="module")
def made(place: Path) -> Iterator[tuple[Stages, ModelVersion]]:
    """The stages up to a registered champion, once for all tests."""
    with pytest.MonkeyPatch.context() as patch:
        settle(place, patch)
        stages = run_stages(place)
        yield stages, stages.register(NAME, find_rival.fn(NAME, stages.model))


def settle(place: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setenv("CAROUSEL_HOME", str(place / "home"))
    patch.setenv("CAROUSEL_WORKERS", "2")
    patch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture
def stages(made: tuple[Stages, ModelVersion], place: Path, monkeypatch: pytest.MonkeyPatch) -> Stages:
    settle(place, monkeypatch)
    return made[0]


@pytest.fixture
def version(made: tuple[Stages, ModelVersion], stages: Stages) -> ModelVersion:
    return made[1]


@pytest.fixture
def client(version: ModelVersion) -> MlflowClient:
    return registry.client()


def cut(rows: pl.DataFrame) -> pl.DataFrame:
    """Empty the target and what is known of the past alone in each item's last five days."""
    late = pl.int_range(pl.len()).over("shop", "ware") >= STEPS - HORIZON
    return rows.with_columns(pl.when(~late).then(name).alias(name) for name in ("sold", "wind"))


def table_for(rows: pl.DataFrame) -> pd.DataFrame:
    return rows.with_columns(pl.col("ware").cast(pl.String)).to_pandas()


def aliases(client: MlflowClient, name: str) -> dict[str, str]:
    return {alias: str(number) for alias, number in client.get_registered_model(name).aliases.items()}


def test_the_first_model_that_no_baseline_beats_is_challenger_and_champion(
    stages: Stages, version: ModelVersion, client: MlflowClient
) -> None:
    assert stages.evaluation.beats_baselines
    assert (version.name, version.version, version.champion) == (NAME, "1", True)
    assert version.fingerprint == stages.model.fingerprint
    assert aliases(client, NAME) == {CHALLENGER: "1", CHAMPION: "1"}


def test_the_version_has_the_tags_that_say_what_it_was_made_of(
    stages: Stages, version: ModelVersion, client: MlflowClient
) -> None:
    tags = client.get_model_version(NAME, "1").tags
    assert tags[FINGERPRINT] == stages.model.fingerprint
    assert tags[DATA] == stages.dataset.fingerprint
    assert (tags[GATE], tags[DECISION]) == ("passed", FIRST)
    assert tags["best_baseline"] == "last_value"
    assert tags["carousel.code"] == "0.1.0"
    assert RIVAL not in tags
    board = json.loads((store.path(stages.evaluation) / "evaluation.json").read_text())["leaderboard"]
    mine = next(row for row in board if row["name"] == "lstm")
    for metric in ("mase", "wql", "smape", "coverage_80"):
        assert float(tags[f"test_{metric}"]) == pytest.approx(mine[metric], rel=1e-5)


def test_the_run_has_metrics_parameters_report_card_and_experiment(
    stages: Stages, version: ModelVersion, client: MlflowClient
) -> None:
    run = client.get_run(version.run_id)
    assert (run.info.status, run.data.tags["carousel.experiment"]) == ("FINISHED", NAME)
    assert {"test_mase", "last_value_mase", "parameters", "members", "members_refitted"} <= set(run.data.metrics)
    assert run.data.metrics["members"] == stages.model.members
    assert run.data.metrics["trials"] == 2
    assert run.data.metrics["search_seconds"] > run.data.metrics["search_seconds_training"] / 2 > 0
    assert run.data.params["data.target"] == "['sold']"
    assert {entry.path for entry in client.list_artifacts(version.run_id)} == {
        "report.html", "model_card.md", "carousel",
    }  # fmt: skip
    contract = json.loads((registry.files(version) / "contract.json").read_text())
    assert {"findings"} == set(contract)
    assert registry.load_experiment(NAME)["problem"] == {"horizon": HORIZON}


def test_the_run_has_its_data_as_input_and_the_trials_as_children(
    stages: Stages, version: ModelVersion, client: MlflowClient
) -> None:
    run = client.get_run(version.run_id)
    (used,) = run.inputs.dataset_inputs
    assert (used.dataset.name, used.dataset.digest) == ("sales.parquet", stages.dataset.fingerprint)
    assert json.loads(used.dataset.profile) == {"rows": 6 * STEPS, "items": 6}
    assert [(tag.key, tag.value) for tag in used.tags] == [("mlflow.data.context", "training")]
    trials = client.search_runs([run.info.experiment_id], f"tags.mlflow.parentRunId = '{run.info.run_id}'")
    assert sorted(trial.data.tags["carousel.trial"] for trial in trials) == ["0", "1"]
    assert {trial.info.status for trial in trials} == {"FINISHED"}
    assert all("best_mase" in trial.data.metrics and trial.data.params for trial in trials)


def test_the_card_is_the_description_of_the_version(version: ModelVersion, client: MlflowClient) -> None:
    card = client.get_model_version(NAME, "1").description
    assert card is not None
    assert card.startswith(f"# {NAME}\n")
    assert "`shop`, `ware`, `day`, `sold`, `wind`, `price`, `holiday`, `region`" in card


def test_the_signature_names_every_column_and_accepts_the_example(version: ModelVersion) -> None:
    model = mlflow.pyfunc.load_model(f"models:/{NAME}@champion")
    signature = model.metadata.signature
    assert {column.name: column.type.name for column in signature.inputs} == {
        "shop": "string", "ware": "string", "day": "datetime", "sold": "double", "wind": "double", "price": "double",
        "holiday": "string", "region": "string",
    }  # fmt: skip
    example = model.input_example
    assert list(example.columns) == [column.name for column in signature.inputs]
    forecast = model.predict(example)
    assert list(forecast.columns) == [column.name for column in signature.outputs]
    assert (len(forecast), forecast["forecast"].isna().sum()) == (HORIZON, 0)


def test_the_leaderboard_has_the_versions_and_the_baselines_of_the_champion(
    stages: Stages, version: ModelVersion
) -> None:
    (rows,) = leaderboard(NAME)
    assert list(rows[0]) == ["model", "what", "alias", "MASE", "WQL", "sMAPE", "in 80 %", "data", "age"]
    assert {row["data"] for row in rows} == {stages.dataset.fingerprint[:6]}
    assert [(row["what"], row["alias"]) for row in rows] == [("version 1", "challenger, champion"), ("last_value", "")]
    assert rows[0]["MASE"] < rows[1]["MASE"]
    assert verdict(version)[0].startswith("lstm ")


def test_no_artifact_is_a_pickle(version: ModelVersion, client: MlflowClient) -> None:
    directory = Path(mlflow.artifacts.download_artifacts(f"models:/{NAME}/1"))
    files = [path for path in directory.rglob("*") if path.is_file()]
    assert {"MLmodel", "forecast_pyfunc.py", "model.json", "member-0.safetensors"} <= {path.name for path in files}
    assert [path for path in files if path.suffix in (".pkl", ".pickle", ".pt", ".pth", ".ckpt", ".joblib")] == []
    assert [path for path in files if path.read_bytes()[:2] in (b"\x80\x04", b"\x80\x05", b"PK")] == []


FRESH = """
import json, sys
sys.meta_path[:] = [finder for finder in sys.meta_path if "editable" not in getattr(finder, "__module__", "")]
for name in ("flows", "tasks", "models", "carousel"):
    try:
        __import__(name)
    except ModuleNotFoundError:
        continue
    raise SystemExit(f"{name} can be imported without the model")
import mlflow, pandas
mlflow.set_tracking_uri(sys.argv[1])
model = mlflow.pyfunc.load_model(sys.argv[2])
forecast = model.predict(pandas.read_parquet(sys.argv[3]))
forecast.to_parquet(sys.argv[4])
unwanted = ["flows", "tasks", "carousel", "prefect", "optuna", "pytorch_lightning", "lightning"]
print(json.dumps([[name for name in unwanted if name in sys.modules], sys.modules["models"].__path__[0]]))
"""


def test_the_champion_loads_in_a_process_that_knows_nothing_of_carousel(
    stages: Stages, version: ModelVersion, tmp_path: Path
) -> None:
    table_for(cut(sales())).to_parquet(tmp_path / "table.parquet")
    arguments = [environment().tracking_uri, f"models:/{NAME}@champion", "table.parquet", "forecast.parquet"]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "CAROUSEL", "MLFLOW"))}
    variables = {**kept, "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false"}
    ran = subprocess.run(
        [sys.executable, "-I", "-c", FRESH, *arguments], cwd=tmp_path, env=variables, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    imported, where = json.loads(ran.stdout.splitlines()[-1])
    assert imported == []
    assert not Path(where).is_relative_to(ROOT)
    assert_equals_evaluation(stages, pd.read_parquet(tmp_path / "forecast.parquet"))


def assert_equals_evaluation(stages: Stages, forecast: pd.DataFrame) -> None:
    """The forecast at the start of the sealed part is the one that was judged."""
    judged = pl.read_parquet(store.path(stages.evaluation) / "forecasts.parquet")
    assert set(judged["end"]) == {STEPS - HORIZON}
    ours = pl.from_pandas(forecast).with_columns(item_id=pl.concat_str("shop", "ware", separator="|"))
    ours = ours.with_columns(step=pl.int_range(1, pl.len() + 1).over("item_id"))
    both = judged.join(ours, on=["item_id", "step"], how="inner")
    assert len(both) == len(judged) == 6 * HORIZON
    for name in QUANTILES:
        np.testing.assert_allclose(both[name], both[f"lstm_{name[1:]}"], rtol=1e-6, err_msg=name)
    np.testing.assert_allclose(both["forecast"], both["lstm_0.5"], rtol=1e-6)


def test_the_stage_predicts_what_the_registered_model_and_the_evaluation_do(
    stages: Stages, version: ModelVersion, tmp_path: Path
) -> None:
    rows = cut(sales())
    rows.write_parquet(tmp_path / "new.parquet")
    predictions = predict_table.fn(version, ingest_table.fn(config_of(tmp_path / "new.parquet")))
    (part,) = store.path(predictions).glob("part-*.parquet")
    staged = pl.read_parquet(part).sort("item_id", "timestamp")
    model = mlflow.pyfunc.load_model(f"models:/{NAME}/1")
    served = pl.from_pandas(model.predict(table_for(rows))).sort(pl.concat_str("shop", "ware", separator="|"), "day")
    assert (predictions.rows, predictions.items) == (30, 6)
    assert staged["timestamp"].to_list() == served["day"].to_list()
    for name in ("forecast", *QUANTILES):
        np.testing.assert_allclose(staged[name], served[name], rtol=1e-6, err_msg=name)
    assert_equals_evaluation(stages, model.predict(table_for(rows)))


def test_an_unknown_item_and_an_unknown_category_are_forecast(version: ModelVersion) -> None:
    model = mlflow.pyfunc.load_model(f"models:/{NAME}@champion")
    known = table_for(cut(sales()).filter(shop="Ulm", ware=1))
    new = known.assign(shop="Unheard of", region="overseas", holiday="carnival")
    forecast = model.predict(new)
    assert forecast["shop"].unique().tolist() == ["Unheard of"]
    assert np.isfinite(forecast[QUANTILES].to_numpy()).all()
    assert (np.diff(forecast[QUANTILES].to_numpy(), axis=1) >= 0).all()
    missing = model.predict(known.assign(region=None, holiday=None))
    np.testing.assert_array_equal(missing[QUANTILES], forecast[QUANTILES])
    assert not np.allclose(model.predict(known)[QUANTILES], forecast[QUANTILES])
    left_out = model.predict(known.drop(columns=["region", "holiday"]))
    np.testing.assert_array_equal(left_out[QUANTILES], forecast[QUANTILES])


def test_integers_are_refused_by_the_signature_and_taken_after_the_cards_line(
    version: ModelVersion, client: MlflowClient
) -> None:
    rows = cut(sales()).with_columns(pl.col("sold").fill_null(0).round().cast(pl.Int64))
    table = rows.filter(pl.col("day") < pl.datetime(2024, 3, 6)).to_pandas()
    price = rows.select("shop", "ware", "day", "price", "holiday", "region").to_pandas()
    table = price.merge(table[["shop", "ware", "day", "wind", "sold"]], how="left")
    whole = table.assign(sold=table["sold"].fillna(0).astype("int64"), price=2, wind=3)
    model = mlflow.pyfunc.load_model(f"models:/{NAME}@champion")
    with pytest.raises(mlflow.exceptions.MlflowException, match="Incompatible input types"):
        model.predict(whole)
    card = client.get_model_version(NAME, "1").description or ""
    (line,) = [line for line in card.splitlines() if line.startswith("table = ")]
    scope: dict[str, Any] = {"table": whole}
    exec(line, scope)
    with pytest.raises(ValueError, match=r"known covariates .* must reach 5 steps past the last target"):
        model.predict(scope["table"])
    scope["table"]["sold"] = scope["table"]["sold"].where(table["sold"].notna())
    assert len(model.predict(scope["table"])) == 6 * HORIZON


def state_of(client: MlflowClient, name: str) -> Any:
    """Everything that the registry and the tracking store hold of ``name``, as values that compare."""
    experiment = client.get_experiment_by_name(name)
    runs = client.search_runs([experiment.experiment_id]) if experiment else []
    versions = client.search_model_versions(f"name='{name}'")
    return (
        sorted((run.info.run_id, run.info.status, run.info.end_time) for run in runs),
        sorted((v.version, v.run_id, v.last_updated_timestamp, sorted(v.tags.items())) for v in versions),
        aliases(client, name),
    )


def test_a_second_call_returns_the_same_version_and_changes_nothing(
    stages: Stages, version: ModelVersion, client: MlflowClient
) -> None:
    before = state_of(client, NAME)
    assert stages.register(NAME, find_rival.fn(NAME, stages.model)) == version
    assert state_of(client, NAME) == before


def killed_before_the_decision(stages: Stages, client: MlflowClient, name: str) -> str:
    client.delete_model_version_tag(name, "1", DECISION)
    client.delete_registered_model_alias(name, CHAMPION)
    return "1"


def killed_between_the_aliases(stages: Stages, client: MlflowClient, name: str) -> str:
    client.delete_model_version_tag(name, "1", DECISION)
    return "1"


def killed_before_the_version(stages: Stages, client: MlflowClient, name: str) -> str:
    client.delete_registered_model_alias(name, CHAMPION)
    client.delete_registered_model_alias(name, CHALLENGER)
    client.delete_model_version(name, "1")
    return "2"


@pytest.mark.parametrize(
    "kill",
    [killed_before_the_decision, killed_between_the_aliases, killed_before_the_version],
    ids=lambda k: k.__name__,
)
def test_a_registration_that_was_cut_off_goes_on_from_there(
    stages: Stages, client: MlflowClient, kill: Callable[..., str]
) -> None:
    name = f"cut {kill.__name__}"
    whole = stages.register(name, None)
    logged = state_of(client, name)[0]
    number = kill(stages, client, name)
    again = stages.register(name, find_rival.fn(name, stages.model))
    assert again == whole.__class__(name, number, whole.fingerprint, whole.run_id, True)
    assert state_of(client, name)[0] == logged
    assert aliases(client, name) == {CHALLENGER: number, CHAMPION: number}
    assert client.get_model_version(name, number).tags[DECISION] == FIRST


def test_a_run_that_was_cut_off_is_marked_and_logged_anew(stages: Stages, client: MlflowClient) -> None:
    name = "cut while logging"
    experiment = client.create_experiment(name, artifact_location=str(environment().artifacts / name))
    left = client.create_run(experiment, tags={FINGERPRINT: stages.model.fingerprint})
    client.log_metric(left.info.run_id, "test_mase", 0.0)
    version = stages.register(name, None)
    assert client.get_run(left.info.run_id).info.status == "KILLED"
    assert version.run_id != left.info.run_id
    assert client.get_run(version.run_id).info.status == "FINISHED"
    assert version.champion


def test_a_search_on_other_data_goes_on_from_the_champions_and_one_on_the_same_data_from_what_that_one_did(
    stages: Stages, version: ModelVersion
) -> None:
    grown = replace(stages.dataset, fingerprint="another")
    assert find_previous.fn(NAME, grown) == stages.study
    assert find_previous.fn(NAME, stages.dataset) is None
    assert find_previous.fn("nobody knows it", grown) is None


def test_the_same_model_under_another_name_is_another_registration(
    stages: Stages, version: ModelVersion, client: MlflowClient
) -> None:
    other = stages.register("another name", None)
    assert (other.name, other.version, other.fingerprint) == ("another name", "1", version.fingerprint)
    assert other.run_id != version.run_id


def test_a_worse_challenger_does_not_take_the_championship(
    stages: Stages, version: ModelVersion, client: MlflowClient
) -> None:
    name = "worse"
    best = stages.register(name, None)
    worse, rival = stages.proved(untrained(stages.dataset, 1, noise=1.0), best).measured_against(name)
    assert rival == best
    registered = worse.register(name, rival)
    assert (registered.version, registered.champion) == ("2", False)
    assert aliases(client, name) == {CHALLENGER: "2", CHAMPION: "1"}
    tags = client.get_model_version(name, "2").tags
    assert (tags[RIVAL], tags[GATE]) == ("1", "refused")
    assert tags[DECISION].startswith("not promoted: the baseline last_value is better; it is not shown to be better ")
    assert float(tags[EFFECT]) > 0.1
    assert find_rival.fn(name, worse.model) == best
    assert worse.register(name, find_rival.fn(name, worse.model)) == registered


def test_a_better_challenger_takes_the_championship_from_the_one_it_was_measured_against(
    stages: Stages, client: MlflowClient
) -> None:
    name = "better"
    worse = stages.proved(untrained(stages.dataset, 2, noise=1.0))
    assert not worse.register(name, None).champion
    client.set_registered_model_alias(name, CHAMPION, "1")
    better, rival = stages.measured_against(name)
    assert rival is not None
    assert rival.version == "1"
    assert better.evaluation.beats_champion
    # How well a dozen windows are covered is luck.
    lenient = GateConfig(max_miscalibration=0.5)
    better = replace(better, decision=judge_model.fn(better.model, better.evaluation, lenient))
    registered = better.register(name, rival)
    assert (registered.version, registered.champion) == ("2", True), better.decision
    tags = client.get_model_version(name, "2").tags
    assert (tags[RIVAL], tags[GATE]) == ("1", "passed")
    assert float(tags[P_VALUE]) < 0.05
    assert float(tags[EFFECT]) < 0
    evidence = json.loads((registry.files(registered) / "decision.json").read_text())
    assert tags[DECISION] == evidence["outcome"] == f"promoted: {better.decision.reason}"
    assert evidence["against"]["p_value"] == pytest.approx(float(tags[P_VALUE]), rel=1e-3)
    assert [check["name"] for check in evidence["checks"]] == ["baselines", "champion", "calibration"]
    assert not registry.resolve(f"{name}/1").champion
    changes = [(one.alias, one.before, one.after, one.by) for one in aliases_log.history(name)]
    assert changes == [
        (CHALLENGER, None, "1", "the gate"), (CHALLENGER, "1", "2", "the gate"),
        (CHAMPION, None, "1", "unknown"), (CHAMPION, "1", "2", "the gate"),
    ]  # fmt: skip
    assert aliases_log.history(name)[-1].why == better.decision.reason


def test_the_artifact_of_the_run_has_the_decision_and_each_condition(stages: Stages, version: ModelVersion) -> None:
    facts = json.loads((store.path(stages.evaluation) / "evaluation.json").read_text())
    evidence = json.loads((store.path(stages.decision) / "decision.json").read_text())
    text = outcome(version, facts, evidence, "links")
    assert text.startswith(f"# {NAME} version 1: {FIRST}\n\n- lstm ")
    assert "| gate | asked | found | |" in text
    assert "| baselines | none is better | lstm " in text
    assert "| champion | shown to be better, p < 0.05 | there is none | met |" in text


def test_a_limit_of_the_gate_keeps_a_version_from_becoming_champion(stages: Stages, client: MlflowClient) -> None:
    registered = stages.register("slow", None, max_latency_ms=1e-6, max_size_mb=1e-6)
    assert not registered.champion
    decision = client.get_model_version("slow", "1").tags[DECISION]
    assert decision.startswith("not promoted: its latency is ")
    assert "; its size is " in decision


def test_a_champion_that_it_was_not_measured_against_is_not_replaced(stages: Stages, client: MlflowClient) -> None:
    name = "meanwhile"
    stages.proved(untrained(stages.dataset, 2, noise=1.0)).register(name, None)
    client.set_registered_model_alias(name, CHAMPION, "1")
    registered = stages.register(name, None)
    assert not registered.champion
    decision = client.get_model_version(name, "2").tags[DECISION]
    assert decision == "not promoted: version 1 became champion meanwhile, and was not compared"


def test_with_promotion_off_a_version_stays_challenger(stages: Stages, client: MlflowClient) -> None:
    registered = stages.register("never", None, promote="never")
    assert not registered.champion
    assert aliases(client, "never") == {CHALLENGER: "1"}
    tags = client.get_model_version("never", "1").tags
    assert tags[GATE] == "passed"
    assert tags[DECISION].startswith("not promoted: register.promote is never, else the gate had let it pass: ")


def test_where_somebody_is_to_approve_a_version_that_passed_waits_and_says_who_gives_it(
    stages: Stages, client: MlflowClient
) -> None:
    name = "asked"
    registered = stages.register(name, None, promote="approve")
    assert (registered.champion, registered.waits) == (False, True)
    assert aliases(client, name) == {CHALLENGER: "1"}
    tags = client.get_model_version(name, "1").tags
    assert (tags[GATE], tags[APPROVAL]) == ("passed", "waits")
    assert tags[DECISION] == f"waits for approval ('carousel promote asked/1' gives it): {stages.decision.reason}"
    again = stages.register(name, None, promote="approve")
    assert (again.version, again.waits) == ("1", True)

    approved = settle_version.fn(registered, Approval(answer="promote", comment="seen"))
    assert (approved.champion, approved.waits) == (True, False)
    told = client.get_model_version(name, "1").tags[DECISION]
    assert told == f"promoted: Prefect, run without a name approved (seen); {stages.decision.reason}"
    assert not stages.register(name, None, promote="approve").waits, "nobody is asked twice"


def test_what_the_gate_refused_is_asked_of_nobody(stages: Stages, client: MlflowClient) -> None:
    registered = stages.register("slow again", None, promote="approve", max_latency_ms=1e-6)
    assert not registered.waits
    assert client.get_model_version("slow again", "1").tags[DECISION].startswith("not promoted: its latency is ")


@pytest.mark.parametrize("name", ["..", "../../away", "a/../../b", ".hidden"])
def test_a_name_that_leads_out_of_the_home_is_refused_and_writes_nothing(stages: Stages, name: str) -> None:
    def there() -> set[Path]:
        # SQLite's own files beside a database come and go with its connections.
        found = environment().root.parent.rglob("*")
        return {path for path in found if not path.name.endswith(("-wal", "-shm"))}

    before = there()
    with pytest.raises(InputError, match="name must"):
        stages.register(name, None)
    assert there() == before


def test_the_first_model_of_a_name_has_no_rival(stages: Stages) -> None:
    assert find_rival.fn("nobody knows it", stages.model) is None


def test_a_champion_of_a_much_longer_horizon_is_measured_on_the_windows_of_the_new_one(
    stages: Stages, tmp_path: Path
) -> None:
    longer = prepare_dataset.fn(stages.table, Forecast(horizon=3 * HORIZON), SplitConfig())
    rival = bundle.load(store.path(untrained(longer, 3)))
    dataset, model = store.path(stages.dataset), store.path(stages.model)
    evaluate(dataset, model, ("champion v1", rival), None, ["last_value"], 1, tmp_path)
    facts = json.loads((tmp_path / "evaluation.json").read_text())
    assert [row["name"] for row in facts["leaderboard"] if row["kind"] == "champion"] == ["champion v1"]
    assert facts["tests"]["champion"]["count"] == facts["windows"] == 6
