"""Numbers to standard scores and categories to codes, and from one fitted encoding to another."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from models.encoding import Affine, Encoding, Recoding

ONE = Encoding(
    past_numeric=["wind"],
    known_categorical=["sky"],
    affine={"wind": Affine(mean=4, std=2)},
    vocabularies={"sky": ["clear", "rain", "snow"]},
)
OTHER = Encoding(
    past_numeric=["wind"],
    known_categorical=["sky"],
    affine={"wind": Affine(mean=-1, std=0.5)},
    vocabularies={"sky": ["fog", "snow", "clear"]},
)


def test_numbers_are_standardised_and_missing_ones_stay_missing() -> None:
    coded = ONE.encode_numeric("wind", np.array([4.0, 8.0, np.nan, 1.0]))
    np.testing.assert_array_equal(coded, np.array([0, 2, np.nan, -1.5], np.float32))
    assert coded.dtype == np.float32


def test_categories_are_numbered_from_one_and_unknown_and_missing_ones_are_zero() -> None:
    coded = ONE.encode_categories("sky", ["snow", "clear", None, "hail", "rain"])
    assert (coded.tolist(), coded.dtype) == ([3, 1, 0, 0, 2], np.int32)


def test_recoded_numbers_are_those_that_the_other_encoding_gives() -> None:
    raw = np.array([[4.0], [8.5], [np.nan], [-3.0]])
    coded = ONE.encode_numeric("wind", raw)
    recoded = Recoding(ONE, OTHER).numeric(coded, ["wind"])
    np.testing.assert_allclose(recoded, OTHER.encode_numeric("wind", raw), rtol=1e-6)
    assert recoded.dtype == np.float32


def test_recoded_categories_keep_their_meaning_and_those_that_the_other_lacks_become_unknown() -> None:
    codes = np.array([[[0], [1]], [[2], [3]]], np.int32)
    assert Recoding(ONE, OTHER).categories(codes, ["sky"]).tolist() == [[[0], [3]], [[0], [2]]]
    assert codes.tolist() == [[[0], [1]], [[2], [3]]]


def test_values_of_other_columns_are_not_recoded() -> None:
    with pytest.raises(AssertionError, match="same columns"):
        Recoding(ONE, Encoding(past_numeric=["wind"]))


def test_roles_leave_out_what_was_fitted() -> None:
    assert ONE.roles() == OTHER.roles()
    assert ONE.roles()["known_categorical"] == ["sky"]
    assert "affine" not in ONE.roles()


def test_columns_stand_in_the_order_past_then_known() -> None:
    encoding = Encoding(past_numeric=["a"], known_numeric=["b"], past_categorical=["c"], known_categorical=["d"])
    assert (encoding.numeric, encoding.categorical) == (["a", "b"], ["c", "d"])


def test_an_encoding_comes_back_from_json_the_same() -> None:
    assert Encoding.model_validate_json(ONE.model_dump_json()) == ONE


def test_an_unknown_key_is_refused() -> None:
    with pytest.raises(ValidationError, match="extra"):
        Encoding.model_validate({"future_numeric": ["wind"]})
