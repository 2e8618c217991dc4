"""What ``carousel doctor`` prints: a line for each check, then each fault with rule, received and remedy."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from carousel.doctor.findings import Finding, Level

if TYPE_CHECKING:
    from pydantic import ValidationError

_ORDER: list[Level] = ["ok", "warning", "broken"]
_WIDTH = 160


def print_findings(findings: Sequence[Finding], *, as_json: bool) -> None:
    """Print ``findings`` on stdout."""
    worst = max((finding.level for finding in findings), key=_ORDER.index)
    if as_json:
        print(json.dumps({"status": worst, "checks": [finding.as_json() for finding in findings]}, indent=2))
        return
    for finding in findings:
        text = finding.text
        print(f"{finding.level:<8} {finding.name:<12} {text if len(text) <= _WIDTH else text[: _WIDTH - 3] + '...'}")
    for finding in findings:
        for fault in finding.faults:
            head = "error" if fault.level == "broken" else "warning"
            print(f"\n{head}: {fault.rule}\n  received: {fault.received}\n  remedy: {fault.remedy}")


def of_invalid(error: ValidationError) -> list[Finding]:
    """Return the finding of an environment that cannot be read; nothing else can be looked at then."""
    from carousel.doctor.variables import invalid

    finding = Finding("environment", ["nothing else was looked at"])
    for fault in invalid([(str(one["loc"][0]), one["msg"]) for one in error.errors()]):
        finding.add(fault)
    return [finding]
