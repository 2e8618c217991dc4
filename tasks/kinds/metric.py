"""What is said of a metric wherever its values are shown: leaderboard, report, card, registry."""

from __future__ import annotations

from typing import Any, NamedTuple

PERCENT = "percent"


class Metric(NamedTuple):
    """One column of a leaderboard.

    ``higher_is_better`` is None for a metric that has an aim of its own, as a coverage. ``format`` is a format
    specification such as ``.3f``, or ``percent`` for a share between 0 and 1. ``hint`` explains the title in half a
    sentence. A metric that is not ``brief`` stands in the report alone, not in the tables of terminal and card. ``aim``
    is the value of a calibrated model, for the metric that measures calibration.
    """

    name: str
    title: str
    higher_is_better: bool | None
    format: str
    hint: str = ""
    brief: bool = True
    aim: float | None = None

    def cost(self, value: float | None) -> float:
        """Return ``value`` as what is to be small; infinite where there is none."""
        if value is None or value != value:
            return float("inf")
        return float(-value if self.higher_is_better else value)

    def shown(self, value: float | None) -> str:
        """Return ``value`` as it is printed."""
        if value is None or value != value:
            return "–"
        return f"{100 * value:.1f} %" if self.format == PERCENT else f"{value:{self.format}}"


def parse(described: list[dict[str, Any]]) -> list[Metric]:
    """Return the metrics of an ``evaluation.json``, the headline first."""
    return [Metric(**one) for one in described]
