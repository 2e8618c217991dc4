"""What a forecast says of each step of the horizon: its quantiles, or the parameters of a distribution.

Quantiles take part with the loss of Koenker & Bassett 1978; a distribution with its negative log-likelihood, as in
Salinas et al. 2020 (DeepAR), but for each step by itself: quantiles of single steps are what is asked for, and those
come in closed form instead of from sampled paths.

Shapes: B windows, F horizon, P parameters of a step, Q quantiles.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import distributions
from torch.nn.functional import softplus

DistributionName = Literal["quantiles", "student_t", "negative_binomial"]

LEAST_FREEDOM = 2.0
"""Degrees of freedom of a Student t: above, its variance is finite."""
LEAST = 1e-4
"""Of a scale, of a mean and of a dispersion."""


@dataclass(frozen=True)
class Forecast(ABC):
    """A forecast in scaled units, with what turns it back: ``value = scaled * scale + location``.

    ``y_BFP`` is what the head says, the skip added; ``levels_Q`` are the quantiles', float64.
    """

    y_BFP: torch.Tensor
    location_B: torch.Tensor
    scale_B: torch.Tensor
    levels_Q: torch.Tensor

    @classmethod
    @abstractmethod
    def leads(cls, levels: Sequence[float]) -> list[bool]:
        """Say of each parameter whether it is a value of the series, which the skip is added to: P of them."""

    @classmethod
    @abstractmethod
    def middle(cls, levels: Sequence[float]) -> int:
        """Return which of the parameters says where the middle of the distribution lies: one that leads."""

    @abstractmethod
    def loss_BF(self, truth_BF: torch.Tensor) -> torch.Tensor:
        """Return each step's loss for the truth in the target's units, that is observed everywhere."""

    @abstractmethod
    def _values(self) -> torch.Tensor:
        """Return the quantiles in the target's units, float64 ``[B, F, Q]``."""

    def unscaled(self) -> torch.Tensor:
        """Return the quantiles in the target's units, float64 ``[B, F, Q]``, rising along Q."""
        return self._values().sort(dim=2).values

    def scaled(self, truth_BF: torch.Tensor) -> torch.Tensor:
        """Return a truth in scaled units: float32."""
        return ((truth_BF - self.location_B[:, None]) / self.scale_B[:, None]).float()

    def turned_back(self, scaled_BFX: torch.Tensor) -> torch.Tensor:
        """Return values in the target's units: float64."""
        return scaled_BFX.double() * self.scale_B[:, None, None] + self.location_B[:, None, None]


class Quantiles(Forecast):
    """The quantiles themselves: no assumption on how values are distributed."""

    @classmethod
    def leads(cls, levels: Sequence[float]) -> list[bool]:
        return [True] * len(levels)

    @classmethod
    def middle(cls, levels: Sequence[float]) -> int:
        return list(levels).index(0.5)

    def loss_BF(self, truth_BF: torch.Tensor) -> torch.Tensor:
        levels_Q = self.levels_Q.to(self.y_BFP.dtype)
        error_BFQ = self.scaled(truth_BF)[..., None] - self.y_BFP
        return torch.maximum(levels_Q * error_BFQ, (levels_Q - 1) * error_BFQ).mean(dim=2) * 2

    def _values(self) -> torch.Tensor:
        return self.turned_back(self.y_BFP)


class StudentT(Forecast):
    """Location, scale and degrees of freedom: a bell with tails as heavy as the data's."""

    @classmethod
    def leads(cls, levels: Sequence[float]) -> list[bool]:
        return [True, False, False]

    @classmethod
    def middle(cls, levels: Sequence[float]) -> int:
        return 0

    def loss_BF(self, truth_BF: torch.Tensor) -> torch.Tensor:
        location_BF, scale_BF, freedom_BF = self._parameters()
        # torch.distributions.StudentT checks its parameters even if told not to, so a training that diverges raised.
        half_BF, distance_BF = freedom_BF / 2, (self.scaled(truth_BF) - location_BF) / scale_BF
        tails_BF = (half_BF + 0.5) * torch.log1p(distance_BF.square() / freedom_BF)
        return (
            tails_BF + (math.pi * freedom_BF).log() / 2 + scale_BF.log() + half_BF.lgamma() - (half_BF + 0.5).lgamma()
        )

    def _values(self) -> torch.Tensor:
        from scipy.special import stdtrit

        location, scale, freedom = (one.detach().double().cpu().numpy()[..., None] for one in self._parameters())
        quantiles = location + scale * stdtrit(freedom, self.levels_Q.cpu().numpy())
        return self.turned_back(torch.from_numpy(quantiles).to(self.y_BFP.device))

    def _parameters(self) -> tuple[torch.Tensor, ...]:
        location_BF, scale_BF, freedom_BF = self.y_BFP.unbind(dim=2)
        return location_BF, softplus(scale_BF) + LEAST, softplus(freedom_BF) + LEAST_FREEDOM


class NegativeBinomial(Forecast):
    """Mean and dispersion of counts, in the target's own units: quantiles are whole numbers."""

    @classmethod
    def leads(cls, levels: Sequence[float]) -> list[bool]:
        return [True, False]

    @classmethod
    def middle(cls, levels: Sequence[float]) -> int:
        return 0

    def loss_BF(self, truth_BF: torch.Tensor) -> torch.Tensor:
        mean_BF, dispersion_BF = self._parameters()
        count_BF = 1 / dispersion_BF
        logits_BF = (mean_BF * dispersion_BF).log()
        told = distributions.NegativeBinomial(count_BF, logits=logits_BF, validate_args=False)
        return -told.log_prob(truth_BF.float())

    def _values(self) -> torch.Tensor:
        from scipy.stats import nbinom

        mean, dispersion = (one.detach().double().cpu().numpy()[..., None] for one in self._parameters())
        counts = nbinom.ppf(self.levels_Q.cpu().numpy(), 1 / dispersion, 1 / (1 + mean * dispersion))
        return torch.from_numpy(counts).to(self.y_BFP.device)

    def _parameters(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the mean ``[B, F]``, made positive in units of the window's scale, and the dispersion."""
        y_BF, dispersion_BF = self.y_BFP.unbind(dim=2)
        ratio_B1 = (self.location_B / self.scale_B).float()[:, None]
        mean_BF = (softplus(y_BF + ratio_B1, beta=4.0) + LEAST) * self.scale_B.float()[:, None]
        return mean_BF, softplus(dispersion_BF) + LEAST


DISTRIBUTIONS: dict[str, type[Forecast]] = {
    "quantiles": Quantiles,
    "student_t": StudentT,
    "negative_binomial": NegativeBinomial,
}
