"""What disturbs a log-mel spectrum in training, so that a speaker or a moment is not learned by heart.

Zero is the item's mean. What lies past an item's length may become anything: the caller blanks it.

Shapes: B items, T frames, M mel bins, N masks.
"""

from __future__ import annotations

import torch

WARP_LIMIT = 0.8
"""Share of the highest frequency below which a warp is a plain stretch; above it runs back to the highest one."""
TILT_KNOTS = 4


def mask_bands(x_BTM: torch.Tensor, masks: int, widest: int) -> torch.Tensor:
    """Blank ``masks`` bands of up to ``widest`` mel bins for a whole item (Park et al. 2019)."""
    bins = x_BTM.shape[2]
    blank_BM = _spans(torch.full((len(x_BTM),), bins, device=x_BTM.device), bins, masks, torch.tensor(widest))
    return x_BTM.masked_fill(blank_BM[:, None], 0.0)


def mask_times(x_BTM: torch.Tensor, lengths_B: torch.Tensor, masks: int, widest: int, share: float) -> torch.Tensor:
    """Blank ``masks`` stretches of up to ``widest`` frames and ``share`` of the item (Park et al. 2019)."""
    widest_B = (lengths_B * share).floor().clamp(max=widest)
    blank_BT = _spans(lengths_B, x_BTM.shape[1], masks, widest_B)
    return x_BTM.masked_fill(blank_BT[..., None], 0.0)


def _spans(sizes_B: torch.Tensor, longest: int, masks: int, widest_B: torch.Tensor) -> torch.Tensor:
    """Return the union of ``masks`` random spans inside ``[0, sizes_B)``: bool ``[B, longest]``."""
    draw_BN = torch.rand(2, len(sizes_B), masks, device=sizes_B.device)
    width_BN = (draw_BN[0] * (widest_B.to(sizes_B.device).reshape(-1, 1) + 1)).floor()
    start_BN = (draw_BN[1] * (sizes_B[:, None] - width_BN + 1).clamp(min=0)).floor()
    place = torch.arange(longest, device=sizes_B.device)
    return ((place >= start_BN[..., None]) & (place < (start_BN + width_BN)[..., None])).any(dim=1)


def warp_tract(x_BTM: torch.Tensor, mel_M: torch.Tensor, widest: float) -> torch.Tensor:
    """Stretch each item's frequency axis by a factor of 1 +- ``widest``: another vocal tract (Jaitly & Hinton 2013).

    Args:
        x_BTM: log-mel spectrum.
        mel_M: centre of each bin in mel, evenly spaced.
        widest: largest change of the factor.
    """
    factor_B1 = 1 + widest * (2 * torch.rand(len(x_BTM), 1, device=x_BTM.device) - 1)
    hertz_M, top = mel_to_hertz(mel_M), mel_to_hertz(mel_M[-1])
    knee_B1 = WARP_LIMIT * top * factor_B1.clamp(max=1) / factor_B1
    above_B1 = (top - knee_B1 * factor_B1) / (top - knee_B1)
    warped_BM = torch.where(hertz_M <= knee_B1, hertz_M * factor_B1, top - above_B1 * (top - hertz_M))
    place_BM = (hertz_to_mel(warped_BM) - mel_M[0]) / (mel_M[1] - mel_M[0])
    place_BM = place_BM.clamp(0, len(mel_M) - 1)
    # Linear interpolation between bins, as one small matrix an item.
    weight_BMM = (1 - (place_BM[:, None, :] - torch.arange(len(mel_M), device=x_BTM.device)[:, None]).abs()).clamp(
        min=0
    )
    return x_BTM @ weight_BMM


def tilt_bands(x_BTM: torch.Tensor, strength: float) -> torch.Tensor:
    """Add a random smooth curve over frequency to all frames of an item: another microphone (Nam et al. 2022).

    ``strength`` is the standard deviation at each of the curve's knots, between which it is linear.
    """
    knots_B1K = strength * torch.randn(len(x_BTM), 1, TILT_KNOTS, device=x_BTM.device)
    return x_BTM + torch.nn.functional.interpolate(knots_B1K, size=x_BTM.shape[2], mode="linear", align_corners=True)


def hertz_to_mel(hertz: torch.Tensor) -> torch.Tensor:
    """Return the mel of Kaldi: 1127 ln(1 + f / 700)."""
    return 1127.0 * torch.log1p(hertz / 700.0)


def mel_to_hertz(mel: torch.Tensor) -> torch.Tensor:
    """Undo ``hertz_to_mel``."""
    return 700.0 * torch.expm1(mel / 1127.0)


def deltas(x_BTM: torch.Tensor, lengths_B: torch.Tensor) -> torch.Tensor:
    """Return half the difference of the frames after and before; an end stands for its missing neighbour."""
    steps = torch.arange(x_BTM.shape[1], device=x_BTM.device)
    after_BT = torch.minimum(steps + 1, lengths_B[:, None] - 1)
    after_BTM = x_BTM.gather(1, after_BT[..., None].expand_as(x_BTM))
    before_BTM = torch.cat([x_BTM[:, :1], x_BTM[:, :-1]], dim=1)
    return (after_BTM - before_BTM) / 2
