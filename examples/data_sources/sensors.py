"""Simulated sensors: numeric sequences of any length with one target a sequence, or one a step."""

from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

MACHINES, RUNS = 24, 25
MACHINE_HZ = 100
WEARERS, RECORDINGS = 24, 12
WEARER_HZ = 10

ACTIVITIES = {
    "sitting": (0.0, 0.0),
    "walking": (1.8, 2.5),
    "climbing": (1.5, 2.5),
    "cycling": (1.2, 1.2),
    "running": (2.7, 7.0),
}
"""Turns a second and the strength of the shaking in m/s²: walking and climbing differ in tempo and tilt alone."""
TILT = {"sitting": 0.0, "walking": 0.0, "climbing": 0.3, "cycling": 0.5, "running": 0.15}
"""How far the body leans forward, in radians."""


def write_rotation(target: Path) -> None:
    """Write one row a step: ``run``, ``step``, ``machine``, ``horizontal``, ``vertical`` and ``rpm``.

    Two vibration sensors at a right angle on machines of 180 to 1,500 turns a minute: 0.8 to 2.4 s at 100 Hz. Each
    machine has imbalance, overtones and noise of its own, and 1 % of the readings are missing.
    """
    rng = np.random.default_rng(1)
    frames = []
    for machine in range(1, MACHINES + 1):
        overtones, noise, gain = rng.uniform(0, 0.8, 2), rng.uniform(0.1, 0.6), rng.uniform(0.3, 3)
        for run in range(1, RUNS + 1):
            rpm = rng.uniform(180, 1500)
            angle = _turning(rng, rpm / 60, int(rng.integers(80, 241)))
            frames.append(
                pl.DataFrame(
                    {
                        "run": f"{machine:02d}-{run:02d}",
                        "step": np.arange(len(angle)),
                        "machine": machine,
                        "horizontal": gain * _vibration(rng, angle, overtones, noise),
                        "vertical": gain * _vibration(rng, angle + np.pi / 2, overtones, noise),
                        "rpm": round(rpm, 1),
                    }
                )
            )
    table = pl.concat(frames)
    readings = [
        pl.when(pl.Series(rng.random(len(table)) < 0.99)).then(pl.col(name).round(4)).alias(name)
        for name in ("horizontal", "vertical")
    ]
    table.with_columns(readings).write_parquet(target)


def write_activities(target: Path) -> None:
    """Write one row a step: ``recording``, ``step``, ``wearer``, ``x``, ``y``, ``z`` (m/s²) and ``activity``.

    A sensor at the belt, 15 to 30 s at 10 Hz, in which its wearer does one thing after another. Each wearer has a
    tempo and a strength, and wears it at an angle.
    """
    rng = np.random.default_rng(2)
    frames = []
    for wearer in range(1, WEARERS + 1):
        tempo, strength, worn = rng.uniform(0.85, 1.15), rng.uniform(0.6, 1.4), rng.normal(0, 0.25, 2)
        for recording in range(1, RECORDINGS + 1):
            doing = _doings(rng, int(rng.integers(150, 301)))
            x, y, z = _shaken(rng, doing, tempo, strength, worn).round(3).T
            frames.append(
                pl.DataFrame(
                    {
                        "recording": f"{wearer:02d}-{recording:02d}",
                        "step": np.arange(len(doing)),
                        "wearer": wearer,
                        "x": x,
                        "y": y,
                        "z": z,
                        "activity": doing,
                    }
                )
            )
    pl.concat(frames).write_parquet(target)


def _turning(rng: np.random.Generator, turns_per_second: float, steps: int) -> NDArray[np.float64]:
    """Return the shaft's angle [steps]: its speed ripples by a few percent around its mean."""
    ripple = 1 + 0.03 * np.sin(2 * np.pi * rng.uniform(0.5, 2) * np.arange(steps) / MACHINE_HZ + rng.uniform(0, 6))
    return rng.uniform(0, 2 * np.pi) + np.cumsum(2 * np.pi * turns_per_second * ripple / ripple.mean() / MACHINE_HZ)


def _vibration(
    rng: np.random.Generator, angle: NDArray[np.float64], overtones: NDArray[np.float64], noise: float
) -> NDArray[np.float64]:
    second, third = overtones
    clean = np.sin(angle) + second * np.sin(2 * angle + 1) + third * np.sin(3 * angle + 2)
    return clean + noise * rng.standard_normal(len(angle))


def _doings(rng: np.random.Generator, steps: int) -> list[str]:
    """Return an activity for each step; each lasts 3 to 10 s and another follows."""
    names = list(ACTIVITIES)
    doing: list[str] = []
    while len(doing) < steps:
        others = [name for name in names if not doing or name != doing[-1]]
        doing += [others[rng.integers(len(others))]] * int(rng.integers(3 * WEARER_HZ, 10 * WEARER_HZ))
    return doing[:steps]


def _shaken(
    rng: np.random.Generator, doing: list[str], tempo: float, strength: float, worn: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the acceleration [steps, 3]: gravity as the body leans, and the shaking of each stride."""
    hertz = tempo * np.array([ACTIVITIES[name][0] for name in doing])
    force = strength * np.array([ACTIVITIES[name][1] for name in doing])
    lean = worn[0] + np.array([TILT[name] for name in doing])
    angle = rng.uniform(0, 2 * np.pi) + np.cumsum(2 * np.pi * hertz / WEARER_HZ)
    gravity = 9.81 * np.stack([np.sin(lean), np.full(len(doing), np.sin(worn[1])), np.cos(lean)], axis=1)
    shaking = force[:, None] * np.stack([0.4 * np.sin(angle + 1), 0.3 * np.sin(angle / 2), np.sin(angle)], axis=1)
    return gravity + shaking + (0.3 + 0.3 * force[:, None]) * rng.standard_normal((len(doing), 3))
