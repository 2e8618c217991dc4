"""The checks, run side by side. Each has its time, so that what does not answer never holds up the others."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from carousel.doctor import (
    clocks,
    devices,
    home,
    listeners,
    orchestration,
    sharing,
    studies,
    tracking,
    variables,
    versions,
)
from carousel.doctor.findings import Finding, Found, broken, fault_of, told
from carousel.doctor.place import Place
from carousel.doctor.threads import side_by_side
from tasks.errors import input_errors

LIMIT = 25.0
"""Seconds for all checks together, once libraries are imported."""

CHECKS: dict[str, Callable[[Place], Found]] = {
    "versions": versions.look,
    "environment": variables.look,
    "home": home.look,
    "store": sharing.look,
    "studies": studies.look,
    "mlflow": tracking.look,
    "prefect": orchestration.look,
    "clocks": clocks.look,
    "devices": devices.look,
    "listening": listeners.look,
}


def examine(place: Place) -> list[Finding]:
    """Run all checks in ``place`` and return what each found, within ``LIMIT`` seconds and the time of imports."""
    for library in place.libraries:
        # What cannot be imported is told by the check that needs it.
        with suppress(Exception):
            importlib.import_module(library)
    findings = [Finding(name) for name in CHECKS]
    for late in side_by_side([partial(_run, place, finding) for finding in findings], LIMIT):
        finding = findings[late]
        finding.add(
            broken(
                f"the check of {finding.name} must end within {LIMIT:.0f} s",
                "no answer in that time",
                "see that what it asks for is alive and that a firewall between does not swallow the connection",
            )
        )
    return findings


def _run(place: Place, finding: Finding) -> None:
    """Fill ``finding``; whatever a check raises is one."""
    try:
        for found in CHECKS[finding.name](place):
            finding.add(found)
    except Exception as error:
        if wrong := input_errors(error):
            for one in wrong:
                finding.add(fault_of(one))
            return
        finding.add(
            broken(
                f"the check of {finding.name} must run to its end",
                f"{type(error).__name__}: {told(error)}",
                "mend what the message names; if it is a defect of the check, report it with this line",
            )
        )
