"""Words as numbers: an id from the vocabulary, a shape, and hashed character n-grams, so unseen words have a vector.

Bojanowski et al. 2017 (n-grams of "<word>", hashed into buckets); the shape is what lower-casing takes away.

    column 0     word id: 0 padding, 1 unknown, then the vocabulary
    column 1     shape: 0 padding, then ``SHAPES``
    columns 2..  n-grams: 0 none, else 1 + crc32 modulo the number of buckets
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterable
from functools import cached_property

import numpy as np
from pydantic import BaseModel, ConfigDict

PADDING, UNKNOWN, FIRST = 0, 1, 2
SHAPES = ("none", "lower", "title", "upper", "mixed", "digits", "with_digits", "uncased", "punctuation")
MOST_WORDS = 50_000
MOST_BUCKETS = 2**13
"""On SNIPS 8,192 buckets give the span F1 of 32,768 in half the time: every step updates the whole table."""
MOST_NGRAMS = 20
SYMBOL_LENGTH = 3
"""Tokens no longer than this are symbols (letters, phonemes, codes), not words: n-grams would only repeat them."""

_COUNTED = 1_000_000
_CACHED = 200_000


class Words(BaseModel):
    """A vocabulary, most frequent word first, and the size of the n-gram table (0: no n-grams)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    vocabulary: list[str]
    lowercase: bool
    buckets: int

    @property
    def width(self) -> int:
        """Columns of a word."""
        return 2 + (MOST_NGRAMS if self.buckets else 0)

    def encode(self, words: list[str]) -> np.ndarray:
        """Return int32 ``[T, width]``; no words at all become one unknown one."""
        if not words:
            row = np.zeros((1, self.width), dtype=np.int32)
            row[0, :2] = UNKNOWN, 1 + SHAPES.index("none")
            return row
        return np.stack([self._row(word) for word in words])

    def _row(self, word: str) -> np.ndarray:
        known = self._rows.get(word)
        if known is None:
            row = np.zeros(self.width, dtype=np.int32)
            folded = fold(word, self.lowercase)
            row[0], row[1] = self._ids.get(folded, UNKNOWN), 1 + SHAPES.index(shape(word))
            if self.buckets:
                grams = spread(ngrams(folded), MOST_NGRAMS)
                row[2 : 2 + len(grams)] = [1 + zlib.crc32(gram.encode()) % self.buckets for gram in grams]
            if len(self._rows) >= _CACHED:
                self._rows.clear()
            known = self._rows[word] = row.tobytes()
        return np.frombuffer(known, dtype=np.int32)

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {word: i for i, word in enumerate(self.vocabulary, start=FIRST)}

    @cached_property
    def _rows(self) -> dict[str, bytes]:
        # Bytes, for pydantic compares what is cached when it compares two of these, and arrays have no truth.
        return {}


def fit_words(items: Iterable[list[str]]) -> Words:
    """Count words and decide what is worth a vector of its own, in one pass.

    A word seen once stays out of the vocabulary: it trains the vector of the unknown, which is what it would be
    elsewhere. Symbols (see ``SYMBOL_LENGTH``) keep their case and are all kept: "s" and "S" may be two phonemes.
    """
    counts: Counter[str] = Counter()
    for words in items:
        counts.update(words)
        if len(counts) > _COUNTED:
            counts = Counter({word: count for word, count in counts.items() if count > 1})
    symbols = sum(counts[word] for word in counts if len(word) > SYMBOL_LENGTH) < 0.02 * counts.total()
    if symbols:
        return Words(vocabulary=[word for word, _ in counts.most_common(MOST_WORDS)], lowercase=False, buckets=0)
    folded: Counter[str] = Counter()
    for word, count in counts.items():
        folded[fold(word, True)] += count
    kept = [word for word, count in folded.most_common(MOST_WORDS) if count > 1]
    distinct = len({gram for word in folded for gram in ngrams(word)})
    return Words(vocabulary=kept, lowercase=True, buckets=min(MOST_BUCKETS, 1 << max(8, distinct.bit_length())))


def fold(word: str, lowercase: bool) -> str:
    """Return the form under which ``word`` is looked up."""
    return word.lower() if lowercase else word


def ngrams(word: str) -> list[str]:
    """Return the character 3- and 4-grams of "<word>"."""
    marked = f"<{word}>"
    return [marked[i : i + n] for n in (3, 4) for i in range(len(marked) - n + 1)]


def spread(grams: list[str], most: int) -> list[str]:
    """Return at most ``most`` of ``grams``, evenly taken: a long word keeps its beginning and its end."""
    if len(grams) <= most:
        return grams
    return [grams[round(i * (len(grams) - 1) / (most - 1))] for i in range(most)]


def shape(word: str) -> str:
    """Return the element of ``SHAPES`` that tells how ``word`` is written."""
    if not word or word.isspace():
        return "none"
    if word.isdigit():
        return "digits"
    if not any(character.isalnum() for character in word):
        return "punctuation"
    if any(character.isdigit() for character in word):
        return "with_digits"
    if word.islower():
        return "lower"
    if word.istitle():
        return "title"
    if word.isupper():
        return "upper"
    return "mixed" if word.lower() != word else "uncased"
