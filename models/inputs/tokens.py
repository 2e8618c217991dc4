"""Items that come as lists of tokens: one step a token, never merged or split, so that each can carry a label."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from models.inputs.contract import FittedInput, InputPoint
from models.inputs.embedding import WordInput, WordPoint
from models.inputs.frames import refuse_rows, required_column
from models.inputs.words import Words, fit_words
from models.suggest import Suggest

if TYPE_CHECKING:
    import pandas as pd

    from models.sequence_columns import SequenceColumns

VIEW = "word"


class TokensFacts(FittedInput):
    """The tokens of the training part."""

    streams: ClassVar[bool] = True
    kind: Literal["tokens"] = "tokens"
    words: Words

    @property
    def views(self) -> list[str]:
        return [VIEW]

    def unit(self, view: str) -> str:
        return "tokens"

    def layout(self, view: str) -> tuple[np.dtype, tuple[int, ...]]:
        return np.dtype(np.int32), (self.words.width,)

    def read(self, frame: pd.DataFrame, columns: SequenceColumns) -> tuple[np.ndarray, list[list[str]]]:
        """Read a list of tokens from each row."""
        column = required_column(frame, columns.input[0])
        wrong = column.map(lambda tokens: not isinstance(tokens, list | tuple | np.ndarray) or not len(tokens))
        refuse_rows(wrong, column, "a list of tokens")
        return np.arange(len(frame)), [[str(token) for token in tokens] for tokens in column]

    def encode(self, view: str, raw: list[str]) -> np.ndarray:
        """Return int32 ``[T, 2 + K]`` as ``models.inputs.words`` lays it out, T the number of tokens."""
        return self.words.encode(raw)


def fit_tokens(items: Iterable[list[str]]) -> TokensFacts:
    """Fit the vocabulary in one pass over lists of tokens."""
    return TokensFacts(words=fit_words(items))


class TokensInputConfig(InputPoint):
    """One point."""

    input: Literal["tokens"] = "tokens"
    view: Literal["word"] = "word"
    words: WordPoint = Field(default_factory=WordPoint)

    @classmethod
    def suggest(cls, trial: Suggest, facts: TokensFacts, views: list[str]) -> TokensInputConfig:
        return cls(words=WordPoint.suggest(trial, facts.words))

    @classmethod
    def portfolio(cls, facts: TokensFacts, aligning: bool = False) -> list[dict[str, Any]]:
        return WordPoint.portfolio(facts.words)

    def build(self, facts: TokensFacts) -> WordInput:
        return WordInput(self.words, facts.words)
