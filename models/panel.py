"""The ragged array of a forecast panel: flat values and offsets on disk, memory-mapped, windows gathered by index.

    target.npy      [S]      float64, NaN where nothing was observed
    numeric.npy     [S, C]   float32, standardised covariates, past ones first, then known ones; NaN where missing
    codes.npy       [S, K]   int32, categorical covariates likewise, 0 for unknown
    offsets.npy     [N+1]    int64, item i owns rows offsets[i] to offsets[i+1]
    static_numeric.npy [N, C'] and static_codes.npy [N, K']
    calendar.npy    [D, A]   float32, one row for each distinct stamp, reaching one horizon past the newest item
    calendar_start.npy [N]   int64, the calendar row of each item's first step
    error_scale.npy [N]      float64, seasonal-naive error of the training part, NaN where it has none

Shapes: S steps over all items, N items, B windows of a batch, L context steps, F horizon steps.
A window is (item, end): its context are the steps before ``end``, its truth the ``F`` steps from ``end`` on.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import torch

from models.encoding import Encoding, Recoding

_ARRAYS = (
    "target", "numeric", "codes", "offsets", "static_numeric", "static_codes",
    "calendar", "calendar_start", "error_scale",
)  # fmt: skip


@dataclass(frozen=True)
class Windows:
    """A batch of windows. ``truth_BF`` holds NaN where nothing was observed or the item has ended."""

    target_BL: torch.Tensor
    inside_BL: torch.Tensor
    numeric_BLC: torch.Tensor
    codes_BLK: torch.Tensor
    calendar_BLA: torch.Tensor
    known_numeric_BFC: torch.Tensor
    known_codes_BFK: torch.Tensor
    known_calendar_BFA: torch.Tensor
    static_numeric_BC: torch.Tensor
    static_codes_BK: torch.Tensor
    truth_BF: torch.Tensor
    error_scale_B: torch.Tensor

    def newest(self, steps: int) -> Windows:
        """Return the windows as if their items had begun with the newest ``steps`` of the context."""
        inside_BL = self.inside_BL & (
            torch.arange(self.inside_BL.shape[1], device=self.inside_BL.device).flip(0) < steps
        )
        return replace(
            self,
            target_BL=torch.where(inside_BL, self.target_BL, torch.nan),
            inside_BL=inside_BL,
            numeric_BLC=torch.where(inside_BL[..., None], self.numeric_BLC, torch.nan),
            codes_BLK=torch.where(inside_BL[..., None], self.codes_BLK, 0),
            calendar_BLA=torch.where(inside_BL[..., None], self.calendar_BLA, 0.0),
        )

    def recoded(self, recoding: Recoding) -> Windows:
        """Return the windows as the panel of ``recoding.target`` would have given them.

        What is recoded are windows and never a panel, which may be larger than memory.
        """
        encoding = recoding.source

        def numeric(values: torch.Tensor, columns: list[str]) -> torch.Tensor:
            return torch.from_numpy(recoding.numeric(values.numpy(), columns))

        def codes(values: torch.Tensor, columns: list[str]) -> torch.Tensor:
            return torch.from_numpy(recoding.categories(values.numpy(), columns))

        return replace(
            self,
            numeric_BLC=numeric(self.numeric_BLC, encoding.numeric),
            codes_BLK=codes(self.codes_BLK, encoding.categorical),
            known_numeric_BFC=numeric(self.known_numeric_BFC, encoding.known_numeric),
            known_codes_BFK=codes(self.known_codes_BFK, encoding.known_categorical),
            static_numeric_BC=numeric(self.static_numeric_BC, encoding.static_numeric),
            static_codes_BK=codes(self.static_codes_BK, encoding.static_categorical),
        )

    def to(self, device: torch.device) -> Windows:
        return Windows(**{field.name: getattr(self, field.name).to(device) for field in fields(self)})


@dataclass(frozen=True)
class Panel:
    """All items of a data set; every array as the module says, on disk or in memory."""

    encoding: Encoding
    target: torch.Tensor
    numeric: torch.Tensor
    codes: torch.Tensor
    offsets: torch.Tensor
    static_numeric: torch.Tensor
    static_codes: torch.Tensor
    calendar: torch.Tensor
    calendar_start: torch.Tensor
    error_scale: torch.Tensor

    @classmethod
    def open(cls, directory: Path) -> Panel:
        """Map the arrays under ``directory``: nothing is read until it is gathered."""
        # Copy-on-write mapping: torch warns of read-only arrays, and nothing here writes.
        arrays = {name: torch.from_numpy(np.load(directory / f"{name}.npy", mmap_mode="c")) for name in _ARRAYS}
        return cls(encoding=Encoding.model_validate_json((directory / "encoding.json").read_text()), **arrays)

    @classmethod
    def from_arrays(cls, encoding: Encoding, **arrays: np.ndarray) -> Panel:
        return cls(encoding=encoding, **{name: torch.from_numpy(array) for name, array in arrays.items()})

    @property
    def items(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> torch.Tensor:
        return self.offsets[1:] - self.offsets[:-1]

    def _lengths(self, items_B: torch.Tensor) -> torch.Tensor:
        """Return the steps of some items: those of all take as long as there are items, at each step of a training."""
        return self.offsets[items_B + 1] - self.offsets[items_B]

    def history(self, item: int, end: int) -> np.ndarray:
        """Return the target of ``item`` before step ``end``: float64 ``[end]``."""
        start = int(self.offsets[item])
        return self.target[start : start + end].numpy()

    def truth(self, items_B: torch.Tensor, ends_B: torch.Tensor, horizon: int) -> torch.Tensor:
        """Return the target from ``ends_B`` on: float64 ``[B, F]``, NaN past the end of an item."""
        future_BF = ends_B[:, None] + torch.arange(horizon)
        inside_BF = future_BF < self._lengths(items_B)[:, None]
        flat_BF = (self.offsets[items_B][:, None] + future_BF).clamp(max=len(self.target) - 1)
        return torch.where(inside_BF, self.target[flat_BF], torch.nan)

    def gather(self, items_B: torch.Tensor, ends_B: torch.Tensor, context: int, horizon: int) -> Windows:
        """Gather windows by index, each array in one operation.

        Args:
            items_B: int64 item numbers.
            ends_B: int64 first step to predict, counted from the item's first.
            context: steps read before it; those before the item's first are flagged by ``inside_BL``.
            horizon: steps to predict.
        """
        start_B1 = self.offsets[items_B][:, None]
        past_BL = ends_B[:, None] - context + torch.arange(context)
        inside_BL = past_BL >= 0
        past_BL = past_BL.clamp(min=0)
        flat_BL = start_B1 + past_BL
        future_BF = ends_B[:, None] + torch.arange(horizon)
        exists_BF = future_BF < self._lengths(items_B)[:, None]
        flat_BF = torch.where(exists_BF, start_B1 + future_BF, start_B1)
        calendar_B1 = self.calendar_start[items_B][:, None]
        known_numeric, known_codes = len(self.encoding.known_numeric), len(self.encoding.known_categorical)
        numeric_BFC = self.numeric[flat_BF][..., self.numeric.shape[1] - known_numeric :]
        codes_BFK = self.codes[flat_BF][..., self.codes.shape[1] - known_codes :]
        return Windows(
            target_BL=torch.where(inside_BL, self.target[flat_BL], torch.nan),
            inside_BL=inside_BL,
            numeric_BLC=torch.where(inside_BL[..., None], self.numeric[flat_BL], torch.nan),
            codes_BLK=torch.where(inside_BL[..., None], self.codes[flat_BL], 0),
            calendar_BLA=torch.where(inside_BL[..., None], self.calendar[calendar_B1 + past_BL], 0.0),
            known_numeric_BFC=torch.where(exists_BF[..., None], numeric_BFC, torch.nan),
            known_codes_BFK=torch.where(exists_BF[..., None], codes_BFK, 0),
            known_calendar_BFA=self.calendar[calendar_B1 + future_BF],
            static_numeric_BC=self.static_numeric[items_B],
            static_codes_BK=self.static_codes[items_B],
            truth_BF=torch.where(exists_BF, self.target[flat_BF], torch.nan),
            error_scale_B=self.error_scale[items_B],
        )


def allocate(
    directory: Path, encoding: Encoding, steps: int, items: int, calendar: np.ndarray
) -> dict[str, np.ndarray]:
    """Create the files of a panel and return its arrays, mapped for writing; ``calendar`` is written as it is.

    Args:
        directory: made if it is not there.
        encoding: the columns and how they are encoded.
        steps: S.
        items: N.
        calendar: float32 ``[D, A]``.
    """
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "encoding.json").write_text(encoding.model_dump_json(indent=2))
    np.save(directory / "calendar.npy", calendar)
    shapes: dict[str, tuple[type, tuple[int, ...]]] = {
        "target": (np.float64, (steps,)),
        "numeric": (np.float32, (steps, len(encoding.numeric))),
        "codes": (np.int32, (steps, len(encoding.categorical))),
        "offsets": (np.int64, (items + 1,)),
        "static_numeric": (np.float32, (items, len(encoding.static_numeric))),
        "static_codes": (np.int32, (items, len(encoding.static_categorical))),
        "calendar_start": (np.int64, (items,)),
        "error_scale": (np.float64, (items,)),
    }
    return {
        name: np.lib.format.open_memmap(directory / f"{name}.npy", mode="w+", dtype=dtype, shape=shape)
        for name, (dtype, shape) in shapes.items()
    }
