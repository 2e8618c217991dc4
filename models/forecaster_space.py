"""The conditional search space of forecasters, and the points that every search begins with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from models.cores.registry import CORES, TRIED
from models.forecaster import ForecasterConfig
from models.forecaster_facts import Facts
from models.heads.registry import HEADS
from models.inputs.scaling import SCALINGS
from models.suggest import Suggest, offered

SHORT_SEASON = 12
"""Steps of a season up to which a search begins with damped trends."""


@dataclass(frozen=True)
class ForecasterSpace:
    """The conditional space of forecasters for one data set."""

    facts: Facts

    def suggest(self, trial: Suggest) -> ForecasterConfig:
        """Draw a point that fits the data: contexts are whole seasons, patches divide the season."""
        season = self.facts.season_length
        seasons = trial.suggest_categorical("seasons", self.seasons)
        skip = trial.suggest_categorical("skip", self.skips)
        most = min(4, *self.seasons)
        core = trial.suggest_categorical("core", offered(trial, TRIED, [name for name in CORES if name not in TRIED]))
        head = trial.suggest_categorical("head", list(HEADS))
        return ForecasterConfig(
            context_length=seasons * season,
            patch_length=trial.suggest_categorical("patch_length", self.patch_lengths),
            skip=skip,
            skip_seasons=trial.suggest_int("skip_seasons", 1, most) if skip == "season" and most > 1 else 1,
            theta=trial.suggest_categorical("theta", [False, True]),
            damped=trial.suggest_categorical("damped", [False, True]),
            highway=trial.suggest_categorical("highway", [False, True]),
            correction=trial.suggest_categorical("correction", [False, True]),
            scaling=trial.suggest_categorical("scaling", SCALINGS),
            core=CORES[core].suggest(trial),
            head=HEADS[head].suggest(trial),
            distribution=trial.suggest_categorical("distribution", offered(trial, self.distributions, ["student_t"])),
        )

    @property
    def skips(self) -> list[str]:
        """Naive forecasts on offer; without a season the last value is the season."""
        return ["none", "last_value", "season"] if self.facts.season_length > 1 else ["none", "last_value"]

    @property
    def distributions(self) -> list[str]:
        """What a search may say of each step; only counts can be negative binomial."""
        return ["quantiles", "negative_binomial"] if self.facts.counts else ["quantiles"]

    def portfolio(self) -> list[dict[str, Any]]:
        """Return points that the search begins with, best guess first: ``benchmarks/portfolio.py`` chose them."""
        covariates = self.facts.encoding.known_numeric or self.facts.encoding.known_categorical
        long = {"seasons": min(self.seasons, key=lambda k: abs(k - 14))}
        fine = {"patch_length": self.patch_lengths[-min(4, len(self.patch_lengths))]}
        plain = {"theta": False, "damped": False}
        stepwise = {"head": "decoder", **fine, "skip_seasons": 1, **plain, "weighting": "none"}
        regular = {"num_layers": 1, "hidden_size": 128, "learning_rate": 1e-3, "weight_decay": 3e-2}
        variations: list[dict[str, Any]] = [
            *([stepwise] if covariates else []),
            {},
            *([{"correction": False}] if self.short else []),
            {"scaling": "mean_abs", "num_layers": 3, "skip_seasons": min(3, *self.seasons)},
            *([stepwise | long | {"theta": True}] if covariates else []),
            {"core": "dilated_lstm", **fine, "highway": True},
            {"skip": "last_value", **plain, "weighting": "none", "dropout": 0.2},
            {"head": "decoder", "skip_seasons": 1},
            {"highway": True, **plain, **long, **regular},
        ]
        return [self._best_guess | variation for variation in variations]

    @property
    def _best_guess(self) -> dict[str, Any]:
        return {
            "seasons": min(self.seasons, key=lambda k: abs(k - 5)),
            "patch_length": self.patch_lengths[-1],
            "skip": self.skips[-1],
            "skip_seasons": min(2, *self.seasons),
            "theta": True,
            "damped": self.short,
            "highway": False,
            "correction": True,
            "scaling": "standard",
            "core": "stacked_lstm",
            "hidden_size": 64,
            "num_layers": 2,
            "projection": False,
            "dropout": 0.0,
            "dropout_mask": "step",
            "weight_drop": 0.0,
            "residual": True,
            "layer_norm": True,
            "head": "direct",
            "mlp_size": 0,
            "attention": False,
            "distribution": "quantiles",
            "learning_rate": 3e-3,
            "weight_decay": 1e-2,
            "batch_size": 128,
            "weighting": "error_scale",
        }

    @property
    def short(self) -> bool:
        """Whether a search begins with damped trends: seasons such as years of months, not days of hours."""
        return self.facts.season_length <= SHORT_SEASON

    @property
    def seasons(self) -> list[int]:
        """Contexts on offer, in seasons: no longer than the longest series, and at most a thousand steps or so."""
        season, longest = self.facts.season_length, self.facts.longest
        steps = [3, 5, 8, 14] if season > 1 else [8, 16, 32, 64, 128]
        fitting = [k for k in steps if k * season <= min(longest, 1500)]
        return fitting or [max(1, min(longest, 1500) // season)]

    @property
    def patch_lengths(self) -> list[int]:
        """Divisors of the season, the largest few; without a season, those of every context on offer."""
        whole = self.facts.season_length if self.facts.season_length > 1 else min(8, *self.seasons)
        divisors = [p for p in range(1, whole + 1) if whole % p == 0]
        return divisors[-5:]
