"""What a check finds: facts, and faults in the project's form of errors. ``hidden`` has seen all that is told of them.

Messages of drivers and clients may hold the address that they were given, password included; so nothing leaves a
``Finding`` as it came in.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import parse_qsl, unquote

from tasks.errors import InputError

Level = Literal["ok", "warning", "broken"]
HIDDEN = "***"

_SECRET_NAME = re.compile(
    r"PASSWORD|PASSWD|SECRET|TOKEN(?!IZ)|_AUTH|AUTH_STRING|API_KEY|ACCESS_KEY$|SIGNATURE|CREDENTIAL"
)
_USER_INFO = re.compile(r"(://[^\s:/@]*):(\S*)@")
_PARAMETER = re.compile(r"([?&;\s][\w-]*(?:password|secret|token|signature|sig)=)[^&;\s'\"]+", re.IGNORECASE)
_SHORTEST = 4
"""Characters of a secret that is looked for in text: a shorter one would be found in innocent words."""


@dataclass(frozen=True)
class Fault:
    """Something that is wrong; a warning does not keep Carousel from working."""

    level: Literal["warning", "broken"]
    rule: str
    received: str
    remedy: str


Found = Iterator[str | Fault]
"""What a check yields: facts, in few words, and faults."""


@dataclass
class Finding:
    """What a check of this ``name`` found, with every secret hidden."""

    name: str
    facts: list[str] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    def add(self, found: str | Fault) -> None:
        if isinstance(found, str):
            self.facts.append(hidden(found))
        else:
            self.faults.append(Fault(found.level, hidden(found.rule), hidden(found.received), hidden(found.remedy)))

    @property
    def level(self) -> Level:
        levels = {fault.level for fault in self.faults}
        return "broken" if "broken" in levels else "warning" if levels else "ok"

    @property
    def text(self) -> str:
        """What was found, on one line: what is wrong first."""
        return "; ".join([*(fault.received for fault in self.faults), *self.facts]).replace("\n", " ")

    def as_json(self) -> dict[str, Any]:
        return {
            "check": self.name,
            "status": self.level,
            "found": self.facts,
            "faults": [vars(fault) for fault in self.faults],
        }


def broken(rule: str, received: str, remedy: str) -> Fault:
    return Fault("broken", rule, received, remedy)


def warning(rule: str, received: str, remedy: str) -> Fault:
    return Fault("warning", rule, received, remedy)


def fault_of(error: InputError) -> Fault:
    return broken(error.rule, error.received, error.remedy)


def told(error: BaseException) -> str:
    """Return the first line of what ``error`` says."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def hidden(text: str) -> str:
    """Return ``text`` with ``***`` in place of passwords in URLs and of every secret that the environment holds."""
    for secret in _secrets():
        text = text.replace(secret, HIDDEN)
    return _PARAMETER.sub(rf"\1{HIDDEN}", _USER_INFO.sub(rf"\1:{HIDDEN}@", text))


def _secrets() -> list[str]:
    """Return the secrets in environment variables, as they are written and as they are meant, the longest first."""
    found: set[str] = set()
    for name, value in os.environ.items():
        if "://" in value:
            found |= _in_url(value)
        elif _SECRET_NAME.search(name.upper()):
            found |= {value, value.partition(":")[2]}
    meant = found | {unquote(secret) for secret in found}
    return sorted((secret for secret in meant if len(secret) >= _SHORTEST), key=len, reverse=True)


def _in_url(url: str) -> set[str]:
    found = {password for _, password in _USER_INFO.findall(url)}
    query = url.partition("?")[2].partition("#")[0]
    return found | {value for name, value in parse_qsl(query) if _SECRET_NAME.search(name.upper())}
