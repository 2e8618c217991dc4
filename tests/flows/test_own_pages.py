"""The servers answer programs and their own pages; a web page from elsewhere reaches neither."""

from __future__ import annotations

import functools
import http.client
import http.server
import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import websockets.exceptions
from websockets.sync.client import connect

from carousel import services
from carousel.authentication import HOST
from carousel.services import Addresses
from tasks.environment import Environment
from tests.conftest import CHROMIUM

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
FOREIGN = "http://elsewhere.example"
TYPES = [None, "text/plain", "application/json"]
STREAMS = ["/api/events/in", "/api/events/out", "/api/logs/out"]
CREATED = {"prefect": "/api/flows/", "mlflow": "/api/2.0/mlflow/registered-models/create"}


def ask(address: str, method: str, path: str, body: Any = None, **headers: str | None) -> tuple[int, dict[str, str]]:
    """Send exactly these headers (``content_type`` is ``Content-Type``); return status and headers of the answer."""
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=60)
    named = {name.replace("_", "-"): value for name, value in headers.items() if value is not None}
    try:
        connection.request(method, path, None if body is None else json.dumps(body), {"Accept": "*/*", **named})
        answer = connection.getresponse()
        answer.read()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}
    finally:
        connection.close()


def flows(running: Addresses) -> list[str]:
    connection = http.client.HTTPConnection(urlsplit(running.prefect).netloc, timeout=60)
    connection.request("POST", "/api/flows/filter", "{}", {"Content-Type": "application/json"})
    return [flow["name"] for flow in json.loads(connection.getresponse().read())]


@pytest.mark.parametrize("content_type", TYPES)
@pytest.mark.parametrize("origin", [FOREIGN, "null", "http://localhost:1", "https://127.0.0.1:4200"])
def test_prefect_changes_nothing_for_a_page_of_another_origin(
    running: Addresses, origin: str, content_type: str | None
) -> None:
    body = {"name": "foreign"}
    assert ask(running.prefect, "POST", CREATED["prefect"], body, Origin=origin, Content_Type=content_type)[0] == 403
    assert "foreign" not in flows(running)


@pytest.mark.parametrize("content_type", TYPES)
def test_mlflow_changes_nothing_for_a_page_of_another_host(running: Addresses, content_type: str | None) -> None:
    body = {"name": "foreign"}
    for path in (CREATED["mlflow"], CREATED["mlflow"].replace("/api/", "/ajax-api/")):
        assert ask(running.mlflow, "POST", path, body, Origin=FOREIGN, Content_Type=content_type)[0] == 403
    search = "/api/2.0/mlflow/registered-models/get?name=foreign"
    assert ask(running.mlflow, "GET", search)[0] == 404


@pytest.mark.parametrize("server", ["prefect", "mlflow"])
def test_no_answer_may_be_read_by_a_page_of_another_origin(running: Addresses, server: str) -> None:
    address = getattr(running, server)
    asked = {"Origin": FOREIGN, "Access_Control_Request_Method": "POST"}
    for method in ("OPTIONS", "GET"):
        assert "access-control-allow-origin" not in ask(address, method, CREATED[server], **asked)[1]


@pytest.mark.parametrize("server", ["prefect", "mlflow"])
@pytest.mark.parametrize("host", ["elsewhere.example", "10.elsewhere.example", "192.168.elsewhere.example"])
def test_a_name_that_was_made_to_lead_here_is_refused(running: Addresses, server: str, host: str) -> None:
    address = getattr(running, server)
    named = f"{host}:{urlsplit(address).port}"
    read = {"prefect": "/api/admin/version", "mlflow": "/api/2.0/mlflow/registered-models/search"}[server]
    assert ask(address, "GET", read)[0] == 200
    assert ask(address, "GET", read, Host=named)[0] in (400, 403)
    status, _ = ask(
        address, "POST", CREATED[server], {"name": "x"}, Host=named, Origin=f"http://{named}", Content_Type=TYPES[2]
    )
    assert status in (400, 403)


@pytest.mark.parametrize("path", STREAMS)
def test_a_stream_of_prefect_is_closed_to_pages_of_another_origin(running: Addresses, path: str) -> None:
    address = running.prefect.replace("http", "ws") + path
    with pytest.raises(websockets.exceptions.InvalidStatus, match="403"):
        connect(address, origin=FOREIGN, proxy=None).close()
    for origin in (None, running.prefect, running.prefect.replace("127.0.0.1", "localhost")):
        connect(address, origin=origin, proxy=None).close()


def test_programs_and_own_pages_may_change_what_they_like(running: Addresses) -> None:
    own = (None, "127.0.0.1", "localhost")
    for server, statuses in (("prefect", (200, 201)), ("mlflow", (200,))):
        address = getattr(running, server)
        for number, name in enumerate(own):
            host = f"{name or '127.0.0.1'}:{urlsplit(address).port}"
            origin = f"http://{host}" if name else None
            body = {"name": f"own-{number}"}
            status, _ = ask(address, "POST", CREATED[server], body, Host=host, Origin=origin, Content_Type=TYPES[2])
            assert status in statuses
    assert {"own-0", "own-1", "own-2"} <= set(flows(running))


def test_the_server_of_a_single_run_is_closed_as_well(
    tmp_path: Path, empty_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    env = Environment(home=shutil.copytree(empty_home, tmp_path / "home"))
    monkeypatch.setenv("PREFECT_HOME", str(env.prefect_home))
    monkeypatch.setenv("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
    server, url = services._start_temporary(env)
    try:
        address = url.removesuffix("/api")
        assert ask(address, "POST", CREATED["prefect"], {"name": "x"}, Origin=FOREIGN)[0] == 403
        assert ask(address, "POST", CREATED["prefect"], {"name": "x"}, Host="elsewhere.example")[0] == 400
        assert ask(address, "POST", CREATED["prefect"], {"name": "x"})[0] == 201
    finally:
        server.stop()


PAGE = """<script>
const told = [];
async function attack() {
  const body = new Blob([JSON.stringify({name: "browser"})]);
  for (const type of [undefined, "text/plain", "application/json"]) {
    for (const mode of ["no-cors", "cors"]) {
      const headers = type ? {"Content-Type": type} : {};
      try { told.push((await fetch("PREFECT/api/flows/", {method: "POST", mode, headers, body})).type); }
      catch (error) { told.push("blocked"); }
    }
  }
  told.push(await new Promise(done => {
    const socket = new WebSocket("STREAM/api/events/in");
    socket.onopen = () => done("open");
    socket.onerror = () => done("closed");
  }));
  document.title = told.join(" ");
}
attack();
</script>"""


@pytest.fixture
def foreign_page(running: Addresses, tmp_path: Path) -> Iterator[str]:
    """The address of a page of another server on this machine, which does what an attacker's would."""
    stream = running.prefect.replace("http", "ws")
    (tmp_path / "page.html").write_text(PAGE.replace("PREFECT", running.prefect).replace("STREAM", stream))
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer((HOST, 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://{HOST}:{server.server_port}/page.html"
        server.shutdown()


def test_a_page_in_a_real_browser_can_neither_start_flows_nor_send_events(
    running: Addresses, foreign_page: str
) -> None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=CHROMIUM)
        page = browser.new_page()
        page.goto(foreign_page)
        page.wait_for_function("document.title != ''", timeout=60_000)
        told = page.title().split()
        browser.close()
    # What a page sends without asking is sent ("opaque": it does not see the answer), and refused.
    assert told == ["opaque", "blocked", "opaque", "blocked", "opaque", "blocked", "closed"]
    assert "browser" not in flows(running)
