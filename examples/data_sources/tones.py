"""Recordings of telephone keys: two sine tones a key (ITU-T Q.23), through bad lines."""

import shutil
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
import soundfile
from numpy.typing import NDArray

RATE = 8000
DEVICES, CLIPS = 20, 30
KEYS = "123456789*0#"
LOW_HZ = (697, 770, 852, 941)
HIGH_HZ = (1209, 1336, 1477)


class Device(NamedTuple):
    """What a telephone and its line do to every key."""

    level: float
    """Amplitude of a tone, of at most 0.5."""
    twist: float
    """Amplitude of the high tone, as a multiple of the low one's."""
    detuned: float
    """Factor of all frequencies."""
    tempo: float
    """Factor of all durations."""
    noise: float
    """Standard deviation of the noise, as a multiple of ``level``."""
    colour: float
    """How far the noise of one sample goes into the next: 0 hisses, 0.95 rumbles."""
    echo: float
    """Strength of what comes back after 30 ms."""


def write_tones(target: Path) -> None:
    """Write columns ``clip`` (a path beside ``target``), ``keys`` (separated by blanks) and ``device``, and the clips.

    3 to 9 keys in 0.5 to 3 s, mono, 16 bit at 8 kHz. The devices differ, so that only an unseen one is a fair test.
    """
    folder = target.with_suffix("")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    rng = np.random.default_rng(3)
    rows = []
    for number in range(1, DEVICES + 1):
        device = _device(rng)
        for clip in range(1, CLIPS + 1):
            keys = [KEYS[place] for place in rng.integers(len(KEYS), size=rng.integers(3, 10))]
            path = folder / f"{number:02d}-{clip:02d}.wav"
            soundfile.write(path, _clip(rng, keys, device), RATE, subtype="PCM_16")
            rows.append((f"{folder.name}/{path.name}", " ".join(keys), f"device {number}"))
    pl.DataFrame(rows, schema=["clip", "keys", "device"], orient="row").write_csv(target)


def _device(rng: np.random.Generator) -> Device:
    return Device(
        level=0.5 * 10 ** rng.uniform(-1.5, 0),
        twist=10 ** rng.uniform(-0.3, 0.2),
        detuned=rng.uniform(0.985, 1.015),
        tempo=rng.uniform(0.7, 1.5),
        noise=10 ** rng.uniform(-1.3, 0.0),
        colour=rng.uniform(0, 0.95),
        echo=rng.uniform(0, 0.4),
    )


def _clip(rng: np.random.Generator, keys: list[str], device: Device) -> NDArray[np.float64]:
    """Return samples [n] within -1 and 1: silence, then each key and a gap, all of random length."""
    pieces = [_silence(rng, 0.05, 0.25)]
    for key in keys:
        pieces += [_tone(rng, key, device), _silence(rng, 0.03 * device.tempo, 0.12 * device.tempo)]
    sound = np.concatenate([*pieces, _silence(rng, 0.02, 0.2)])
    late = round(0.03 * RATE)
    sound[late:] += device.echo * sound[:-late]
    noise = device.level * device.noise * _coloured(rng, len(sound), device.colour)
    return np.clip(sound + noise, -1, 1)


def _tone(rng: np.random.Generator, key: str, device: Device) -> NDArray[np.float64]:
    row, column = divmod(KEYS.index(key), len(HIGH_HZ))
    seconds = np.arange(round(rng.uniform(0.05, 0.15) * device.tempo * RATE)) / RATE
    angle = 2 * np.pi * device.detuned * seconds
    both = np.sin(LOW_HZ[row] * angle) + device.twist * np.sin(HIGH_HZ[column] * angle)
    return device.level / (1 + device.twist) * both


def _silence(rng: np.random.Generator, shortest: float, longest: float) -> NDArray[np.float64]:
    return np.zeros(round(rng.uniform(shortest, longest) * RATE))


def _coloured(rng: np.random.Generator, samples: int, colour: float) -> NDArray[np.float64]:
    """Return noise [samples] of unit variance; ``colour`` is its autocorrelation from one sample to the next."""
    from scipy.signal import lfilter

    return lfilter([np.sqrt(1 - colour**2)], [1, -colour], rng.standard_normal(samples))
