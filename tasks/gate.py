"""Stage ``gate``: may this model become champion? The decision with all its evidence, before anything is registered.

It is a function of the evaluation and the limits alone, so that report, registry, console and Prefect show one and the
same. Whoever became champion after the evaluation is not in it: ``register`` compares before it sets the alias.

    decision.json   passed, promotes, reason; each check with what was asked and found; the paired test against the
                    champion; the limits
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from prefect import task
from pydantic import ConfigDict, Field

from tasks import store
from tasks.config import Config
from tasks.kinds.metric import parse
from tasks.references import MANIFEST, Decision, Evaluation, Model
from tasks.reporting.failure import explain_stage
from tasks.scoring.clusters import FEWEST
from tasks.scoring.comparison import SIGNIFICANT

VERSION = 1


class GateConfig(Config):
    """The gate between challenger and champion."""

    model_config = ConfigDict(title="Gate")

    promote: Literal["auto", "approve", "never"] = Field(
        "auto",
        title="Promote",
        description="auto: the challenger becomes champion if no baseline is better and it is shown to be better than "
        "the champion. approve: then somebody is asked.",
    )
    max_miscalibration: float = Field(
        0.05,
        title="Calibration margin",
        description="How much further than the champion's its coverage may lie from 80 %, or how much greater its "
        "calibration error may be.",
        ge=0,
        le=1,
    )
    max_latency_ms: float | None = Field(
        None, title="Latency", description="Milliseconds for one window or item; none: no limit.", gt=0
    )
    max_size_mb: float | None = Field(
        None, title="Size", description="Megabytes (1e6 bytes) of all its files; none: no limit.", gt=0
    )


@dataclass(frozen=True)
class Check:
    """One condition: what was ``asked`` and ``found``, each half a sentence, and what is said if it is not met."""

    name: str
    asked: str
    found: str
    passed: bool
    failure: str

    def told(self) -> dict[str, Any]:
        return {"name": self.name, "asked": self.asked, "found": self.found, "passed": self.passed}


@task(name="gate", on_failure=[explain_stage])
def judge_model(model: Model, evaluation: Evaluation, register: GateConfig) -> Decision:
    """Decide by ``evaluation`` and the limits of ``register`` whether ``model`` may become champion."""
    bundle, evaluated = store.path(model), store.path(evaluation)
    key = store.Key("gate", VERSION, register, (model.fingerprint, evaluation.fingerprint))

    def compute(out: Path) -> dict[str, Any]:
        facts = json.loads((evaluated / "evaluation.json").read_text(encoding="utf-8"))
        size = sum(path.stat().st_size for path in bundle.rglob("*") if path.name != MANIFEST)
        decision = decide(facts, size / 1e6, register)
        (out / "decision.json").write_text(json.dumps(decision, indent=2, allow_nan=False), encoding="utf-8")
        return {name: decision[name] for name in ("passed", "promotes", "reason")}

    return Decision(key.uri, key.fingerprint, **store.commit(key, compute))


def decide(facts: dict[str, Any], size_mb: float, config: GateConfig) -> dict[str, Any]:
    """Return the content of ``decision.json``.

    Args:
        facts: content of ``evaluation.json``.
        size_mb: of the model's files.
        config: the limits.
    """
    checks = list(_checks(facts, size_mb, config))
    test = facts["tests"].get("champion")
    passed = all(check.passed for check in checks)
    reason = _praise(facts, test) if passed else "; ".join(check.failure for check in checks if not check.passed)
    if config.promote == "never":
        reason = (
            f"register.promote is never, else the gate {'had let it pass' if passed else 'had refused it'}: {reason}"
        )
    return {
        "passed": passed,
        "promotes": passed and config.promote == "auto",
        "reason": reason,
        "checks": [check.told() for check in checks],
        "against": test,
        "limits": config.model_dump(mode="json"),
    }


def _checks(facts: dict[str, Any], size_mb: float, config: GateConfig) -> Iterator[Check]:
    model = next(row for row in facts["leaderboard"] if row["kind"] == "lstm")
    if (best := facts["best_baseline"]) is not None:
        headline = parse(facts["metrics"])[0]
        theirs = next(row for row in facts["leaderboard"] if row["name"] == best)
        shown = [f"{row['name']} {headline.shown(row[headline.name])}" for row in (model, theirs)]
        failure = f"the baseline {best} is better"
        yield Check("baselines", "none is better", " and ".join(shown), facts["beats_baselines"], failure)
    yield _against_champion(facts)
    gaps = facts["miscalibration"]
    if {"lstm", "champion"} <= set(gaps):
        most, found = gaps["champion"] + config.max_miscalibration, f"{gaps['lstm']:.3f} from its aim"
        asked = f"at most {most:.3f} from its aim, {config.max_miscalibration:g} more than the champion"
        failure = f"it is worse calibrated than the champion: {found}, and at most {most:.3f} is allowed"
        yield Check("calibration", asked, found, gaps["lstm"] <= most, failure)
    if config.max_latency_ms is not None:
        yield _limit("latency", model["latency_ms"], config.max_latency_ms, f"ms for one {facts['noun']}")
    if config.max_size_mb is not None:
        yield _limit("size", size_mb, config.max_size_mb, "MB")


def _against_champion(facts: dict[str, Any]) -> Check:
    asked = f"shown to be better, p < {SIGNIFICANT:g}"
    if (note := facts["champion_note"]) is not None:
        return Check("champion", asked, note, False, f"the champion could not be compared: {note}")
    test = facts["tests"].get("champion")
    if test is None:
        return Check("champion", asked, "there is none", True, "")
    found = _measured(facts, test)
    failure = f"it is not shown to be better than {test['other']}: {found}"
    if test["clusters"] < FEWEST:
        remedy = "split.test_windows" if facts["noun"] == "window" else "split.test_share"
        failure += f"; nothing is shown by fewer than {FEWEST} independent {facts['noun']}s: raise {remedy}"
    return Check("champion", asked, found, facts["beats_champion"], failure)


def _measured(facts: dict[str, Any], test: dict[str, Any]) -> str:
    """Say what the paired test found: MASE 1.32 against 1.43, 7.7 % less (95 %: -11.0 to -4.1 %), p = 0.0003 ..."""
    if not test["count"]:
        return f"no {facts['noun']} to compare them on"
    told = f"{facts['error']} {test['model_error']:.4g} against {test['other_error']:.4g}"
    if test["other_error"]:
        change, low, high = (100 * test[name] / test["other_error"] for name in ("difference", "low", "high"))
        told += f", {abs(change):.1f} % {'less' if change < 0 else 'more'} (95 %: {low:+.1f} to {high:+.1f} %)"
    p = "no p-value" if test["p_value"] is None else f"p = {test['p_value']:.2g}"
    told += f", {p} on {test['count']} {facts['noun']}{'' if test['count'] == 1 else 's'}"
    return told if test["clusters"] == test["count"] else f"{told}, tested by {test['by']} ({test['clusters']})"


def _praise(facts: dict[str, Any], test: dict[str, Any] | None) -> str:
    first = "no baseline is better" if facts["best_baseline"] is not None else "there is no baseline"
    if test is None:
        return f"{first}, and there was no champion"
    return f"{first}, and it is better than {test['other']}: {_measured(facts, test)}"


def _limit(name: str, found: float, most: float, unit: str) -> Check:
    return Check(name, f"at most {most:g} {unit}", f"{found:.3g} {unit}", found <= most,
                 f"its {name} is {found:.3g} {unit}, and at most {most:g} is allowed")  # fmt: skip
