"""The forecaster: per-window scaling -> patches -> LSTM core -> head -> distribution, as a difference from the season.

Shapes: B windows, L context steps, N patches, R core output, F horizon, P parameters of a step's distribution, S season
length, K methods of exponential smoothing.
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import nn

from models.cores.registry import CoreConfig
from models.distributions import DISTRIBUTIONS, DistributionName, Forecast
from models.forecaster_facts import Facts
from models.heads.registry import HeadConfig
from models.heads.shape import HeadShape
from models.inputs.damped_trend import damped_trend_forecast
from models.inputs.numeric import NumericInput
from models.inputs.scaling import Scaling, last_observed, location_scale, seasonal_profile
from models.inputs.season import Deseasonalised
from models.inputs.theta import theta_forecast
from models.panel import Windows
from models.pooling import last_step


class ForecasterConfig(BaseModel):
    """One point of the search space.

    ``patch_length`` divides the context. ``skip`` is the naive forecast that the head corrects: the last value, or the
    mean of the newest ``skip_seasons`` seasons; with none the head predicts the scaled value itself. ``theta`` and
    ``damped`` let the core's output weigh, for each step, that forecast against those of the Theta method and of
    exponential smoothing with a damped trend: hybrids, as in Smyl (2020). ``highway`` adds a linear map of the whole
    context, past the core (Lai et al. 2018). Without ``correction`` the middle of the forecast is what these give and
    the head says how the rest lies around it: they are combined by features, as in Montero-Manso et al. (2020).
    ``distribution`` is what is said of each step.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    context_length: int = Field(ge=1)
    patch_length: int = Field(ge=1)
    skip: Literal["none", "last_value", "season"] = "none"
    skip_seasons: int = Field(1, ge=1)
    theta: bool = False
    damped: bool = False
    highway: bool = False
    correction: bool = True
    scaling: Scaling = "standard"
    core: CoreConfig
    head: Annotated[HeadConfig, Field(discriminator="head")]
    distribution: DistributionName = "quantiles"

    @model_validator(mode="after")
    def _whole_patches(self) -> ForecasterConfig:
        if self.context_length % self.patch_length:
            raise ValueError(
                f"context_length must be a multiple of patch_length (got {self.context_length} and {self.patch_length})"
            )
        return self


HIGHWAY_STD = 1e-3
"""Of the first weights of a highway: a fresh model is nearly its skip."""


class Forecaster(nn.Module):
    """A point of the space as a module."""

    leads_P: torch.Tensor
    levels_Q: torch.Tensor

    def __init__(self, config: ForecasterConfig, facts: Facts) -> None:
        super().__init__()
        self.config, self.facts = config, facts
        self.input = NumericInput(facts.encoding, facts.calendar_width, config.patch_length)
        self.core = config.core.build(self.input.patch_width)
        self.distribution = DISTRIBUTIONS[config.distribution]
        leads, self.middle = self.distribution.leads(facts.quantiles), self.distribution.middle(facts.quantiles)
        self.register_buffer("leads_P", torch.tensor(leads, dtype=torch.float32), persistent=False)
        self.register_buffer("levels_Q", torch.tensor(facts.quantiles, dtype=torch.float64), persistent=False)
        self.smoothings = [theta_forecast] * config.theta + [damped_trend_forecast] * config.damped
        shape = HeadShape(
            core=config.core,
            static_width=self.input.static_width,
            known_patch_width=self.input.known_patch_width,
            patch_length=config.patch_length,
            horizon=facts.horizon,
            parameters=len(leads),
            skip=config.skip != "none" or bool(self.smoothings) or config.highway,
        )
        self.head = config.head.build(shape)
        size = len(self.smoothings) * facts.horizon
        self.mixture = nn.Linear(config.core.output_size, size) if self.smoothings else None
        if self.mixture is not None:
            # Equal parts until something is learned.
            nn.init.zeros_(self.mixture.weight)
            nn.init.zeros_(self.mixture.bias)
        self.highway = nn.Linear(config.context_length, facts.horizon) if config.highway else None
        if self.highway is not None:
            nn.init.normal_(self.highway.weight, std=HIGHWAY_STD)
            nn.init.zeros_(self.highway.bias)

    def forward(self, windows: Windows) -> Forecast:
        """Forecast every window."""
        config, facts = self.config, self.facts
        location_B, scale_B = location_scale(windows.target_BL, config.scaling, facts.season_length)
        scaled_BL = (windows.target_BL - location_B[:, None]) / scale_B[:, None]
        patches_BNX, lengths_B = self.input(windows, scaled_BL)
        h_BNR, state = self.core(patches_BNX, lengths_B)
        skip_BF = self._naive(scaled_BL)
        if self.mixture is not None:
            smoothed_BKF = self._smoothed(windows, location_B, scale_B)
            logits_BKF = self.mixture(last_step(h_BNR, lengths_B)).unflatten(1, smoothed_BKF.shape[1:])
            # The naive forecast, whose logit is 0, comes first.
            shares_BKF = torch.softmax(nn.functional.pad(logits_BKF, (0, 0, 1, 0)), dim=1)
            skip_BF = (shares_BKF * torch.cat([skip_BF[:, None], smoothed_BKF], dim=1)).sum(dim=1)
        if self.highway is not None:
            # Relative to the newest season, so that the map sees no level; what was not observed is at it.
            level_B = torch.nanmean(scaled_BL[:, -facts.season_length :], dim=1).nan_to_num()
            skip_BF = skip_BF + self.highway((scaled_BL - level_B[:, None]).nan_to_num().float())
        y_BFP = self.head(h_BNR, lengths_B, state, self.input.static(windows), self.input.known(windows), skip_BF)
        if not config.correction:
            y_BFP = y_BFP - y_BFP[..., self.middle, None] * self.leads_P
        y_BFP = y_BFP + skip_BF[..., None] * self.leads_P
        return self.distribution(y_BFP, location_B, scale_B, self.levels_Q)

    def _smoothed(self, windows: Windows, location_B: torch.Tensor, scale_B: torch.Tensor) -> torch.Tensor:
        """Return what methods of exponential smoothing forecast, scaled: ``[B, K, F]``."""
        plain = Deseasonalised.of(windows.target_BL, self.facts.season_length, self.facts.horizon)
        forecast_BKF = torch.stack([forecast(plain) for forecast in self.smoothings], dim=1)
        return ((forecast_BKF - location_B[:, None, None]) / scale_B[:, None, None]).float()

    def _naive(self, scaled_BL: torch.Tensor) -> torch.Tensor:
        """Return the naive forecast: ``[B, F]``."""
        horizon, season = self.facts.horizon, self.facts.season_length
        if self.config.skip == "none":
            return scaled_BL.new_zeros((len(scaled_BL), horizon), dtype=torch.float32)
        if self.config.skip == "last_value":
            return last_observed(scaled_BL).float()[:, None].expand(-1, horizon)
        profile_BS = seasonal_profile(scaled_BL, season, self.config.skip_seasons).float()
        return profile_BS[:, torch.arange(horizon, device=scaled_BL.device) % season]
