"""Progress is shown in a real Prefect, and the work goes on while that is killed, stopped or away."""

from __future__ import annotations

import json
import logging
import shutil
import signal
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from prefect import flow, task
from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogWorker
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, PREFECT_HOME, temporary_settings

from carousel import listening, services
from carousel.authentication import HOST
from carousel.services import Service
from tasks import progress
from tasks.environment import Environment
from tasks.progress import Progress

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


class Server:
    """A Prefect server on one port that can be killed, stopped and started again."""

    def __init__(self, env: Environment) -> None:
        self.env, self.port = env, services.free_port()
        self.api = f"http://{HOST}:{self.port}/api"
        self.start()

    def start(self) -> None:
        variables = {"PREFECT_HOME": str(self.env.prefect_home), "PREFECT_UI_ENABLED": "0"}
        variables |= {"PREFECT_SERVER_ANALYTICS_ENABLED": "false", **listening.prefect_variables(self.port)}
        command = listening.prefect_command(self.port, "warning")
        self.service = Service.start(self.env, "prefect", command, variables)
        self.service.wait_for(f"{self.api}/health")

    def signal(self, number: signal.Signals) -> None:
        [server] = psutil.Process(self.service.guard.pid).children()
        server.send_signal(number)

    def progress(self) -> list[tuple[float, str]]:
        """Return what the artifacts say."""
        body = json.dumps({"artifacts": {"type": {"any_": ["progress"]}}}).encode()
        request = urllib.request.Request(f"{self.api}/artifacts/filter", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return [(one["data"], one["description"]) for one in json.loads(answer.read())]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, empty_home: Path) -> Iterator[Server]:
    place = tmp_path_factory.mktemp("progress")
    started = Server(Environment(home=shutil.copytree(empty_home, place / "server")))
    with temporary_settings({PREFECT_API_URL: started.api, PREFECT_HOME: place / "client"}):
        yield started
        # What waits to be sent would hold up the end of the tests for minutes once the server is gone.
        for worker in (EventsWorker, APILogWorker):
            worker.drain_all(timeout=30)
    started.service.stop()


def test_a_search_goes_on_while_prefect_is_killed_and_while_it_does_not_answer(
    server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(progress, "RETRY", 0.2)
    monkeypatch.setattr(progress, "PAUSE", 0.1)

    def warned() -> int:
        return sum("Prefect does not show the progress" in record.getMessage() for record in caplog.records)

    @task
    def work() -> float:
        # Prefect's own client would try again for a minute, and hide that it failed.
        with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}), Progress("search", 10) as shown:
            shown.update(1, 1.0, "first trials")
            wait_for(lambda: server.progress() == [(10.0, "1 of 10, first trials")])
            before = warned()
            server.signal(signal.SIGKILL)
            server.service.guard.wait()
            for done in range(2, 6):
                assert seconds_of(lambda done=done: shown.update(done, 1.0, "away")) < 0.1
                time.sleep(0.5)
            assert warned() == before + 1
            server.start()
            wait_for(lambda: server.progress() == [(50.0, "5 of 10, away")])
            shown.update(7, 1.0, "back")
            wait_for(lambda: server.progress() == [(70.0, "7 of 10, back")])
            server.signal(signal.SIGSTOP)
            assert seconds_of(lambda: shown.update(10, 1.0, "stopped")) < 0.1
            left = time.monotonic()
        server.signal(signal.SIGCONT)
        return time.monotonic() - left

    @flow
    def watched() -> float:
        return work()

    with caplog.at_level(logging.INFO, logger="carousel.search"):
        assert watched() < progress.LAST_WORD + 1
    assert server.progress() == [(100.0, "10 of 10, stopped")]


def test_a_last_word_is_shown_even_if_nothing_was_shown_before(server: Server) -> None:
    @task
    def work() -> None:
        with Progress("fit", 4) as shown:
            for done in range(5):
                shown.update(done, 1.0, "members trained")

    flow(lambda: work(), name="brief")()
    assert (100.0, "4 of 4, members trained") in server.progress()


def seconds_of(act: Callable[[], Any]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def wait_for(look: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not look():
        assert time.monotonic() < deadline
        time.sleep(0.1)
