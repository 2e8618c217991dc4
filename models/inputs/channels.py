"""Numeric channels of a sequence: standardised, missing values flagged, differences beside them, disturbed in training.

Shapes: B items, T steps, C channels of the data, M channels that have missing values.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field

from models.inputs.contract import FittedInput, InputModule, InputPoint, inside
from models.inputs.frames import refuse_rows, required_column
from models.suggest import Suggest

if TYPE_CHECKING:
    import pandas as pd

    from models.sequence_columns import SequenceColumns

VIEW = "channels"


class NumericFacts(FittedInput):
    """Names, mean and standard deviation of each channel over the training steps, and which channels have gaps."""

    streams: ClassVar[bool] = True
    kind: Literal["numeric"] = "numeric"
    columns: list[str]
    means: list[float]
    stds: list[float]
    gaps: list[bool]

    @property
    def views(self) -> list[str]:
        return [VIEW]

    def unit(self, view: str) -> str:
        return "steps"

    def layout(self, view: str) -> tuple[np.dtype, tuple[int, ...]]:
        return np.dtype(np.float32), (len(self.columns),)

    def read(self, frame: pd.DataFrame, columns: SequenceColumns) -> tuple[np.ndarray, list[np.ndarray]]:
        """Read lists, a row an item, or a long table, a row a step, in the order of the step column if there is one."""
        import pandas as pd

        channels = [required_column(frame, channel) for channel in columns.input]
        if frame.empty:
            return np.arange(0), []
        if np.ndim(channels[0].iloc[0]):
            return np.arange(len(frame)), [_item(row, [one.iloc[row] for one in channels]) for row in range(len(frame))]
        values = np.stack([channel.to_numpy(np.float64, na_value=np.nan) for channel in channels], axis=1)
        if columns.item_id:
            ids = [required_column(frame, name) for name in columns.item_id]
            codes, _ = pd.factorize(pd.MultiIndex.from_arrays(ids))
        else:
            codes = np.zeros(len(frame), np.int64)
        step = required_column(frame, columns.step) if columns.step else frame.index.to_series()
        refuse_rows(step.isna(), step, "what orders the rows of an item")
        order = np.lexsort((step.to_numpy(), codes))
        starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
        return order[starts], np.split(values[order], starts[1:])

    def encode(self, view: str, raw: np.ndarray) -> np.ndarray:
        """Standardise ``raw`` float64 ``[T, C]``; what is not finite becomes NaN, no steps at all one missing step.

        Raises:
            ValueError: the item has another number of channels.
        """
        if raw.ndim != 2 or raw.shape[1] != len(self.columns):
            raise ValueError(
                f"an item must be steps x {len(self.columns)} channels (got shape {raw.shape}): give the columns "
                f"{', '.join(self.columns[:5])}"
            )
        if not len(raw):
            return np.full((1, len(self.columns)), np.nan, dtype=np.float32)
        finite = np.where(np.isfinite(raw), raw, np.nan)
        return ((finite - np.array(self.means)) / np.array(self.stds)).astype(np.float32)

    def decode(self, encoded: np.ndarray) -> np.ndarray:
        """Return what ``encode`` was given, but for rounding: float64 ``[T, C]``."""
        return encoded.astype(np.float64) * np.array(self.stds) + np.array(self.means)


def _item(row: int, lists: list[Any]) -> np.ndarray:
    """Turn a list of each channel into float64 ``[T, C]``.

    Raises:
        ValueError: one is no list, or they are not as long as each other.
    """
    given = [np.asarray(one, np.float64) for one in lists]
    if any(one.ndim != 1 or len(one) != len(given[0]) for one in given):
        shapes = ", ".join("no list" if one.ndim != 1 else f"{len(one)} steps" for one in given[:5])
        raise ValueError(f"channels must be lists of as many numbers each (row {row} has {shapes}): mend or remove it")
    return np.stack(given, axis=1)


def fit_numeric(columns: list[str], items: Iterable[np.ndarray]) -> NumericFacts:
    """Fit mean and standard deviation in one pass, missing values ignored.

    Args:
        columns: names of the channels.
        items: float64 ``[T, C]`` each, NaN where a value is missing.
    """
    count, mean, squares = (np.zeros(len(columns)) for _ in range(3))
    gaps = np.zeros(len(columns), dtype=bool)
    for item in items:
        seen = ~np.isnan(item)
        gaps |= ~seen.all(axis=0)
        n = seen.sum(axis=0)
        item_mean = np.where(seen, item, 0.0).sum(axis=0) / np.maximum(n, 1)
        item_squares = np.where(seen, (item - item_mean) ** 2, 0.0).sum(axis=0)
        # Chan, Golub & LeVeque 1979: two groups' moments merged without the loss of digits of a sum of squares.
        total, shift = np.maximum(count + n, 1), item_mean - mean
        squares += item_squares + shift**2 * count * n / total
        mean += shift * n / total
        count += n
    std = np.sqrt(squares / np.maximum(count, 1))
    constant = std <= 1e-12 * np.abs(mean)
    return NumericFacts(
        columns=list(columns),
        means=mean.tolist(),
        stds=np.where(constant, 1.0, std).tolist(),
        gaps=gaps.tolist(),
    )


class NumericInputConfig(InputPoint):
    """One point: what is derived from the channels, and what disturbs them in training.

    Noise, Gaussian: Bishop 1995. An offset is what a fixed microphone or transmission line adds to each cepstral
    coefficient (Atal 1974), a sensor's mounting or drift to each of its axes: a model that was trained with it does not
    take the level of one session for what it is to predict. Where items are learned chunk by chunk, it is drawn for
    each chunk, and so are the channels that are blanked.
    """

    input: Literal["numeric"] = "numeric"
    view: Literal["channels"] = "channels"
    deltas: bool = Field(False, description="differences to the step before, beside the values")
    noise: float = Field(0.0, ge=0, description="standard deviation of Gaussian noise, in standardised units")
    offset: float = Field(
        0.0,
        ge=0,
        description="standard deviation of a constant added to each channel of an item, in standardised units",
    )
    step_dropout: float = Field(0.0, ge=0, lt=1, description="share of steps whose values are blanked")
    channel_dropout: float = Field(0.0, ge=0, lt=1, description="share of channels blanked for a whole item")

    @classmethod
    def suggest(cls, trial: Suggest, facts: NumericFacts, views: list[str]) -> NumericInputConfig:
        """Draw a point; channels are only dropped where others remain."""
        return cls(
            deltas=trial.suggest_categorical("deltas", [False, True]),
            noise=trial.suggest_categorical("noise", [0.0, 0.1, 0.2, 0.4, 0.8]),
            offset=trial.suggest_categorical("offset", [0.0, 0.1, 0.2, 0.4, 0.8]),
            step_dropout=trial.suggest_categorical("step_dropout", [0.0, 0.1, 0.2]),
            channel_dropout=trial.suggest_categorical("channel_dropout", [0.0, 0.1, 0.2])
            if len(facts.columns) > 2
            else 0.0,
        )

    @classmethod
    def portfolio(cls, facts: NumericFacts, aligning: bool = False) -> list[dict[str, Any]]:
        """Return points as trial parameters: first differences and an unsure level, which no session fits too well."""
        start: dict[str, Any] = {"deltas": True, "noise": 0.1, "offset": 0.4, "step_dropout": 0.0}
        if len(facts.columns) > 2:
            start["channel_dropout"] = 0.0
        return [
            start,
            start | {"offset": 0.0, "noise": 0.0},
            start | {"noise": 0.4},
            start | {"deltas": False},
            start | {"deltas": False, "offset": 0.0},
            start | {"offset": 0.2, "noise": 0.2, "step_dropout": 0.1},
        ]

    def build(self, facts: NumericFacts) -> ChannelsInput:
        return ChannelsInput(self, facts)


class ChannelsInput(InputModule):
    """``[values, flags of missing ones, differences]``; a blanked value is the mean, 0."""

    def __init__(self, config: NumericInputConfig, facts: NumericFacts) -> None:
        super().__init__()
        self.config = config
        self.gaps = [i for i, gap in enumerate(facts.gaps) if gap]
        channels = len(facts.columns)
        self.output_size = channels * (2 if config.deltas else 1) + len(self.gaps)

    def forward(self, values_BTX: torch.Tensor, lengths_B: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Read ``values_BTX`` float32 ``[B, T, C]``, NaN where a value is missing."""
        parts = [values_BTX.isnan()[..., self.gaps].to(values_BTX.dtype)] if self.gaps else []
        # A missing value is still NaN when it is disturbed: it becomes the mean then too.
        x_BTC = (self._disturb(values_BTX) if self.training else values_BTX).nan_to_num()
        parts.insert(0, x_BTC)
        if self.config.deltas:
            parts.append(torch.diff(x_BTC, dim=1, prepend=x_BTC[:, :1]))
        real_BT1 = inside(lengths_B, x_BTC.shape[1])[..., None]
        return torch.cat(parts, dim=-1) * real_BT1, lengths_B

    def _disturb(self, x_BTC: torch.Tensor) -> torch.Tensor:
        config = self.config
        if config.offset:
            x_BTC = x_BTC + config.offset * torch.randn_like(x_BTC[:, :1])
        if config.noise:
            x_BTC = x_BTC + config.noise * torch.randn_like(x_BTC)
        if config.step_dropout:
            x_BTC = x_BTC * (torch.rand_like(x_BTC[..., :1]) >= config.step_dropout)
        if config.channel_dropout:
            x_BTC = x_BTC * (torch.rand_like(x_BTC[:, :1]) >= config.channel_dropout)
        return x_BTC
