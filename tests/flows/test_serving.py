"""Serving: every problem kind over HTTP by Carousel and by MLflow alone; limits, authentication, hostile versions."""

from __future__ import annotations

import http.client
import io
import json
import pickle
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import mlflow
import pandas as pd
import pytest
import uvicorn
from fastapi.testclient import TestClient
from mlflow import MlflowClient
from mlflow.pyfunc import scoring_server
from served_models import CASES, register, request

from carousel import authentication, services
from carousel.served import Watch
from carousel.serving import Limits, create_app
from tasks import aliases, registry
from tasks.environment import environment, quiet
from tasks.errors import InputError
from tasks.reporting.card import mlflow_takes_csv

JSON, CSV = {"content-type": "application/json"}, {"content-type": "text/csv"}
TEXTS = "classify texts"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home in which each case is registered, with a champion."""
    home = tmp_path_factory.mktemp("served")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CAROUSEL_HOME", str(home))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        quiet(environment())
        for case in CASES:
            register(case)
    return home


@pytest.fixture(autouse=True)
def settled(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAROUSEL_HOME", str(place))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    quiet(environment())


def app(model: str, **limits: Any) -> Any:
    allowed = Limits(**limits)
    return create_app(Watch(model, allowed.steps, every=0.1), allowed, hosts=("127.0.0.1", "testserver"))


def ready(client: TestClient) -> TestClient:
    deadline = time.monotonic() + 60
    while client.get("/ready").status_code != 200:
        assert time.monotonic() < deadline, client.get("/ready").text
        time.sleep(0.02)
    return client


@contextmanager
def serving(model: str, **limits: Any) -> Iterator[TestClient]:
    with TestClient(app(model, **limits)) as client:
        yield ready(client)


def predictions(answer: httpx.Response) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    return answer.json()["predictions"]


@pytest.mark.parametrize("case", CASES)
def test_every_kind_answers_json_and_csv_as_mlflow_loads_it(case: str) -> None:
    asked = request(case)
    expected = mlflow.pyfunc.load_model(f"models:/{case}@champion").predict(asked.table)
    wanted = json.loads(scoring_answer(expected))
    with serving(case) as client:
        of_json = client.post("/invocations", content=asked.json, headers=JSON)
        assert predictions(of_json) == wanted
        assert of_json.headers["x-carousel-version"] == f"{case}/1"
        assert predictions(client.post("/invocations", content=asked.csv, headers=CSV)) == wanted
        as_csv = client.post("/invocations", content=asked.csv, headers=CSV | {"accept": "text/csv"})
    assert as_csv.headers["content-type"].startswith("text/csv")
    table = pd.read_csv(io.StringIO(as_csv.text))
    assert list(table) == list(expected)
    assert len(table) == len(expected)


def scoring_answer(predicted: pd.DataFrame) -> str:
    """Return the predictions as MLflow's scoring server writes them."""
    held = io.StringIO()
    scoring_server.predictions_to_json(predicted, held)
    return json.dumps(json.loads(held.getvalue())["predictions"])


@pytest.mark.parametrize("case", CASES)
def test_mlflow_alone_answers_json_and_csv_where_its_protocol_can(case: str) -> None:
    asked, loaded = request(case), mlflow.pyfunc.load_model(f"models:/{case}@champion")
    wanted = json.loads(scoring_answer(loaded.predict(asked.table)))
    client = TestClient(scoring_server.init(loaded))
    assert client.get("/ping").status_code == 200
    assert predictions(client.post("/invocations", content=asked.json, headers=JSON)) == wanted
    of_csv = client.post("/invocations", content=asked.csv, headers=CSV)
    assert (of_csv.status_code == 200) is CASES[case] is mlflow_takes_csv(loaded.metadata.get_input_schema())
    if CASES[case]:
        assert predictions(of_csv) == wanted


@pytest.mark.parametrize("by", ["carousel", "mlflow"])
def test_no_request_opens_a_file_of_the_server(by: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret.wav"
    secret.write_bytes(b"RIFF")
    body = json.dumps({"dataframe_records": [{"path": str(secret)}]}).encode()
    loaded = mlflow.pyfunc.load_model("models:/transcribe audio@champion")
    mine = app("transcribe audio") if by == "carousel" else scoring_server.init(loaded)
    with TestClient(mine) as client:
        answer = (ready(client) if by == "carousel" else client).post("/invocations", content=body, headers=JSON)
    assert answer.status_code == 400
    assert "takes audio as samples and sample_rate (row 0 names a file in 'path')" in answer.text


def test_the_version_tells_what_goes_in_and_a_process_that_lives_answers_before_it_is_ready() -> None:
    with TestClient(app("nobody")) as client:
        assert [client.get(path).status_code for path in ("/ping", "/health", "/ready")] == [200, 200, 503]
        assert client.post("/invocations", content=b"", headers=CSV).status_code == 503
        deadline = time.monotonic() + 30
        while "a model is NAME" not in client.get("/version").text:
            assert time.monotonic() < deadline
    with serving(TEXTS) as client:
        told = client.get("/version").json()
        assert (told["asked"], told["serving"], told["trouble"]) == (TEXTS, f"{TEXTS}/1", None)
        assert [column["name"] for column in told["inputs"]] == ["who", "said"]
        assert [client.get(path).status_code for path in ("/docs", "/openapi.json", "/redoc")] == [404] * 3


@pytest.mark.parametrize(
    ("limits", "sent", "status", "told"),
    [
        ({"megabytes": 0.001}, {"content": b"said\n" + b"a" * 2000, "headers": CSV}, 413, "at most 1,000 bytes"),
        ({"megabytes": 0.001}, {"content": iter([b"said\n", b"a" * 2000]), "headers": CSV}, 413, "at most 1,000"),
        ({"rows": 2}, {"content": b"said\na\nb\nc\n", "headers": CSV}, 400, "at most 2 rows (got 3)"),
        ({"steps": 30}, {"content": b"said\nshort\n" + b"a" * 31, "headers": CSV}, 400, "(that of row 1 has 31)"),
        ({"seconds": 0.0}, {"content": b"said\na\n", "headers": CSV}, 504, "no answer within 0 s"),
        ({"requests": 0}, {"content": b"said\na\n", "headers": CSV}, 429, "0 requests are being answered"),
        ({}, {"content": b"said\na\n", "headers": {"content-type": "text/plain"}}, 415, "application/json or text/csv"),
        ({}, {"content": b"said\na\n"}, 415, "application/json or text/csv"),
        ({}, {"content": b"a", "headers": CSV | {"content-encoding": "gzip"}}, 415, "not packed"),
        ({}, {"content": b"a", "headers": {"content-type": "text/csv; charset=latin-1"}}, 415, "UTF-8"),
        ({}, {"content": b"said\na,b\n", "headers": CSV}, 400, "must be UTF-8 with a header"),
        ({}, {"content": b"other\na\n", "headers": CSV}, 400, "none called said"),
    ],
)
def test_what_is_beyond_a_limit_or_no_table_is_refused(
    limits: dict[str, Any], sent: dict[str, Any], status: int, told: str
) -> None:
    with serving(TEXTS, **({"computing": 2} | limits)) as client:
        answer = client.post("/invocations", **sent)
    assert (answer.status_code, told in answer.json()["message"]) == (status, True), answer.text


def test_a_page_of_another_host_and_what_the_model_does_not_take_are_refused() -> None:
    with serving(TEXTS) as client:
        assert client.get("/ping", headers={"host": "evil.example"}).status_code == 400
    few = b"item,day,y\na,0,1\na,90000000000,2\n"
    with serving("forecast by numbers") as client:
        answer = client.post("/invocations", content=few, headers=CSV)
    assert answer.status_code == 400
    assert "2 rows over 90,000,000,001 steps" in answer.json()["message"]


@contextmanager
def listening(model: str, **limits: Any) -> Iterator[str]:
    """Serve ``model`` over a real socket."""
    port = services.free_port()
    server = uvicorn.Server(uvicorn.Config(app(model, **limits), host="127.0.0.1", port=port, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        url = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 60
        while not services.answers(f"{url}/ready"):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield url
    finally:
        server.should_exit = True
        thread.join()


def begun(url: str, first: bytes, length: int) -> http.client.HTTPConnection:
    """Send a request of CSV but for what comes after ``first``."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=60)
    connection.putrequest("POST", "/invocations")
    for name, value in (CSV | {"content-length": str(length)}).items():
        connection.putheader(name, value)
    connection.endheaders()
    connection.send(first)
    return connection


def test_of_requests_at_once_those_beyond_the_limit_are_refused() -> None:
    with listening(TEXTS, requests=1, seconds=120.0) as url:
        first = begun(url, b"said\n", 7)
        deadline = time.monotonic() + 60
        while (second := httpx.post(f"{url}/invocations", content=b"said\na\n", headers=CSV)).status_code == 200:
            assert time.monotonic() < deadline
        assert (second.status_code, second.headers["retry-after"]) == (429, "1")
        assert httpx.get(f"{url}/ready").status_code == 200
        first.send(b"a\n")
        assert first.getresponse().status == 200
        assert httpx.post(f"{url}/invocations", content=b"said\na\n", headers=CSV, timeout=60).status_code == 200


def test_a_body_that_does_not_come_is_cut_off() -> None:
    with listening(TEXTS, seconds=0.5) as url:
        assert begun(url, b"said\n", 7).getresponse().status == 408


def test_beyond_this_machine_a_user_and_password_are_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    authentication.check_host("127.0.0.1")
    with pytest.raises(InputError, match="beyond this machine needs authentication"):
        authentication.check_host("0.0.0.0")
    monkeypatch.setenv("CAROUSEL_AUTH", "me:short")
    with pytest.raises(InputError, match="at least 8 characters") as refused:
        authentication.check_host("0.0.0.0")
    assert "short" not in str(refused.value)
    monkeypatch.setenv("CAROUSEL_AUTH", "me:correct horse")
    authentication.check_host("0.0.0.0")
    guarded = create_app(Watch(TEXTS), Limits(), ("*",), authentication.credentials())
    with TestClient(guarded) as client:
        ready(client)
        for auth, status in ((None, 401), (("me", "wrong horse"), 401), (("me", "correct horse"), 200)):
            assert client.get("/version", auth=auth).status_code == status
            assert client.post("/invocations", content=b"said\na\n", headers=CSV, auth=auth).status_code == status
        assert client.get("/version", headers={"authorization": "Basic ???"}).status_code == 401


def test_a_hostile_version_is_not_loaded_and_the_one_before_stays(tmp_path: Path) -> None:
    trace = tmp_path / "loaded"

    class Hostile:
        def __reduce__(self) -> tuple[Any, ...]:
            return open, (str(trace), "w")

    register(TEXTS, 0, "attacked")
    bad = register(TEXTS, 1, "attacked", alias=None)
    kept = MlflowClient().get_model_version_download_uri(bad.name, bad.version)
    directory = Path(kept.removeprefix("file://"))
    (directory / "artifacts" / "bundle" / "member-0.safetensors").write_bytes(pickle.dumps(Hostile()))
    (directory / "sequence_pyfunc.py").write_text(f"open({str(trace)!r}, 'w')")
    with serving("attacked") as client:
        aliases.give("attacked", registry.CHAMPION, bad.version, "test", "test")
        deadline = time.monotonic() + 30
        while not (told := client.get("/version").json())["trouble"]:
            assert time.monotonic() < deadline
        assert told["serving"] == "attacked/1"
        assert "JSON and tensors that Carousel wrote" in told["trouble"]
        assert client.post("/invocations", content=b"said\na\n", headers=CSV).status_code == 200
        good = register(TEXTS, 2, "attacked")
        while client.get("/version").json()["serving"] != f"attacked/{good.version}":
            assert time.monotonic() < deadline + 30
    assert not trace.exists()
