"""Text and tokens as numbers: what becomes one word, what an unseen one keeps, what training hides."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from models.inputs.embedding import NgramBag, WordInput, WordPoint, drop_words
from models.inputs.text import TextInputConfig, clean, fit_text, split_words
from models.inputs.tokens import fit_tokens
from models.inputs.words import MOST_NGRAMS, SHAPES, UNKNOWN, fit_words, ngrams, shape, spread

TEXTS = ["my card is here", "my card isn't here", "My CARD was lost", "lost card number 42", "lost card number 43"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("I can't top-up.", ["I", "can't", "top", "-", "up", "."]),
        ("don’t", ["don't"]),
        ("ｆｕｌｌ ﬁne", ["full", "fine"]),
        ("£50?!", ["£", "50", "?", "!"]),
        ("नमस्ते दुनिया", ["नमस्ते", "दुनिया"]),
        ("naïve 🙂🙂", ["naïve", "🙂", "🙂"]),
        (" \t\n ", []),
    ],
)
def test_text_is_split_into_words_and_signs(text: str, words: list[str]) -> None:
    assert split_words(text) == words


def test_text_that_is_no_unicode_is_read_all_the_same() -> None:
    facts = fit_text([*TEXTS, "\ud800 card"])
    assert clean("\ud800") == "?"
    for view in facts.views:
        assert len(facts.encode(view, "\udfff")) >= 1


def test_a_vocabulary_holds_what_occurs_twice_whatever_its_case() -> None:
    facts = fit_text(TEXTS)
    assert facts.words.vocabulary[0] == "card"
    assert set(facts.words.vocabulary) == {"card", "my", "here", "lost", "number"}
    ids = facts.encode("word", "CARD Card isn't")[:, 0]
    assert ids[0] == ids[1] == 2
    assert ids[2] == UNKNOWN


def test_unseen_words_are_told_apart_by_their_ngrams_and_shape() -> None:
    facts = fit_text(TEXTS)
    cards, dogs, upper = facts.encode("word", "cards dogs DOGS")
    assert cards[0] == dogs[0] == upper[0] == UNKNOWN
    known = set(facts.encode("word", "card")[0, 2:]) - {0}
    assert len(known & set(cards[2:])) >= 3
    assert not known & set(dogs[2:])
    np.testing.assert_array_equal(dogs[2:], upper[2:])
    assert dogs[1] != upper[1]


def test_the_one_pass_over_the_texts_is_the_only_one() -> None:
    def once() -> Iterator[str]:
        yield from TEXTS

    assert fit_text(once()) == fit_text(TEXTS)


def test_empty_text_is_one_unknown_step_in_every_view() -> None:
    facts = fit_text(TEXTS)
    for view in facts.views:
        for text in ("", "   ") if view != "character" else ("",):
            encoded = facts.encode(view, text)
            assert len(encoded) == 1
            assert encoded[0, 0] == UNKNOWN
            assert not encoded[0, 2:].any()


def test_texts_without_any_word_can_be_fitted() -> None:
    facts = fit_text(["", "?"])
    for view in facts.views:
        assert (
            len(TextInputConfig(view=view).build(facts)(torch.ones(1, 1, *facts.layout(view)[1]).int(), torch.ones(1)))
            == 2
        )


def test_pieces_cover_unseen_words_and_tell_where_a_word_begins() -> None:
    facts = fit_text(TEXTS * 3)
    tokenizer = facts.tokenizer("bpe")
    assert tokenizer.encode("card").tokens == ["▁card"]
    assert "".join(tokenizer.encode("cardnumber").tokens) == "▁cardnumber"
    assert UNKNOWN in facts.encode("bpe", "€")


def test_characters_are_single_and_unseen_ones_unknown() -> None:
    facts = fit_text(TEXTS)
    encoded = facts.encode("character", "My card€")[:, 0]
    assert len(encoded) == 8
    assert encoded[-1] == UNKNOWN
    assert (encoded[:-1] > UNKNOWN).all()


def test_a_token_is_one_step_whatever_it_holds() -> None:
    facts = fit_tokens([text.split() for text in TEXTS] + [["New York", "", " ", "a-b"]] * 2)
    assert len(facts.encode("word", ["New York", "", " ", "a-b", "unseen thing"])) == 5


def test_symbols_keep_their_case_and_have_no_ngrams() -> None:
    facts = fit_tokens([["s", "S", "@", "AE1"], ["s", "I", "T"]])
    s, capital, rare = facts.encode("word", ["s", "S", "T"])[:, 0]
    assert len({s, capital, rare, UNKNOWN}) == 4
    assert facts.words.buckets == 0


@pytest.mark.parametrize(
    ("word", "expected"),
    [("card", "lower"), ("Card", "title"), ("CARD", "upper"), ("iPhone", "mixed"), ("2024", "digits"),
     ("b2b", "with_digits"), ("?!", "punctuation"), ("東京", "uncased"), ("", "none"), ("O'Neil", "title")],
)  # fmt: skip
def test_a_shape_is_how_a_word_is_written(word: str, expected: str) -> None:
    assert shape(word) == expected
    assert expected in SHAPES


def test_a_long_word_keeps_ngrams_of_its_beginning_and_its_end() -> None:
    grams = ngrams("donaudampfschifffahrt")
    kept = spread(grams, MOST_NGRAMS)
    assert len(kept) == MOST_NGRAMS
    assert (kept[0], kept[-1]) == ("<do", "hrt>")
    assert spread(ngrams("card"), MOST_NGRAMS) == ["<ca", "car", "ard", "rd>", "<car", "card", "ard>"]


def test_the_bag_sums_each_words_ngrams_over_the_root_of_their_number() -> None:
    torch.manual_seed(0)
    bag = NgramBag(50, 4)
    words = fit_words([["card", "cards", "number"], ["numbers"]]).model_copy(update={"buckets": 50})
    grams_SK = torch.from_numpy(words.encode(["card", "number", "card", "numbers"]))[:, 2:]
    grams_SK[1] = 0
    expected = torch.stack(
        [bag.table(row[row > 0].long()).sum(0) / max(1, int((row > 0).sum())) ** 0.5 for row in grams_SK]
    )
    torch.testing.assert_close(bag(grams_SK.view(2, 2, -1)), expected.view(2, 2, -1))
    assert not bag(grams_SK[1].view(1, 1, -1)).any()


def test_dropped_words_are_unknown_and_half_of_them_lose_the_rest() -> None:
    torch.manual_seed(0)
    values = torch.full((100, 100, 4), 7, dtype=torch.int32)
    values[:, 90:] = 0
    dropped = drop_words(values, 0.3)
    real = dropped[:, :90]
    hidden = real[..., 0] == UNKNOWN
    assert hidden.float().mean() == pytest.approx(0.3, abs=0.02)
    assert (real[..., 1:][hidden].sum(dim=1) == 0).float().mean() == pytest.approx(0.5, abs=0.05)
    assert (real[~hidden] == 7).all()
    assert not dropped[:, 90:].any()


def test_features_are_dropped_for_a_whole_item() -> None:
    words = fit_words([["card", "number"]] * 2)
    module = WordInput(WordPoint(word_dropout=0.0, embedding_dropout=0.5), words).train()
    values = torch.from_numpy(words.encode(["card"] * 6))[None].repeat(20, 1, 1)
    x_BTE, _ = module(values, torch.full((20,), 6))
    zero = x_BTE == 0
    assert (zero.all(dim=1) == zero.any(dim=1)).all()
    assert zero.float().mean() == pytest.approx(0.5, abs=0.05)


def test_a_text_that_names_the_padding_is_not_padded() -> None:
    facts = fit_text(["one two three", "four five six"] * 3)
    for view in facts.views:
        assert (facts.encode(view, "[PAD] one [UNK]")[..., 0] > 0).all()


def test_pieces_are_the_same_in_every_process_though_most_characters_are_rare() -> None:
    script = (
        "import hashlib\n"
        "from models.inputs.text import fit_text\n"
        "texts = [chr(0x4E00 + i) + chr(0x4E00 + (7 * i) % 2950) for i in range(2950)]\n"
        "print(hashlib.sha256(fit_text(texts).pieces.encode()).hexdigest())\n"
    )
    run = [sys.executable, "-c", script]
    assert len({subprocess.run(run, check=True, capture_output=True).stdout for _ in range(2)}) == 1
