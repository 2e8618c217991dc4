"""Guards end what they guard, however they are ended; a home has one set of servers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from filelock import FileLock

from carousel import services
from carousel.authentication import HOST
from carousel.ports import demanded_port
from carousel.services import Addresses, Service
from tasks.environment import Environment
from tasks.errors import InputError

# A server that starts a process of its own, ignores SIGTERM there, and says both pids.
SERVER = """
import os, signal, subprocess, sys, time
code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(100)"
child = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
print(os.getpid(), child.pid, flush=True)
time.sleep(100)
"""


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Service:
    (tmp_path / "served.py").write_text(SERVER)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{Path(__file__).parents[2]}")
    return Service.start(Environment(home=tmp_path), "served", ["served"], {})


def test_a_stopped_service_leaves_no_process_even_in_a_session_of_its_own(service: Service) -> None:
    pids = _pids(service)
    service.stop()
    assert not any(psutil.pid_exists(pid) for pid in pids)


def test_a_service_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    (tmp_path / "served.py").write_text(SERVER)
    code = (
        "import os, time; from carousel.services import Service; from tasks.environment import Environment\n"
        f"Service.start(Environment(home={str(tmp_path)!r}), 'served', ['served'], {{}}); time.sleep(100)"
    )
    path = f"{tmp_path}:{Path(__file__).parents[2]}"
    parent = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": path})
    pids = _wait_for(lambda: [int(pid) for pid in _text(tmp_path / "logs" / "served.log").split()])
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    assert _wait_for(lambda: not any(psutil.pid_exists(pid) for pid in pids))


def test_a_service_is_told_when_its_guard_is_killed(service: Service) -> None:
    server, child = _pids(service)
    service.guard.kill()
    service.guard.wait()
    assert _wait_for(lambda: not psutil.pid_exists(server))
    psutil.Process(child).kill()


def test_a_service_that_ends_by_itself_is_reported_with_the_end_of_its_log(tmp_path: Path) -> None:
    broken = Service.start(Environment(home=tmp_path), "broken", ["no_such_module"], {})
    with pytest.raises(RuntimeError, match=r"broken has ended(.|\n)*no_such_module"):
        broken.wait_for("http://127.0.0.1:1/")


def test_servers_are_found_only_while_their_holder_lives(tmp_path: Path) -> None:
    env, addresses = Environment(home=tmp_path), Addresses("http://127.0.0.1:1", "http://127.0.0.1:2")
    with services.alone(env):
        assert services.holder(env) == os.getpid()
        with services.announced(env, addresses):
            assert services.running(env) == addresses
            left = {name: (tmp_path / name).read_text() for name in ("services.json", "services.pid")}
        assert services.running(env) is None
    for name, text in left.items():
        (tmp_path / name).write_text(text)
    assert services.running(env) is None, "a file that a killed process left is no server"
    assert services.holder(env) is None
    with services.alone(env):
        assert services.running(env) is None, "nor is it one when the next begins"


def test_a_home_that_is_looked_at_is_not_taken(tmp_path: Path) -> None:
    env = Environment(home=tmp_path)
    looked = threading.Event()

    def look() -> None:
        with FileLock(tmp_path / "services.lock"):
            looked.set()
            time.sleep(0.3)

    looking = threading.Thread(target=look)
    looking.start()
    looked.wait()
    with services.alone(env):
        assert services.holder(env) == os.getpid()
    looking.join()


def test_a_taken_port_is_refused_when_demanded_and_avoided_when_not() -> None:
    import socket

    with socket.socket() as listening:
        listening.bind((HOST, 0))
        listening.listen()
        taken = listening.getsockname()[1]
        assert services.free_port(taken) != taken
        with pytest.raises(InputError, match=f"a port must be free .got {taken}, which is taken by .*{os.getpid()}"):
            demanded_port(taken)


def _pids(service: Service) -> list[int]:
    return _wait_for(lambda: [int(pid) for pid in _text(service.log).split()])


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def _wait_for(look: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 30
    while not (found := look()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found
