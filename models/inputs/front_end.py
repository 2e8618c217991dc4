"""From frames to steps of the core: frames side by side, or convolved in time and frequency, at a lower rate.

Shapes: B items, T frames, M features of a frame, r frames a step, C channels the core reads.
"""

from __future__ import annotations

import torch
from torch import nn

from models.inputs.contract import inside

BANDS = 13
"""Bands that pooling over frequency leaves of a spectrum: within one, a formant may shift from speaker to speaker."""

TIME_KERNEL, FREQUENCY_KERNEL = 5, 7


class StackedFrames(nn.Module):
    """``r`` frames side by side (Sak et al. 2015); the last step of an item is filled up with zeros."""

    def __init__(self, features: int, frames: int) -> None:
        super().__init__()
        self.frames = frames
        self.output_size = features * frames

    def forward(self, x_BTM: torch.Tensor, lengths_B: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Map frames, zero past each length, to ``[B, ceil(T / r), r * M]`` and the lengths of that."""
        if self.frames == 1:
            return x_BTM, lengths_B
        steps = -(-x_BTM.shape[1] // self.frames)
        x_BTM = nn.functional.pad(x_BTM, (0, 0, 0, steps * self.frames - x_BTM.shape[1]))
        return x_BTM.reshape(len(x_BTM), steps, -1), -(-lengths_B // self.frames)


class ConvolvedFrames(nn.Module):
    """One convolution over time and frequency, or two, each followed by a maximum over neighbouring frequencies.

    Sainath et al. 2015 (convolution, LSTM); Abdel-Hamid et al. 2014 (pooling over frequency: the same vowel of another
    speaker lies a few bins higher). Steps are ``r`` frames apart; past an item's end all is silence.
    """

    def __init__(self, bins: int, frames: int, channels: int, layers: int) -> None:
        super().__init__()
        self.frames = frames
        self.first = nn.Conv2d(
            1,
            channels,
            (TIME_KERNEL, FREQUENCY_KERNEL),
            stride=(frames, 1),
            padding=(TIME_KERNEL // 2, FREQUENCY_KERNEL // 2),
        )
        self.pool = max(1, bins // BANDS)
        self.second = nn.Conv2d(channels, channels, 3, padding=1) if layers > 1 else None
        bands = bins // self.pool
        self.output_size = channels * (bands if self.second is None else bands // 2)
        # On a CPU the maximum over neighbours takes a third of the time where a place's filters lie side by side.
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, x_BTM: torch.Tensor, lengths_B: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Map frames, zero past each length, to ``[B, ceil(T / r), C]`` and the lengths of that."""
        spectrum_B1TM = x_BTM[:, None].contiguous(memory_format=torch.channels_last)
        h_BFTM = nn.functional.max_pool2d(self.first(spectrum_B1TM), (1, self.pool)).relu()
        lengths_B = -(-lengths_B // self.frames)
        real_BT = inside(lengths_B, h_BFTM.shape[2])
        h_BFTM = h_BFTM * real_BT[:, None, :, None]
        if self.second is not None:
            h_BFTM = nn.functional.max_pool2d(self.second(h_BFTM), (1, 2)).relu() * real_BT[:, None, :, None]
        return h_BFTM.permute(0, 2, 3, 1).flatten(2), lengths_B
