"""How raw covariates become numbers: one affine map a numeric column, one vocabulary a categorical one.

An encoding is fitted on the training part alone and travels as JSON with the data set and with each model. A model
that meets a panel of another encoding recodes it first, so that scalers and vocabularies always are the model's own.
Code 0 stands for every category that the training part did not hold, and for a missing one.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import BaseModel, ConfigDict


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


def recode_numeric(values: np.ndarray, columns: list[str], source: Encoding, target: Encoding) -> np.ndarray:
    """Turn columns standardised by ``source`` into columns standardised by ``target``: ``[..., len(columns)]``."""
    recoded = values.astype(np.float64)
    for i, column in enumerate(columns):
        old, new = source.affine[column], target.affine[column]
        recoded[..., i] = (recoded[..., i] * old.std + old.mean - new.mean) / new.std
    return recoded.astype(np.float32)


def recode_categories(codes: np.ndarray, columns: list[str], source: Encoding, target: Encoding) -> np.ndarray:
    """Turn codes of ``source``'s vocabularies into codes of ``target``'s: ``[..., len(columns)]``."""
    recoded = np.zeros_like(codes)
    for i, column in enumerate(columns):
        table = np.concatenate(
            [np.zeros(1, np.int32), target.encode_categories(column, list(source.vocabularies[column]))]
        )
        recoded[..., i] = table[codes[..., i]]
    return recoded
