"""Whether what is installed lies in the ranges of ``pyproject.toml``; some of them are there because others break."""

from __future__ import annotations

import sys
import tomllib
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from carousel.doctor.findings import Fault, Found, broken
from carousel.doctor.place import Place

PROJECT = Path(__file__).parents[2] / "pyproject.toml"

BREAKS = {
    "fastapi": "with another one Prefect's server does not start, or refuses 'prefect deploy'",
    "sqlalchemy": "with another one the schedules of Prefect create no runs, and nothing says so",
    "prefect": "Carousel corrects this version's server where it loses parameters and heartbeats",
}


def look(place: Place) -> Found:
    """Compare the interpreter and every required package with the ranges of the project."""
    yield f"Python {sys.version.partition(' ')[0]}"
    python = python_range()
    if not python.contains(sys.version.partition(" ")[0], prereleases=True):
        received = f"Python {sys.version.partition(' ')[0]}"
        yield broken(f"Python must be {python}", received, "make the environment anew with such a Python")
    asked = requirements()
    yield f"{len(asked)} packages"
    for one in asked:
        if fault := _fault(one):
            yield fault
    if _installed("lightning") and _installed("pytorch-lightning"):
        yield broken(
            "one Lightning must be installed, pytorch-lightning",
            f"lightning {_installed('lightning')} beside pytorch-lightning {_installed('pytorch-lightning')}",
            "pip uninstall lightning: callbacks of the one are none to the other",
        )


def python_range() -> SpecifierSet:
    if PROJECT.exists():
        return SpecifierSet(_project()["requires-python"])
    return SpecifierSet(metadata("carousel")["Requires-Python"] or "")


def requirements() -> list[Requirement]:
    """Return what the project needs, and of its extras what is installed."""
    return [one for extra, one in _listed() if not extra or _installed(one.name)]


def extra_of(package: str) -> str:
    """Return what ``pip install`` takes for ``package``: the extra of Carousel that has it, if there is one."""
    extras = [extra for extra, one in _listed() if one.name == package and extra not in ("", "dev")]
    return f"'carousel[{extras[0]}]'" if extras else package


def _listed() -> list[tuple[str, Requirement]]:
    """Return every requirement with its extra; without one, it is always needed."""
    if PROJECT.exists():
        listed = {"": _project()["dependencies"], **_project().get("optional-dependencies", {})}
        return [(extra, Requirement(line)) for extra, lines in listed.items() for line in lines]
    extras = metadata("carousel").get_all("Provides-Extra") or []
    found = [Requirement(line) for line in requires("carousel") or []]
    return [(next((extra for extra in extras if _needs(one, extra)), ""), one) for one in found]


def _needs(one: Requirement, extra: str) -> bool:
    """Say whether ``one`` is needed for ``extra`` alone."""
    return one.marker is not None and not one.marker.evaluate({"extra": ""}) and one.marker.evaluate({"extra": extra})


def _project() -> dict[str, Any]:
    return tomllib.loads(PROJECT.read_text())["project"]


def _fault(one: Requirement) -> Fault | None:
    found = _installed(one.name)
    if found is not None and one.specifier.contains(found, prereleases=True):
        return None
    why = f" ({BREAKS[one.name]})" if one.name in BREAKS else ""
    received = "none" if found is None else found
    return broken(
        f"{one.name} must be {one.specifier}{why}", f"{one.name} {received}", f"pip install '{one.name}{one.specifier}'"
    )


def _installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
