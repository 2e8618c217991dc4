"""A registered model served by ``carousel serve`` and by plain ``mlflow models serve``, each as its own process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from served_models import register, request

from carousel import services
from tasks import aliases, registry
from tasks.environment import environment, quiet

pytestmark = pytest.mark.slow
NAME, CASE = "shop", "forecast by dates"
JSON = {"content-type": "application/json"}
ROOT = Path(__file__).parents[2]


@contextmanager
def started(log: Path, *command: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run ``python COMMAND...`` until the block ends."""
    # MLflow looks for uvicorn on the path, which an activated environment has there.
    beside = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "PATH": beside}
    variables["MLFLOW_TRACKING_URI"] = environment().tracking_uri
    with log.open("wb") as stream:
        process = subprocess.Popen([sys.executable, *command], env=variables, stdout=stream, stderr=stream)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(timeout=60)


def wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Return once ``url`` answers."""
    deadline = time.monotonic() + 180
    while not services.answers(url):
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)


class Asking:
    """Asks a server for the same again and again, from several threads, for as long as the block runs."""

    def __init__(self, url: str, body: bytes, threads: int = 3) -> None:
        self.url, self.body = url, body
        self.answered: list[tuple[int, str, bytes]] = []
        self.ended = threading.Event()
        self.pool = ThreadPoolExecutor(threads)
        self.threads = threads

    def __enter__(self) -> Asking:
        self.asking = [self.pool.submit(self._ask) for _ in range(self.threads)]
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        for one in self.asking:
            one.result()

    def _ask(self) -> None:
        with httpx.Client(timeout=60) as client:
            while not self.ended.is_set():
                answer = client.post(self.url, content=self.body, headers=JSON)
                version = answer.headers.get("x-carousel-version", "")
                self.answered.append((answer.status_code, version, answer.content))

    def wait_for(self, version: str) -> None:
        """Return once ``version`` answers."""
        deadline = time.monotonic() + 60
        while not self.answered or self.answered[-1][1] != version:
            assert time.monotonic() < deadline
            time.sleep(0.05)


@pytest.mark.timeout(600)
def test_an_alias_changes_under_load_and_no_request_fails(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    quiet(environment())
    versions = [register(CASE, seed, NAME, alias=None) for seed in (0, 1)]
    aliases.give(NAME, registry.CHAMPION, versions[0].version, "test", "test")
    asked, ports = request(CASE), [str(services.free_port()) for _ in range(2)]
    mine, theirs = (f"http://127.0.0.1:{port}" for port in ports)
    logs = [tmp_path / "carousel.log", tmp_path / "mlflow.log"]
    carousel = ("-c", "import sys; from carousel.cli import main; sys.exit(main())", "serve", NAME)
    plain = ("-m", "mlflow", "models", "serve", "--env-manager", "local", "--model-uri", f"models:/{NAME}@champion")
    with (
        started(logs[0], *carousel, "--port", ports[0]) as served,
        started(logs[1], *plain, "--port", ports[1]) as alone,
    ):
        wait_for(f"{mine}/ready", served, logs[0])
        wait_for(f"{theirs}/ping", alone, logs[1])
        with Asking(f"{mine}/invocations", asked.json) as asking:
            for version in (*versions, versions[0]):
                aliases.give(NAME, registry.CHAMPION, version.version, "test", "test")
                asking.wait_for(f"{NAME}/{version.version}")
        of_mlflow = httpx.post(f"{theirs}/invocations", content=asked.json, headers=JSON, timeout=60)
        served.send_signal(signal.SIGTERM)
        assert served.wait(timeout=60) == 0, logs[0].read_text()
    answered = asking.answered
    assert {status for status, _, _ in answered} == {200}
    contents = {version: {content for _, told, content in answered if told == version} for _, version, _ in answered}
    assert sorted(contents) == [f"{NAME}/1", f"{NAME}/2"]
    assert [len(different) for different in contents.values()] == [1, 1]
    assert of_mlflow.status_code == 200
    assert of_mlflow.json() == httpx.Response(200, content=contents[f"{NAME}/1"].pop()).json()
    assert "Stopped." in logs[0].read_text()
