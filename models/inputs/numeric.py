"""Numeric channels of a panel: target, flags, covariates, calendar and embedded categories, read patch by patch.

One step of the core reads ``patch_length`` time steps at once. Patches end where the window ends; a window that
reaches back before its item's first step has fewer of them, moved to the front, so that padding comes last.

Shapes: B windows, L context steps, F horizon steps, P patch length, N patches, M patches of the horizon, C channels.
"""

from __future__ import annotations

import math

import torch
from torch import nn

from models.encoding import Encoding
from models.panel import Windows


class Embeddings(nn.Module):
    """Vectors for categorical columns, side by side; code 0 (unknown) has one of its own."""

    def __init__(self, vocabularies: list[list[str]]) -> None:
        super().__init__()
        widths = [min(16, math.ceil(math.sqrt(len(vocabulary) + 1))) for vocabulary in vocabularies]
        self.tables = nn.ModuleList(
            nn.Embedding(len(vocabulary) + 1, width) for vocabulary, width in zip(vocabularies, widths, strict=True)
        )
        self.width = sum(widths)

    def forward(self, codes: torch.Tensor) -> torch.Tensor:
        """Map codes ``[..., K]`` to vectors ``[..., width]``."""
        if not self.tables:
            return codes.new_zeros((*codes.shape[:-1], 0), dtype=torch.float32)
        return torch.cat([table(codes[..., k].long()) for k, table in enumerate(self.tables)], dim=-1)


def _with_flags(numeric: torch.Tensor) -> torch.Tensor:
    """Replace missing values by the mean (0) and append a flag for each column: ``[..., 2C]``."""
    return torch.cat([numeric.nan_to_num(), numeric.isnan().float()], dim=-1)


class NumericInput(nn.Module):
    """Turns windows into patches for the core and into known patches of the horizon for the head."""

    def __init__(self, encoding: Encoding, calendar_width: int, patch_length: int) -> None:
        super().__init__()
        self.patch_length = patch_length
        vocabularies = encoding.vocabularies
        self.embeddings = Embeddings([vocabularies[name] for name in encoding.categorical])
        self.static_embeddings = Embeddings([vocabularies[name] for name in encoding.static_categorical])
        known = [vocabularies[name] for name in encoding.known_categorical]
        self.known_embeddings = Embeddings(known)
        numeric, known_numeric = len(encoding.numeric), len(encoding.known_numeric)
        self.channels = 2 + 2 * numeric + calendar_width + self.embeddings.width
        self.known_channels = 2 * known_numeric + calendar_width + self.known_embeddings.width
        self.static_width = 2 * len(encoding.static_numeric) + self.static_embeddings.width

    @property
    def patch_width(self) -> int:
        return self.channels * self.patch_length

    @property
    def known_patch_width(self) -> int:
        return self.known_channels * self.patch_length

    def forward(self, windows: Windows, scaled_BL: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return patches ``[B, N, P * C]`` and how many of each row are real, int64 ``[B]``, at least 1."""
        observed_BL = ~scaled_BL.isnan()
        x_BLC = torch.cat(
            [
                scaled_BL.nan_to_num().float()[..., None],
                observed_BL.float()[..., None],
                _with_flags(windows.numeric_BLC),
                windows.calendar_BLA,
                self.embeddings(windows.codes_BLK),
            ],
            dim=-1,
        )
        x_BLC = x_BLC * windows.inside_BL[..., None]
        count = x_BLC.shape[1] // self.patch_length
        patches_BNX = x_BLC.reshape(len(x_BLC), count, self.patch_width)
        steps_B = windows.inside_BL.sum(dim=1)
        lengths_B = ((steps_B + self.patch_length - 1) // self.patch_length).clamp(min=1)
        if bool((lengths_B == count).all()):
            return patches_BNX, lengths_B
        order_BN = (torch.arange(count, device=lengths_B.device) + (count - lengths_B)[:, None]).clamp(max=count - 1)
        return patches_BNX.gather(1, order_BN[..., None].expand_as(patches_BNX)), lengths_B

    def known(self, windows: Windows) -> torch.Tensor:
        """Return what is known of the horizon, patch by patch: ``[B, M, P * C]``, zero past the horizon."""
        x_BFC = torch.cat(
            [
                _with_flags(windows.known_numeric_BFC),
                windows.known_calendar_BFA,
                self.known_embeddings(windows.known_codes_BFK),
            ],
            dim=-1,
        )
        patches = -(-x_BFC.shape[1] // self.patch_length)
        missing = patches * self.patch_length - x_BFC.shape[1]
        return nn.functional.pad(x_BFC, (0, 0, 0, missing)).reshape(len(x_BFC), patches, self.known_patch_width)

    def static(self, windows: Windows) -> torch.Tensor:
        """Return static features: ``[B, static_width]``."""
        return torch.cat(
            [_with_flags(windows.static_numeric_BC), self.static_embeddings(windows.static_codes_BK)], dim=-1
        )
