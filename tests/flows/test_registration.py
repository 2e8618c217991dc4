"""``carousel deploy`` says what is wrong with ``PREFECT_API_URL``; tests/e2e/test_compose.py registers for real."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator

import pytest

from carousel.authentication import HOST
from carousel.cli import main


@pytest.fixture
def another_server() -> Iterator[str]:
    """The address of a server that is not Prefect's and answers everything."""

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"status": "fine"}')

    with http.server.HTTPServer((HOST, 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://{HOST}:{server.server_port}"
        server.shutdown()


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    ("url", "said"),
    [
        (None, "PREFECT_API_URL must name the Prefect server"),
        (f"http://{HOST}:1/api", "Connection refused"),
        ("prefect:4200/api", "unknown url type"),
        ("http://operator:correct-horse@prefect:4200/api", "must not hold a password"),
    ],
)
def test_an_address_where_no_server_answers_is_refused_with_a_remedy(
    url: str | None, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    if url:
        monkeypatch.setenv("PREFECT_API_URL", url)
    assert main(["deploy"]) == 2
    refused = capsys.readouterr().err
    assert said in refused
    assert "correct-horse" not in refused


@pytest.mark.usefixtures("home")
def test_a_server_that_is_not_prefects_is_refused(
    another_server: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", another_server)
    assert main(["deploy"]) == 2
    assert "where another server answers" in capsys.readouterr().err
