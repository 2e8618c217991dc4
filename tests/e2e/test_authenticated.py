"""``carousel up`` beyond this machine: nobody gets anything without user and password, and the runs have them."""

from __future__ import annotations

import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from forms import chromium, picture
from operated import ended, trigger

from carousel import services
from carousel.cli import main
from carousel.services import prefect_client
from tests.conftest import Up, started, tiny_experiment, write_series

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
KNOWN = "operator:correct horse"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory, empty_home: Path) -> Iterator[Up]:
    with started(tmp_path_factory.mktemp("guarded"), empty_home, "--host", "0.0.0.0", CAROUSEL_AUTH=KNOWN) as running:
        yield running


def status(url: str, known: str | None = None, **headers: str) -> int:
    """Return what a POST of an empty JSON object is answered with."""
    if known is not None:
        headers["Authorization"] = f"Basic {b64encode(known.encode()).decode()}"
    request = urllib.request.Request(url, b"{}", {"Content-Type": "application/json", **headers})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status
    except urllib.error.HTTPError as refused:
        return refused.code


def test_both_servers_answer_nobody_who_does_not_know_the_password(guarded: Up) -> None:
    for url in (
        f"{guarded.addresses.prefect}/api/flows/filter",
        f"{guarded.addresses.mlflow}/api/2.0/mlflow/runs/search",
    ):
        assert status(url) == 401
        assert status(url, "operator:wrong") == 401
        assert status(url, KNOWN) in (200, 400)
        assert status(url, KNOWN, Origin="http://elsewhere.example") == 403
    for url in guarded.addresses.health.values():
        assert services.answers(url), "a probe needs no password"


def test_runs_and_commands_that_know_the_password_work_and_others_are_told_what_to_set(
    guarded: Up, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CAROUSEL_HOME", str(guarded.home))
    assert main(["status"]) == 2
    assert "no CAROUSEL_AUTH" in capsys.readouterr().err
    monkeypatch.setenv("CAROUSEL_AUTH", KNOWN)
    write_series(guarded.directory / "tiny.csv", days=80)
    (guarded.directory / "tiny.yaml").write_text(yaml.safe_dump(tiny_experiment("tiny.csv")))
    run = ended(guarded, trigger(guarded, "pipeline", {"experiment": "tiny.yaml"}))
    assert run.state.is_completed(), run.state
    assert main(["status"]) == 0
    assert "tiny" in capsys.readouterr().out
    secret = KNOWN.partition(":")[2]
    with prefect_client(guarded.addresses) as client:
        assert secret not in "\n".join(log.message for log in client.read_logs())
    for log in [guarded.directory / "up.log", *(guarded.home / "logs").glob("*.log")]:
        assert secret not in log.read_text(), log


def test_a_browser_asks_for_the_password_and_shows_both_pages(guarded: Up, tmp_path: Path) -> None:
    user, _, password = KNOWN.partition(":")
    with chromium() as browser:
        known = browser.new_context(http_credentials={"username": user, "password": password})
        page = known.new_page()
        page.goto(f"{guarded.addresses.mlflow}/#/models")
        page.get_by_text("tiny").first.wait_for(timeout=60_000)
        picture(page, "mlflow-authenticated", tmp_path)
        page = browser.new_page()
        page.goto(f"{guarded.addresses.prefect}/v2/login")
        page.get_by_placeholder("admin:pass").fill(KNOWN)
        page.get_by_role("button", name="Login").click()
        page.goto(f"{guarded.addresses.prefect}/v2/deployments")
        page.get_by_text("retrain").first.wait_for(timeout=60_000)
        picture(page, "prefect-authenticated", tmp_path)


def test_beyond_this_machine_it_does_not_start_without_a_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CAROUSEL_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("CAROUSEL_AUTH", raising=False)
    assert main(["up", "--host", "0.0.0.0"]) == 2
    assert "set CAROUSEL_AUTH=user:password" in capsys.readouterr().err
    assert not (tmp_path / "home" / "services.json").exists()
