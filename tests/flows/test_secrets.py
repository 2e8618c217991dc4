"""Secrets come from the environment and stay there: no file of a home, no run parameter, no log and no page has one."""

from __future__ import annotations

import base64
import functools
import http.server
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
import yaml

from carousel.authentication import HOST
from carousel.cli import main
from carousel.services import Addresses
from flows.launch import launch
from tests.conftest import tiny_experiment, write_series

SECRET = "Zx9sentinel7Qk"
AUTHORISED = "Basic " + base64.b64encode(f"reader:{SECRET}".encode()).decode()
WRITTEN_OUT = [
    "data.source=http://reader:{}@127.0.0.1:9/tiny.csv",
    "data.source=s3://reader:{}@bucket/tiny.csv",
    "data.source=https://127.0.0.1:9/tiny.csv?token={}",
    "data.source={{sql: select 1, connection: 'postgresql://reader:{}@127.0.0.1:9/db'}}",
]


class Guarded(http.server.SimpleHTTPRequestHandler):
    """Gives a file to those who know the secret."""

    def do_GET(self) -> None:
        self._answer(super().do_GET)

    def do_HEAD(self) -> None:
        self._answer(super().do_HEAD)

    def _answer(self, give: Any) -> None:
        if self.headers.get("Authorization") == AUTHORISED:
            give()
        else:
            self.send_error(401)

    def log_message(self, format: str, *args: Any) -> None:
        return


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[str]:
    """Where a server listens that has ``tiny.csv``."""
    (tmp_path / "served").mkdir()
    write_series(tmp_path / "served" / "tiny.csv", days=80)
    handler = functools.partial(Guarded, directory=str(tmp_path / "served"))
    with http.server.ThreadingHTTPServer((HOST, 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"{HOST}:{server.server_port}"
        server.shutdown()


def start(*arguments: str, **variables: str) -> subprocess.Popen[str]:
    """Start ``carousel ARGUMENTS`` with these variables and none of this process's libraries."""
    code = "import sys; from carousel.cli import main; sys.exit(main())"
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "MLFLOW_"))}
    environment = {**inherited, "PYTHONPATH": str(Path(__file__).parents[2]), **variables}
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def killed_in_search(home: Path, experiment: str, variables: dict[str, str]) -> None:
    """Kill a run as soon as its search has told its workers what to do."""
    run = start("run", experiment, "--set", "search.seed=2", **variables)
    deadline = time.monotonic() + 240
    while not list(home.glob("work/search-*/assignment-*.json")):
        assert run.poll() is None, run.stdout.read() if run.stdout else ""
        assert time.monotonic() < deadline
        time.sleep(0.05)
    run.kill()
    run.communicate()


def found_in(*homes: Path) -> list[Path]:
    """Return the files below ``homes`` that hold the secret, as it is or as HTTP sends it."""
    files = [path for home in homes for path in home.rglob("*") if path.is_file()]
    assert files
    forms = (SECRET.encode(), AUTHORISED.removeprefix("Basic ").encode())
    return [path for path in files if any(form in path.read_bytes() for form in forms)]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_passwords_of_source_studies_and_tracking_reach_no_file_below_the_home(
    home: Path, tmp_path: Path, guarded: str, postgresql: str, running: Addresses, servers_home: Path
) -> None:
    experiment = tiny_experiment(f"http://reader:${{CAROUSEL_TEST_PW}}@{guarded}/tiny.csv")
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(experiment))
    studies = sqlalchemy.make_url(postgresql).set(drivername="postgresql+psycopg", password=SECRET)
    variables = {
        "CAROUSEL_TEST_PW": SECRET,
        "CAROUSEL_HOME": str(home),
        "CAROUSEL_STUDY_STORAGE": studies.render_as_string(hide_password=False),
        "MLFLOW_TRACKING_URI": running.mlflow,
        "MLFLOW_TRACKING_USERNAME": "reader",
        "MLFLOW_TRACKING_PASSWORD": SECRET,
    }
    absent = ["--set", f"data.source=http://reader:${{CAROUSEL_TEST_PW}}@{guarded}/absent.csv"]
    for status, settings in ((0, []), (2, absent)):
        run = start("run", "--verbose", str(tmp_path / "tiny.yaml"), *settings, **variables)
        said, _ = run.communicate()
        assert run.returncode == status, said
        assert SECRET not in said
    killed_in_search(home, str(tmp_path / "tiny.yaml"), variables)
    assert found_in(home, servers_home) == []


@pytest.mark.parametrize("command", ["run", "check"])
@pytest.mark.parametrize("setting", WRITTEN_OUT)
def test_a_secret_in_an_experiment_is_refused_before_a_run_could_keep_it(
    home: Path, tmp_path: Path, command: str, setting: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(tiny_experiment("tiny.csv")))
    assert main([command, str(tmp_path / "tiny.yaml"), "--set", setting.format(SECRET)]) == 2
    said = capsys.readouterr()
    assert "must not hold a password or token" in said.err
    assert "write ${NAME} in its place" in said.err
    assert SECRET not in said.out + said.err
    assert [path for path in home.rglob("*") if path.is_file()] == []


def test_a_secret_in_the_address_of_new_data_is_refused_before_a_run_could_keep_it(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", "tiny", f"https://reader:{SECRET}@127.0.0.1:9/new.csv"]) == 2
    said = capsys.readouterr()
    assert "DATA must not hold a password or token" in said.err
    assert SECRET not in said.out + said.err
    assert [path for path in home.rglob("*") if path.is_file()] == []


def test_a_password_in_the_address_of_mlflow_is_refused_since_mlflow_would_print_it(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://reader:{SECRET}@127.0.0.1:9")
    assert main(["leaderboard"]) == 2
    said = capsys.readouterr()
    assert "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD instead" in said.err
    assert SECRET not in said.out + said.err


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("setting", WRITTEN_OUT)
def test_prefect_keeps_no_run_whose_form_has_a_secret(running: Addresses, servers_home: Path, setting: str) -> None:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.exceptions import PrefectHTTPStatusError

    sound, broken = tiny_experiment("tiny.csv"), tiny_experiment("tiny.csv")
    broken["data"]["source"] = yaml.safe_load(setting.partition("=")[2].format(SECRET))
    with SyncPrefectClient(f"{running.prefect}/api") as client:
        schema = schema_of_the_form()
        deployed = client.create_deployment(
            client.create_flow(launch), "guarded", parameter_openapi_schema=schema, enforce_parameter_schema=True
        )
        client.create_flow_run_from_deployment(deployed, parameters=form(sound))
        with pytest.raises(PrefectHTTPStatusError, match="409"):
            client.create_flow_run_from_deployment(deployed, parameters=form(broken))
    assert found_in(servers_home) == []


def form(experiment: dict[str, Any]) -> dict[str, Any]:
    """Return what the form sends in which ``experiment`` is filled in section by section."""
    return {"name": experiment.pop("name"), "experiment": None, "advanced": experiment}


def schema_of_the_form() -> dict[str, Any]:
    from prefect.utilities.callables import parameter_schema

    return parameter_schema(launch).model_dump_for_openapi()
