"""How raw covariates become numbers: one affine map a numeric column, one vocabulary a categorical one.

An encoding is fitted on the training part alone and travels as JSON with the data set and with each model. A model
that meets a panel of another encoding recodes it first, so that scalers and vocabularies always are the model's own.
Code 0 stands for every category that the training part did not hold, and for a missing one.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import BaseModel, ConfigDict

LARGEST = 1e30
"""Size from which on a number counts as infinite, since float32 could not hold what is computed with it."""


class Affine(BaseModel):
    """``(value - mean) / std``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mean: float
    std: float


class Encoding(BaseModel):
    """The covariates of a panel by role, in column order, and how each is encoded."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    TARGET: ClassVar[str] = "target:name"
    """The static category that tells series of several targets apart; no column of a table has this name."""

    past_numeric: list[str] = []
    known_numeric: list[str] = []
    static_numeric: list[str] = []
    past_categorical: list[str] = []
    known_categorical: list[str] = []
    static_categorical: list[str] = []
    affine: dict[str, Affine] = {}
    vocabularies: dict[str, list[str]] = {}

    @property
    def numeric(self) -> list[str]:
        return self.past_numeric + self.known_numeric

    @property
    def categorical(self) -> list[str]:
        return self.past_categorical + self.known_categorical

    def roles(self) -> dict[str, list[str]]:
        """Return the column names by role, without what was fitted."""
        return self.model_dump(exclude={"affine", "vocabularies"})

    def encode_numeric(self, column: str, values: np.ndarray) -> np.ndarray:
        """Standardise ``values``; missing ones stay NaN."""
        affine = self.affine[column]
        return ((values - affine.mean) / affine.std).astype(np.float32)

    def encode_categories(self, column: str, values: list[str | None]) -> np.ndarray:
        """Return the code of each value: int32, 0 where the vocabulary lacks it."""
        codes = {category: code for code, category in enumerate(self.vocabularies[column], start=1)}
        return np.array([codes.get(value, 0) if value is not None else 0 for value in values], dtype=np.int32)


class Recoding:
    """Turns what ``source`` encoded into what ``target`` would have; both are of the same columns.

    Args:
        source: how the values are encoded.
        target: how they are to be.
    """

    def __init__(self, source: Encoding, target: Encoding) -> None:
        assert source.roles() == target.roles(), "values are recoded for a model of the same columns only"
        self.source, self.target = source, target
        self._codes = {
            column: np.concatenate([np.zeros(1, np.int32), target.encode_categories(column, list(vocabulary))])
            for column, vocabulary in source.vocabularies.items()
        }

    def numeric(self, values: np.ndarray, columns: list[str]) -> np.ndarray:
        """Return standardised ``columns`` anew: float32 ``[..., len(columns)]``."""
        recoded = values.astype(np.float64)
        for i, column in enumerate(columns):
            old, new = self.source.affine[column], self.target.affine[column]
            recoded[..., i] = (recoded[..., i] * old.std + old.mean - new.mean) / new.std
        return recoded.astype(np.float32)

    def categories(self, codes: np.ndarray, columns: list[str]) -> np.ndarray:
        """Return codes of ``columns`` anew: int32 ``[..., len(columns)]``."""
        recoded = np.zeros_like(codes)
        for i, column in enumerate(columns):
            recoded[..., i] = self._codes[column][codes[..., i]]
        return recoded
