"""Long-time-lag tasks, generated without end: the answer depends on symbols that stand many steps before it.

Hochreiter & Schmidhuber 1997, sections 5.1, 5.4 and 5.6; the copy task as in Arjovsky, Shah & Bengio 2016, shortened.
Whole batches are drawn at once from a numpy generator, so that a seed gives the same sequences on every machine.

Shapes: B sequences, T steps, C input channels, K outputs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional


class Drawn(NamedTuple):
    """Sequences and what is right for them; zeros stand after a row's last step."""

    x_BTC: Tensor
    lengths_B: Tensor
    target: Tensor
    """Adding: [B]; temporal order: class [B]; the others: symbol [B, T], -100 where nothing is asked."""
    legal_BTK: Tensor | None = None
    """Embedded Reber only: which symbols may follow."""


class LagTask(Protocol):
    @property
    def channels(self) -> int: ...

    @property
    def outputs(self) -> int: ...

    @property
    def lag(self) -> int:
        """Steps that information must last, at most (embedded Reber: in all but one string of a thousand)."""
        ...

    @property
    def criterion(self) -> str:
        """When the task counts as solved, in words."""
        ...

    @property
    def fresh(self) -> int:
        """How many unseen sequences decide whether it is."""
        ...

    @property
    def share(self) -> float:
        """How many of them must be right."""
        ...

    def draw(self, rng: np.random.Generator, size: int) -> Drawn: ...

    def loss(self, y_BTK: Tensor, drawn: Drawn) -> Tensor: ...

    def right(self, y_BTK: Tensor, drawn: Drawn) -> Tensor:
        """bool [B]: whether the whole sequence was answered rightly."""
        ...


def at_last_step(y_BTK: Tensor, lengths_B: Tensor) -> Tensor:
    return y_BTK[torch.arange(len(lengths_B)), lengths_B - 1]


def one_hot(symbols_BT: np.ndarray, lengths_B: np.ndarray, size: int) -> Tensor:
    """[B, T, size] float32; zeros after each row's length."""
    x_BTC = np.eye(size, dtype=np.float32)[symbols_BT]
    x_BTC[np.arange(symbols_BT.shape[1]) >= lengths_B[:, None]] = 0.0
    return torch.from_numpy(x_BTC)


@dataclass(frozen=True)
class EmbeddedReber:
    """Predict the next symbol of ``B c B <inner string> E c E``, where c, T or P, must be remembered to the end."""

    channels: ClassVar[int] = 7
    outputs: ClassVar[int] = 7
    lag: ClassVar[int] = 30
    fresh: ClassVar[int] = 256
    share: ClassVar[float] = 1.0
    criterion: ClassVar[str] = (
        "at every step of 256 of 256 fresh strings the symbols that may follow, the second T or P among them, "
        "are the most active outputs (H&S 1997, 5.1)"
    )

    SYMBOLS: ClassVar[str] = "BTPSXVE"
    GRAMMAR: ClassVar[list[dict[str, int]]] = [
        {"T": 1, "P": 2},
        {"S": 1, "X": 3},
        {"T": 2, "V": 4},
        {"X": 2, "S": 5},
        {"P": 3, "V": 5},
        {"E": 6},
    ]
    """What may follow in each state of the inner grammar, and the state that it leads to; 6 is the end."""

    def string(self, rng: np.random.Generator) -> tuple[str, list[str]]:
        """Return a string and, for each of its symbols but the last, all that may follow it."""
        outer = "TP"[rng.integers(2)]
        text, legal, state = f"B{outer}B", ["TP", "B"], 0
        while state < 6:
            arcs = self.GRAMMAR[state]
            legal.append("".join(arcs))
            text += legal[-1][rng.integers(len(arcs))]
            state = arcs[text[-1]]
        return f"{text}{outer}E", [*legal, outer, "E"]

    def draw(self, rng: np.random.Generator, size: int) -> Drawn:
        strings = [self.string(rng) for _ in range(size)]
        lengths_B = np.array([len(legal) for _, legal in strings])
        symbols_BT = np.zeros((size, lengths_B.max()), np.int64)
        target_BT = np.full_like(symbols_BT, -100)
        legal_BTK = np.zeros((*symbols_BT.shape, 7), bool)
        for row, (text, legal) in enumerate(strings):
            codes = [self.SYMBOLS.index(symbol) for symbol in text]
            symbols_BT[row, : len(legal)], target_BT[row, : len(legal)] = codes[:-1], codes[1:]
            for step, symbols in enumerate(legal):
                legal_BTK[row, step, [self.SYMBOLS.index(symbol) for symbol in symbols]] = True
        x_BTC = one_hot(symbols_BT, lengths_B, 7)
        lengths, target = torch.from_numpy(lengths_B), torch.from_numpy(target_BT)
        return Drawn(x_BTC, lengths, target, torch.from_numpy(legal_BTK))

    def loss(self, y_BTK: Tensor, drawn: Drawn) -> Tensor:
        return functional.cross_entropy(y_BTK.flatten(0, 1), drawn.target.flatten())

    def right(self, y_BTK: Tensor, drawn: Drawn) -> Tensor:
        assert drawn.legal_BTK is not None
        least_legal_BT = y_BTK.masked_fill(~drawn.legal_BTK, torch.inf).amin(dim=2)
        most_illegal_BT = y_BTK.masked_fill(drawn.legal_BTK, -torch.inf).amax(dim=2)
        return ((least_legal_BT > most_illegal_BT) | (drawn.target < 0)).all(dim=1)


@dataclass(frozen=True)
class Adding:
    """Add the two marked values of ``minimum`` to 1.1 ``minimum``; one of the first ten, one of the first half."""

    minimum: int
    channels: ClassVar[int] = 2
    outputs: ClassVar[int] = 1
    fresh: ClassVar[int] = 2000
    share: ClassVar[float] = 0.99
    criterion: ClassVar[str] = "absolute error below 0.04 (H&S 1997, 5.4) on 99 % of 2,000 fresh sequences"

    @property
    def lag(self) -> int:
        return self.minimum + self.minimum // 10

    def draw(self, rng: np.random.Generator, size: int) -> Drawn:
        rows = np.arange(size)
        lengths_B = rng.integers(self.minimum, self.lag + 1, size)
        x_BTC = rng.uniform(-1, 1, (size, lengths_B.max(), 2)).astype(np.float32)
        x_BTC[..., 1] = 0.0
        x_BTC[rows, 0, 1] = x_BTC[rows, lengths_B - 1, 1] = -1.0
        first_B = rng.integers(0, 10, size)
        second_B = rng.integers(0, self.minimum // 2 - 1, size)
        second_B += second_B >= first_B
        x_BTC[first_B == 0, 0, 0] = 0.0
        x_BTC[second_B == 0, 0, 0] = 0.0
        x_BTC[rows, first_B, 1] = x_BTC[rows, second_B, 1] = 1.0
        sum_B = x_BTC[rows, first_B, 0] + x_BTC[rows, second_B, 0]
        x_BTC[np.arange(x_BTC.shape[1]) >= lengths_B[:, None]] = 0.0
        return Drawn(torch.from_numpy(x_BTC), torch.from_numpy(lengths_B), torch.from_numpy(0.5 + sum_B / 4))

    def loss(self, y_BTK: Tensor, drawn: Drawn) -> Tensor:
        return functional.mse_loss(at_last_step(y_BTK, drawn.lengths_B)[:, 0], drawn.target)

    def right(self, y_BTK: Tensor, drawn: Drawn) -> Tensor:
        return (at_last_step(y_BTK, drawn.lengths_B)[:, 0] - drawn.target).abs() < 0.04


@dataclass(frozen=True)
class TemporalOrder:
    """Name the order of three symbols, each X or Y, far apart among distractors: eight classes, 100 to 110 steps."""

    channels: ClassVar[int] = 8
    outputs: ClassVar[int] = 8
    lag: ClassVar[int] = 110
    fresh: ClassVar[int] = 2000
    share: ClassVar[float] = 0.99
    criterion: ClassVar[str] = "the right one of 8 classes (H&S 1997, 5.6, task 6b) for 99 % of 2,000 fresh sequences"

    PLACES: ClassVar[list[tuple[int, int]]] = [(10, 20), (33, 43), (66, 76)]

    def draw(self, rng: np.random.Generator, size: int) -> Drawn:
        """Channels: the distractors a, b, c, d, then X, Y, then B (begin) and E (end)."""
        rows = np.arange(size)
        lengths_B = rng.integers(100, 111, size)
        symbols_BT = rng.integers(0, 4, (size, lengths_B.max()))
        symbols_BT[:, 0] = 6
        symbols_BT[rows, lengths_B - 1] = 7
        target_B = np.zeros(size, np.int64)
        for low, high in self.PLACES:
            relevant_B = rng.integers(0, 2, size)
            symbols_BT[rows, rng.integers(low, high + 1, size)] = 4 + relevant_B
            target_B = 2 * target_B + relevant_B
        return Drawn(one_hot(symbols_BT, lengths_B, 8), torch.from_numpy(lengths_B), torch.from_numpy(target_B))

    def loss(self, y_BTK: Tensor, drawn: Drawn) -> Tensor:
        return functional.cross_entropy(at_last_step(y_BTK, drawn.lengths_B), drawn.target)

    def right(self, y_BTK: Tensor, drawn: Drawn) -> Tensor:
        return at_last_step(y_BTK, drawn.lengths_B).argmax(dim=1) == drawn.target


@dataclass(frozen=True)
class Copy:
    """Read ``symbols`` symbols of an alphabet of eight, wait ``delay`` steps, then repeat them at the signal."""

    delay: int
    symbols: int = 5
    channels: ClassVar[int] = 10
    outputs: ClassVar[int] = 8
    fresh: ClassVar[int] = 2000
    share: ClassVar[float] = 0.99
    criterion: ClassVar[str] = "every one of five symbols repeated in 99 % of 2,000 fresh sequences"

    @property
    def lag(self) -> int:
        return self.delay + self.symbols

    def draw(self, rng: np.random.Generator, size: int) -> Drawn:
        """Channels: the eight symbols, the blank, the signal, which stands at the last step of the delay."""
        steps = self.delay + 2 * self.symbols
        lengths_B = np.full(size, steps)
        symbols_BT = np.full((size, steps), 8)
        symbols_BT[:, : self.symbols] = rng.integers(0, 8, (size, self.symbols))
        symbols_BT[:, -self.symbols - 1] = 9
        target_BT = np.full((size, steps), -100)
        target_BT[:, -self.symbols :] = symbols_BT[:, : self.symbols]
        return Drawn(one_hot(symbols_BT, lengths_B, 10), torch.from_numpy(lengths_B), torch.from_numpy(target_BT))

    def loss(self, y_BTK: Tensor, drawn: Drawn) -> Tensor:
        return functional.cross_entropy(y_BTK.flatten(0, 1), drawn.target.flatten())

    def right(self, y_BTK: Tensor, drawn: Drawn) -> Tensor:
        return ((y_BTK.argmax(dim=2) == drawn.target) | (drawn.target < 0)).all(dim=1)
