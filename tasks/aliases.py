"""Who holds an alias of a registered model, who held it before, by whom and why it was changed.

Every change stands in a tag of the registered model, ``carousel.alias.000007``, as JSON: the log travels with the
registry, is seen in MLflow's pages, and is all that a rollback needs. A change is made under a lock: compare, set the
alias, log. What was cut off before it was logged, or changed by others, is logged as found before the next change.

MLflow has no compare-and-set, and the lock is a file below the home: all who change aliases must share that home.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Literal

from filelock import FileLock

from tasks.environment import environment
from tasks.errors import InputError
from tasks.references import ModelVersion
from tasks.registry import (
    APPROVAL,
    CHAMPION,
    DECISION,
    GATE,
    GIVEN,
    PASSED,
    REFUSED,
    RIVAL,
    WAITS,
    client,
    decision,
    exists,
    holder,
    registered_model,
)

ENTRY = "carousel.alias."
FOUND = "changed by other means, or by a process that was killed"


@dataclass(frozen=True)
class Change:
    """An entry of the log: ``alias`` went from version ``before`` to ``after``; None: nobody has it.

    ``time`` is UTC in ISO 8601. ``found`` is a change that nobody logged when it was made.
    """

    time: str
    alias: str
    before: str | None
    after: str | None
    action: Literal["given", "rolled back", "found"]
    by: str
    why: str


def history(name: str) -> list[Change]:
    """Return all changes of the aliases of the registered model ``name``, oldest first.

    Raises:
        InputError: no such model is registered.
    """
    tags = registered_model(name).tags
    return [Change(**json.loads(tags[key])) for key in sorted(tags) if key.startswith(ENTRY)]


def give(name: str, alias: str, version: str, by: str, why: str) -> None:
    """Give ``alias`` of ``name`` to ``version``, whoever has it now."""
    with _locked(name, alias) as present:
        _change(name, Change(_now(), alias, present, version, "given", by, why))


def replace_champion(name: str, version: str, expected: str | None, by: str, why: str) -> bool:
    """Make ``version`` the champion of ``name`` if ``expected`` still is; return whether ``version`` is now.

    Args:
        name: the registered model.
        version: its number.
        expected: the champion that ``version`` was compared with; None: there was none.
        by: who decided.
        why: the evidence.
    """
    with _locked(name, CHAMPION) as present:
        if present not in (expected, version):
            return False
        _change(name, Change(_now(), CHAMPION, present, version, "given", by, why))
    return True


def promote(version: ModelVersion, by: str, why: str, force: bool = False) -> None:
    """Make ``version`` the champion because somebody says so.

    Args:
        version: which passed the gate against the present champion.
        by: who decided.
        why: the reason, for the log.
        force: whatever the gate said.

    Raises:
        InputError: it is the champion, the gate did not let it pass, it was never compared with the present champion,
            or that has just changed.
    """
    name, champion = version.name, holder(version.name, CHAMPION)
    present = str(champion.version) if champion else None
    if present == version.version:
        raise InputError(
            "only another version can become champion", f"{name}/{present}, the champion", "choose another"
        )
    if not force and (objection := _objection(version, present)):
        raise InputError(
            "a champion is replaced by what passed the gate against it",
            f"{name}/{version.version}: {objection}",
            "train it again, so that the two are compared, or take it upon yourself with --force",
        )
    if not replace_champion(name, version.version, present, by, why):
        raise InputError(
            "the champion must not change while it is being replaced",
            f"{name}: it was version {present} and now is another",
            f"look at 'carousel models {name}' and decide again",
        )
    if _waits(version):
        _settle(version, GIVEN, f"promoted: {by} approved ({why})")


def waiting(name: str, version: str, reason: str) -> str:
    """Return what stands at a version that passed the gate for ``reason`` and waits until somebody approves."""
    return f"waits for approval ('carousel promote {name}/{version}' gives it): {reason}"


def answer(version: ModelVersion, approved: bool, by: str, why: str) -> None:
    """Make ``version``, which waits, the champion or not; one that was decided on meanwhile stays as it is.

    It does not become champion either if it was compared with another than the present one.
    """
    if not _waits(version):
        return
    told = f" ({why})" if why else ""
    if not approved:
        _settle(version, REFUSED, f"not promoted: {by} refused approval{told}")
        return
    rival = client().get_model_version(version.name, version.version).tags.get(RIVAL)
    if replace_champion(version.name, version.version, rival, by, why or "approved"):
        _settle(version, GIVEN, f"promoted: {by} approved{told}")
    else:
        _settle(version, GIVEN, overtaken(version.name))


def overtaken(name: str) -> str:
    """Return what stands at a version of ``name`` that was compared with another than the present champion."""
    present = holder(name, CHAMPION)
    now = f"version {present.version} became champion" if present else "the champion lost its alias"
    return f"not promoted: {now} meanwhile, and was not compared"


def rollback(name: str, by: str, why: str) -> str:
    """Give ``champion`` of ``name`` back to the version that had it before, and return that version.

    A second rollback goes one further back; versions that were deleted are passed over.

    Raises:
        InputError: no such model is registered, or there is no earlier champion.
    """
    registered_model(name)
    with _locked(name, CHAMPION) as present:
        earlier = [version for version in _held(history(name)) if version != present and exists(name, version)]
        if not earlier:
            raise InputError(
                "a rollback needs a champion before the present one",
                f"{name}: version {present} is the first" if present else f"{name}, which never had a champion",
                f"make another version the champion: carousel promote {name}/VERSION",
            )
        _change(name, Change(_now(), CHAMPION, present, earlier[-1], "rolled back", by, why))
    return earlier[-1]


def _objection(version: ModelVersion, present: str | None) -> str | None:
    """Say why ``version`` may not replace the champion ``present``; None: it may."""
    tags = client().get_model_version(version.name, version.version).tags
    if tags.get(GATE) != PASSED:
        return decision(version)
    if (compared := tags.get(RIVAL)) != present:
        told = f"version {compared}" if compared else "no champion"
        now = f"version {present} is champion" if present else "there is no champion"
        return f"it was compared with {told}, and {now}"
    return None


def _waits(version: ModelVersion) -> bool:
    return client().get_model_version(version.name, version.version).tags.get(APPROVAL) == WAITS


def _settle(version: ModelVersion, approval: str, outcome: str) -> None:
    """Let ``outcome``, with the gate's reason, stand at ``version``, and then that it waits no more."""
    reason = decision(version).partition(": ")[2]
    for tag, value in {DECISION: f"{outcome}; {reason}", APPROVAL: approval}.items():
        client().set_model_version_tag(version.name, version.version, tag, value)


def _held(changes: list[Change]) -> list[str]:
    """Return the versions that had ``champion`` and were not rolled back, the newest last."""
    held: list[str] = []
    for change in changes:
        if change.alias != CHAMPION or change.after is None:
            continue
        if change.action == "rolled back" and change.after in held:
            del held[held.index(change.after) + 1 :]
        else:
            held = [*(version for version in held if version != change.after), change.after]
    return held


@contextmanager
def _locked(name: str, alias: str) -> Iterator[str | None]:
    """Let nobody else change an alias of ``name``; yield the version that has ``alias``, which the log knows of."""
    with FileLock(environment().root / f"aliases-{name}.lock"):
        version = holder(name, alias)
        present = str(version.version) if version else None
        logged = next((change.after for change in reversed(history(name)) if change.alias == alias), None)
        if logged != present:
            _log(name, Change(_now(), alias, logged, present, "found", "unknown", FOUND))
        yield present


def _change(name: str, change: Change) -> None:
    assert change.after is not None, "an alias is given to a version"
    if change.after != change.before:
        client().set_registered_model_alias(name, change.alias, change.after)
        _log(name, change)


def _log(name: str, change: Change) -> None:
    keys = [key for key in registered_model(name).tags if key.startswith(ENTRY)]
    number = int(max(keys, default="0").removeprefix(ENTRY)) + 1
    client().set_registered_model_tag(name, f"{ENTRY}{number:06}", json.dumps(asdict(change), ensure_ascii=False))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
