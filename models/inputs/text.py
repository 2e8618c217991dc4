"""Text as words, as pieces of a byte-pair encoding, or as characters: which one is searched, all three are prepared.

``tokenizers`` normalises, splits and encodes; its vocabularies are JSON inside the facts. Pieces: Sennrich et al. 2016.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field

from models.inputs.contract import FittedInput, InputModule, InputPoint
from models.inputs.embedding import UnitInput, WordInput, WordPoint
from models.inputs.frames import refuse_rows, required_column
from models.inputs.words import UNKNOWN, Words, fit_words
from models.suggest import Suggest

if TYPE_CHECKING:
    import pandas as pd
    from tokenizers import Tokenizer

    from models.sequence_columns import SequenceColumns

View = Literal["word", "bpe", "character"]
VIEWS: list[View] = ["word", "bpe", "character"]

SPECIAL = ["[PAD]", "[UNK]"]
WORD_PATTERN = r"[\p{L}\p{M}\p{N}_]+(?:'[\p{L}\p{M}]+)*|[^\s\p{L}\p{M}\p{N}_]"
"""A word keeps the apostrophes inside it; every other sign stands alone."""

MOST_PIECES = 4_000
MOST_CHARACTERS = 2_000
SAMPLED_TEXTS = 100_000


class TextFacts(FittedInput):
    """The vocabularies of the training part. ``pieces`` and ``characters`` are tokenizers as their library's JSON."""

    kind: Literal["text"] = "text"
    words: Words
    pieces: str
    characters: str

    @property
    def views(self) -> list[str]:
        return list(VIEWS)

    def unit(self, view: str) -> str:
        return {"word": "words", "bpe": "pieces of words", "character": "characters"}[view]

    def layout(self, view: str) -> tuple[np.dtype, tuple[int, ...]]:
        return np.dtype(np.int32), (self.words.width if view == "word" else 1,)

    def read(self, frame: pd.DataFrame, columns: SequenceColumns) -> tuple[np.ndarray, list[str]]:
        """Read a text from each row."""
        column = required_column(frame, columns.input[0])
        wrong = column.isna() | ~column.map(lambda text: isinstance(text, str) and bool(text.strip()))
        refuse_rows(wrong, column, "text")
        return np.arange(len(frame)), column.tolist()

    def encode(self, view: str, raw: str) -> np.ndarray:
        """Return int32 ``[T, 2 + K]`` for words (see ``models.inputs.words``), else ``[T, 1]``; no text is unknown."""
        if view == "word":
            return self.words.encode(split_words(raw))
        ids = np.array(self.tokenizer(view).encode(clean(raw)).ids or [UNKNOWN], dtype=np.int32)
        # A text that says "[PAD]" means no padding.
        return np.maximum(ids, UNKNOWN)[:, None]

    def units(self, view: str) -> int:
        """Return how many ids a view of units has, padding and unknown among them."""
        return self.tokenizer(view).get_vocab_size()

    def tokenizer(self, view: str) -> Tokenizer:
        """Return the tokenizer of the view of pieces or characters."""
        return self._tokenizers[view]

    @cached_property
    def _tokenizers(self) -> dict[str, Tokenizer]:
        from tokenizers import Tokenizer

        return {"bpe": Tokenizer.from_str(self.pieces), "character": Tokenizer.from_str(self.characters)}


def fit_text(texts: Iterable[str], seed: int = 0) -> TextFacts:
    """Fit all vocabularies in one pass; pieces and characters are learned from a sample of at most 100,000 texts."""
    sample: list[str] = []
    words = fit_words(split_words(text) for text in _sampled(texts, sample, random.Random(seed)))  # noqa: S311
    return TextFacts(words=words, pieces=_fit_pieces(sample), characters=_fit_characters(sample))


def _sampled(texts: Iterable[str], sample: list[str], generator: random.Random) -> Iterator[str]:
    """Yield every text and leave a uniform sample of them in ``sample`` (Vitter 1985)."""
    for i, text in enumerate(texts):
        if i < SAMPLED_TEXTS:
            sample.append(clean(text))
        elif (place := generator.randrange(i + 1)) < SAMPLED_TEXTS:
            sample[place] = clean(text)
        yield text


def split_words(text: str) -> list[str]:
    """Return the words and signs of ``text`` in its own letters, after compatibility normalisation (NFKC)."""
    normaliser, splitter = _word_splitter()
    return [word for word, _ in splitter.pre_tokenize_str(normaliser.normalize_str(clean(text)))]


def clean(text: str) -> str:
    """Replace lone surrogates, which ``tokenizers`` cannot read, and make the two apostrophes of print and type one."""
    return text.encode("utf-8", "replace").decode().replace("’", "'")


@cache
def _word_splitter() -> tuple[Any, Any]:
    from tokenizers import Regex, normalizers, pre_tokenizers

    return normalizers.NFKC(), pre_tokenizers.Split(Regex(WORD_PATTERN), behavior="removed", invert=True)


def _fit_pieces(texts: list[str]) -> str:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE(unk_token=SPECIAL[UNKNOWN]))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([_word_splitter()[1], pre_tokenizers.Metaspace()])
    # The library itself breaks ties of rare characters as they come, differently in each process.
    alphabet = ["▁", *_common_characters(texts, tokenizer.normalizer)]
    trainer = trainers.BpeTrainer(
        vocab_size=MOST_PIECES,
        min_frequency=3,
        special_tokens=SPECIAL,
        initial_alphabet=alphabet,
        limit_alphabet=len(alphabet),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer.to_str()


def _common_characters(texts: list[str], normaliser: Any) -> list[str]:
    """Return the most frequent characters; of equally frequent ones those that come first in the texts."""
    counts = Counter(character for text in texts for character in normaliser.normalize_str(text))
    return [character for character, _ in counts.most_common(MOST_CHARACTERS)]


def _fit_characters(texts: list[str]) -> str:
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

    normaliser = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    vocabulary = {unit: i for i, unit in enumerate([*SPECIAL, *_common_characters(texts, normaliser)])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=SPECIAL[UNKNOWN]))
    tokenizer.normalizer = normaliser
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), behavior="isolated")
    return tokenizer.to_str()


class TextInputConfig(InputPoint):
    """One point: ``words`` is read by the view of words, the other fields by the views of smaller units."""

    input: Literal["text"] = "text"
    view: View = "word"
    words: WordPoint = Field(default_factory=WordPoint)
    unit_size: int = Field(64, ge=1, description="of the vector of a piece or a character")
    unit_dropout: float = Field(0.0, ge=0, lt=1, description="share of pieces or characters read as unknown")
    embedding_dropout: float = Field(0.0, ge=0, lt=1, description="share of their features dropped for a whole item")

    @classmethod
    def suggest(cls, trial: Suggest, facts: TextFacts, views: list[str]) -> TextInputConfig:
        """Draw a view and what that view reads."""
        view = trial.suggest_categorical("view", views)
        if view == "word":
            return cls(view=view, words=WordPoint.suggest(trial, facts.words))
        return cls(
            view=view,
            unit_size=trial.suggest_categorical("unit_size", [16, 32, 64, 128]),
            unit_dropout=trial.suggest_float("unit_dropout", 0.0, 0.2),
            embedding_dropout=trial.suggest_float("embedding_dropout", 0.0, 0.5),
        )

    @classmethod
    def portfolio(cls, facts: TextFacts, aligning: bool = False) -> list[dict[str, Any]]:
        pieces = {"view": "bpe", "unit_size": 128, "unit_dropout": 0.05, "embedding_dropout": 0.3}
        characters = {"view": "character", "unit_size": 32, "unit_dropout": 0.02, "embedding_dropout": 0.1}
        return [*({"view": "word"} | point for point in WordPoint.portfolio(facts.words)), pieces, characters]

    def build(self, facts: TextFacts) -> InputModule:
        if self.view == "word":
            return WordInput(self.words, facts.words)
        return UnitInput(facts.units(self.view), self.unit_size, self.unit_dropout, self.embedding_dropout)
