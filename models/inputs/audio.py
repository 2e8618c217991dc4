"""Audio as log-mel filterbank features, normalised for each utterance, disturbed in training, several frames a step.

Shapes: B items, T frames (one each 10 ms), M mel bins.
"""

from __future__ import annotations

import io
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field

from models.inputs.contract import FittedInput, InputModule, InputPoint, inside
from models.inputs.front_end import ConvolvedFrames, StackedFrames
from models.inputs.spectrum import deltas, hertz_to_mel, mask_bands, mask_times, tilt_bands, warp_tract
from models.suggest import Suggest

if TYPE_CHECKING:
    import pandas as pd
    from kaldi_native_fbank import FbankOptions

    from models.sequence_columns import SequenceColumns

VIEW = "fbank"
SAMPLES, RATE = "samples", "sample_rate"
"""Columns in which a served model takes audio, instead of a path."""
RATES = (1000, 1_000_000)
"""Of what a served model takes: resampling from a lower one would let a short request fill the memory."""
SPEEDS = (1.0, 0.9, 1.1)
HIGHEST_RATE = 16_000
LOWEST_HERTZ = 20.0
WINDOW_SECONDS, HOP_SECONDS = 0.025, 0.010
FULL_SCALE = 32_768.0
"""Kaldi's features are defined on 16-bit samples; on samples of -1 to 1 its floor would hide quiet speech."""
SILENCE = 0.0
"""Log energy below what the rounding to 16 bits leaves: digital silence is no further from speech than that."""


class AudioFacts(FittedInput):
    """At which rate audio is read and how many mel bins it becomes."""

    opens_files: ClassVar[bool] = True
    kind: Literal["audio"] = "audio"
    sample_rate: int = Field(ge=1000, le=HIGHEST_RATE)
    bins: int = Field(ge=8)

    @property
    def views(self) -> list[str]:
        return [VIEW]

    @property
    def variants(self) -> int:
        """One for each speed (Ko et al. 2015), the true one first."""
        return len(SPEEDS)

    def unit(self, view: str) -> str:
        return f"frames of {HOP_SECONDS * 1000:g} ms"

    def layout(self, view: str) -> tuple[np.dtype, tuple[int, ...]]:
        return np.dtype(np.float32), (self.bins,)

    def read(self, frame: pd.DataFrame, columns: SequenceColumns) -> tuple[np.ndarray, list[np.ndarray]]:
        """Read a recording from each row: its samples and their rate, or else the file at its path."""
        paths = frame[columns.input[0]] if columns.input[0] in frame else [None] * len(frame)
        raws = []
        for row in range(len(frame)):
            if SAMPLES in frame and frame[SAMPLES][row] is not None and np.ndim(frame[SAMPLES][row]):
                samples = np.asarray(frame[SAMPLES][row], np.float32)
                if samples.ndim != 1 or not np.isfinite(samples).all():
                    found = "several channels" if samples.ndim != 1 else "NaN or infinite ones"
                    raise ValueError(
                        f"{SAMPLES} must be finite numbers of one channel (row {row} has {found}): mend them"
                    )
                rate = self._rate(frame, row)
            elif isinstance(path := paths[row], str):
                samples, rate = read_audio(Path(path))
            else:
                raise ValueError(f"each row must have a path or samples (row {row} has neither): give one of them")
            raws.append(resample(samples, int(rate), self.sample_rate))
        return np.arange(len(frame)), raws

    def _rate(self, frame: pd.DataFrame, row: int) -> float:
        """Return the rate of the samples in ``row``: the model's own where none is given."""
        import pandas as pd

        if RATE not in frame or pd.isna(frame[RATE][row]):
            return self.sample_rate
        if not RATES[0] <= (rate := float(frame[RATE][row])) <= RATES[1]:
            lowest, highest = RATES
            raise ValueError(f"{RATE} must be from {lowest:,} to {highest:,} Hz (row {row} has {rate:g}): mend it")
        return rate

    def size(self, raw: np.ndarray) -> int:
        """Return how many frames ``raw`` becomes."""
        return len(raw) // round(HOP_SECONDS * self.sample_rate)

    def encode(self, view: str, raw: np.ndarray) -> np.ndarray:
        """Turn mono samples float32 ``[n]`` of -1 to 1 at ``sample_rate`` into normalised features ``[T, M]``."""
        return normalise(self.log_mel(raw))

    def encode_variant(self, view: str, raw: np.ndarray, variant: int) -> np.ndarray:
        """Likewise, played at another of ``SPEEDS``: pitch, formants and pace change together."""
        speed = SPEEDS[variant]
        return self.encode(view, raw if speed == 1.0 else resample(raw, self.sample_rate * speed, self.sample_rate))

    def log_mel(self, samples: np.ndarray) -> np.ndarray:
        """Return float32 ``[T, M]``, before normalisation; audio shorter than a frame becomes one frame."""
        from kaldi_native_fbank import OnlineFbank

        hop = round(HOP_SECONDS * self.sample_rate)
        padded = np.pad(samples.astype(np.float32) * FULL_SCALE, (0, max(0, hop - len(samples))))
        fbank = OnlineFbank(self._options)
        fbank.accept_waveform(self.sample_rate, padded)
        fbank.input_finished()
        features_TM = np.stack([fbank.get_frame(i) for i in range(fbank.num_frames_ready)])
        return np.maximum(features_TM, SILENCE)

    @cached_property
    def _options(self) -> FbankOptions:
        from kaldi_native_fbank import FbankOptions

        options = FbankOptions()
        options.frame_opts.samp_freq = self.sample_rate
        options.frame_opts.dither = 0.0
        options.frame_opts.snip_edges = False
        options.mel_opts.num_bins = self.bins
        options.mel_opts.low_freq = LOWEST_HERTZ
        return options


def fit_audio(sample_rate: int) -> AudioFacts:
    """Choose the rate and the bins for data of ``sample_rate``; telephone speech carries fewer bins."""
    rate = min(sample_rate, HIGHEST_RATE)
    return AudioFacts(sample_rate=rate, bins=40 if rate < 12_000 else 80)


def normalise(features_TM: np.ndarray) -> np.ndarray:
    """Give each bin the mean 0 and the whole utterance the standard deviation 1; what is constant becomes 0."""
    centred = features_TM - features_TM.mean(axis=0)
    return centred / max(float(centred.std()), 1e-3)


def read_audio(data: bytes | Path) -> tuple[np.ndarray, int]:
    """Decode a file (WAV, FLAC, OGG, MP3) or its bytes: mono float32 ``[n]`` of -1 to 1, channels averaged, and rate.

    Raises:
        ValueError: it cannot be decoded.
    """
    import soundfile

    try:
        samples, rate = soundfile.read(io.BytesIO(data) if isinstance(data, bytes) else data, dtype="float32")
    except (soundfile.LibsndfileError, OSError, TypeError) as error:
        named = f"{len(data)} bytes" if isinstance(data, bytes) else repr(str(data))
        raise ValueError(
            f"audio must be readable by libsndfile (got {named}: {error}): give WAV, FLAC or OGG"
        ) from error
    return (samples if samples.ndim == 1 else samples.mean(axis=1)), int(rate)


def resample(samples: np.ndarray, rate: float, to: float) -> np.ndarray:
    """Return ``samples`` float32 ``[n]`` of ``rate`` at the rate ``to``."""
    if rate == to or not len(samples):
        return samples
    import soxr

    return soxr.resample(samples, rate, to)


class AudioInputConfig(InputPoint):
    """One point: how frames become steps, and what disturbs them in training."""

    input: Literal["audio"] = "audio"
    view: Literal["fbank"] = "fbank"
    front_end: Literal["stack", "convolution"] = "convolution"
    time_reduction: int = Field(2, ge=1, le=6, description="frames that one step of the core stands for")
    deltas: bool = Field(False, description="stack: change over time beside the values")
    filters: int = Field(24, ge=1, description="convolution: filters of each layer")
    filter_layers: int = Field(2, ge=1, le=2, description="convolution: layers")
    speed_perturbation: bool = Field(True, description="train on the prepared variants of other speeds as well")
    tract_warp: float = Field(0.3, ge=0, le=0.4, description="largest change of the vocal tract's length")
    tilt: float = Field(0.5, ge=0, description="strength of a random smooth filter, as of another microphone")
    band_masks: int = Field(1, ge=0, description="bands blanked in an item, each up to a fifth of all bins wide")
    time_masks: int = Field(1, ge=0, description="stretches blanked, each up to a fifth of the item, 300 ms at most")
    noise: float = Field(0.1, ge=0, description="standard deviation of Gaussian noise; that of an utterance is 1")

    @property
    def frames_per_step(self) -> int:
        return self.time_reduction

    @property
    def draws_variants(self) -> bool:
        return self.speed_perturbation

    @classmethod
    def suggest(cls, trial: Suggest, facts: AudioFacts, views: list[str]) -> AudioInputConfig:
        """Draw a point; deltas only where frames are stacked, since a convolution has its own."""
        front_end = trial.suggest_categorical("front_end", ["stack", "convolution"])
        convolved = front_end == "convolution"
        return cls(
            front_end=front_end,
            time_reduction=trial.suggest_int("time_reduction", 1, 3),
            deltas=not convolved and trial.suggest_categorical("deltas", [False, True]),
            filters=trial.suggest_categorical("filters", [16, 24, 32]) if convolved else 24,
            filter_layers=trial.suggest_int("filter_layers", 1, 2) if convolved else 1,
            speed_perturbation=trial.suggest_categorical("speed_perturbation", [False, True]),
            tract_warp=trial.suggest_categorical("tract_warp", [0.0, 0.1, 0.2, 0.3]),
            tilt=trial.suggest_categorical("tilt", [0.0, 0.25, 0.5]),
            band_masks=trial.suggest_int("band_masks", 0, 2),
            time_masks=trial.suggest_int("time_masks", 0, 2),
            noise=trial.suggest_categorical("noise", [0.0, 0.1, 0.2]),
        )

    @classmethod
    def portfolio(cls, facts: AudioFacts, aligning: bool = False) -> list[dict[str, Any]]:
        """Return points as trial parameters.

        Disturbed, since speakers and rooms differ; but disturbed steps keep CTC from its first alignments for long, so
        that an aligning training begins with clean ones.
        """
        clean: dict[str, Any] = {
            "time_reduction": 3,
            "speed_perturbation": False,
            "tract_warp": 0.0,
            "tilt": 0.0,
            "band_masks": 0,
            "time_masks": 0,
            "noise": 0.0,
        }
        slight = {"speed_perturbation": True, "tract_warp": 0.1, "noise": 0.1}
        strong = {"speed_perturbation": True, "tract_warp": 0.3, "tilt": 0.5, "noise": 0.1}
        masked = strong | {"band_masks": 1, "time_masks": 1}
        wide: dict[str, Any] = {"front_end": "convolution", "filters": 32, "filter_layers": 1}
        deep: dict[str, Any] = {"front_end": "convolution", "filters": 24, "filter_layers": 2}
        stacked: dict[str, Any] = {"front_end": "stack", "deltas": False}
        if aligning:
            return [clean | deep, clean | slight | deep, clean | wide, clean | stacked, clean | strong | deep]
        finer = {"time_reduction": 2}
        return [
            clean | masked | deep | finer,
            clean | masked | wide,
            clean | masked | stacked | finer,
            clean | slight | deep,
        ]

    def build(self, facts: AudioFacts) -> AudioInput:
        return AudioInput(self, facts)


class AudioInput(InputModule):
    """Features, disturbed in training, through the front end of the config."""

    mel_M: torch.Tensor

    def __init__(self, config: AudioInputConfig, facts: AudioFacts) -> None:
        super().__init__()
        self.config = config
        edges = hertz_to_mel(torch.tensor([LOWEST_HERTZ, facts.sample_rate / 2]))
        mel_M = torch.linspace(float(edges[0]), float(edges[1]), facts.bins + 2)[1:-1]
        self.register_buffer("mel_M", mel_M, persistent=False)
        self.front_end: StackedFrames | ConvolvedFrames
        if config.front_end == "convolution":
            self.front_end = ConvolvedFrames(facts.bins, config.time_reduction, config.filters, config.filter_layers)
        else:
            self.front_end = StackedFrames(facts.bins * (2 if config.deltas else 1), config.time_reduction)
        self.output_size = self.front_end.output_size

    def forward(self, values_BTX: torch.Tensor, lengths_B: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Read ``values_BTX`` float32 ``[B, T, M]``; T and the lengths shrink by the time reduction, rounded up."""
        x_BTM = self._disturb(values_BTX, lengths_B) if self.training else values_BTX
        if self.config.deltas:
            x_BTM = torch.cat([x_BTM, deltas(x_BTM, lengths_B)], dim=-1)
        return self.front_end(x_BTM * inside(lengths_B, x_BTM.shape[1])[..., None], lengths_B)

    def _disturb(self, x_BTM: torch.Tensor, lengths_B: torch.Tensor) -> torch.Tensor:
        config = self.config
        if config.tract_warp:
            x_BTM = warp_tract(x_BTM, self.mel_M, config.tract_warp)
        if config.tilt:
            x_BTM = tilt_bands(x_BTM, config.tilt)
        if config.noise:
            x_BTM = x_BTM + config.noise * torch.randn_like(x_BTM)
        if config.band_masks:
            x_BTM = mask_bands(x_BTM, config.band_masks, x_BTM.shape[2] // 5)
        if config.time_masks:
            x_BTM = mask_times(x_BTM, lengths_B, config.time_masks, round(0.3 / HOP_SECONDS), share=0.2)
        return x_BTM
