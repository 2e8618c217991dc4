"""Which trials a search keeps for the ensemble: the best of each kind of network before the second best of any.

A search that goes on for long draws ever closer to its best point. An ensemble of its best trials would then be one of
near copies, which is worth little (``benchmarks/LOG.md``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable
from typing import Any

from tasks.studies import Entry


def kind_of(recipe: dict[str, Any]) -> Hashable:
    """Return what kind of network ``recipe`` makes: the names of its parts and its switches, without any number."""
    parts = {name: part.get(name) if isinstance(part, dict) else part for name, part in recipe["model"].items()}
    return tuple(sorted((name, part) for name, part in parts.items() if isinstance(part, str | bool)))


def varied(ranked: list[Entry], kind: Callable[[Entry], Hashable], most: int) -> list[Entry]:
    """Return ``most`` of the entries, in their order: first of each kind, then the second of each, and so on.

    Args:
        ranked: the entries, best first.
        kind: of an entry.
        most: entries to keep.
    """
    seen: Counter[Hashable] = Counter()
    rounds: dict[int, int] = {}
    for one in ranked:
        seen[of := kind(one)] += 1
        rounds[one.number] = seen[of]
    kept = sorted(ranked, key=lambda one: rounds[one.number])[:most]
    numbers = {one.number for one in kept}
    return [one for one in ranked if one.number in numbers]
