"""What ``deploy/compose.yaml`` describes, as processes of this machine instead of containers.

Commands, variables and health checks are those of the file, filled in from an env file as Docker Compose does it, and
the variables of the image those of ``deploy/Dockerfile``. Host names, ports and directories become this machine's.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from operated import wait_for

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
PROGRAMS = {"python": [], "prefect": ["-m", "prefect"], "carousel": ["-m", "carousel"]}
WORKER_PORT = "8080"
_VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")


def example() -> dict[str, str]:
    """Return the variables of ``deploy/example.env``; secrets are empty."""
    lines = (DEPLOY / "example.env").read_text().splitlines()
    pairs = [line.partition("=") for line in lines if line and not line.startswith("#")]
    return {name: value for name, _, value in pairs}


def filled_in(text: str, values: dict[str, str]) -> str:
    """Return ``text`` with its variables replaced as by Docker Compose, which refuses an empty ``${NAME:?why}``."""

    def value(found: re.Match[str]) -> str:
        name, kind, more = found.groups()
        if given := values.get(name):
            return given
        if kind != "-":
            raise ValueError(f"{name}: {more or 'no default'}")
        return more

    return _VARIABLE.sub(value, text)


def image_variables() -> dict[str, str]:
    """Return what ENV of the last stage of ``deploy/Dockerfile`` that all variants share sets, but for PATH."""
    text = (DEPLOY / "Dockerfile").read_text()
    [stage] = re.findall(r"^FROM \S+ AS runtime$(.*?)^FROM", text, re.MULTILINE | re.DOTALL)
    [block] = re.findall(r"^ENV (.*?[^\\])$", stage, re.MULTILINE | re.DOTALL)
    return {name: value for name, value in re.findall(r"(\w+)=(\S+)", block) if name != "PATH"}


def image_health() -> list[str]:
    """Return the command of HEALTHCHECK in ``deploy/Dockerfile``."""
    [command] = re.findall(
        r"^HEALTHCHECK .*?CMD (\[.*?\])$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE | re.DOTALL
    )
    return json.loads(command)


@dataclass
class Composed:
    """The services of ``compose.yaml`` on this machine.

    Args:
        values: what the env file holds.
        replaced: names of the containers' world and what stands for them here.
        directory: for logs.
        changed: variables that a service gets otherwise than in its container.
    """

    values: dict[str, str]
    replaced: dict[str, str]
    directory: Path
    changed: dict[str, dict[str, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        described = filled_in((DEPLOY / "compose.yaml").read_text(), self.values)
        self.services: dict[str, Any] = yaml.safe_load(described)["services"]
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str) -> None:
        """Start a service that goes on until it is stopped."""
        self.launch(name, self.command(name), self.variables(name))

    def launch(self, name: str, command: list[str], variables: dict[str, str] | None = None) -> None:
        """Start ``command`` in the place of a service."""
        with (self.directory / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                command, cwd=self.directory, env=variables, stdout=log, stderr=log, start_new_session=True
            )

    def run(self, name: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Run a service that ends by itself."""
        variables = {**self.variables(name), **more}
        return subprocess.run(self.command(name), cwd=self.directory, env=variables, capture_output=True, text=True)

    def healthy(self, name: str, seconds: float) -> None:
        """Return as soon as the health check of a service says that it is well."""
        own = self.services[name].get("healthcheck")
        test = self._here(own["test"][1:] if own else image_health())
        # In its container each worker has this port for itself.
        port = self.changed.get(name, {}).get("PREFECT_WORKER_WEBSERVER_PORT", WORKER_PORT)
        command = [text.replace(WORKER_PORT, port) for text in _program(test)]

        def well() -> bool:
            assert self.processes[name].poll() is None, self.log(name)
            return subprocess.run(command, capture_output=True).returncode == 0

        wait_for(well, seconds, f"{name} is not well: {self.log(name)}", pause=1.5)

    def stop(self) -> None:
        for process in reversed(self.processes.values()):
            process.terminate()
        for process in self.processes.values():
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def log(self, name: str) -> str:
        return (self.directory / f"{name}.log").read_text(errors="replace")[-4000:]

    def command(self, name: str) -> list[str]:
        return _program(self._here(self.services[name]["command"]))

    def variables(self, name: str) -> dict[str, str]:
        """Return the environment of a service: nothing of ours but what a process needs."""
        prefixes = ("PREFECT_", "MLFLOW_", "CAROUSEL_", "AWS_")
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(prefixes)}
        own = {**image_variables(), **self.services[name]["environment"]}
        here = dict(zip(own, self._here([str(value) for value in own.values()]), strict=True))
        return {**inherited, "PYTHONPATH": str(ROOT), **here, **self.changed.get(name, {})}

    def _here(self, texts: list[str]) -> list[str]:
        names = "|".join(re.escape(name) for name in sorted(self.replaced, key=len, reverse=True))
        return [re.sub(names, lambda found: self.replaced[found[0]], text) for text in texts]


def _program(command: list[str]) -> list[str]:
    return [sys.executable, *PROGRAMS[command[0]], *command[1:]]
