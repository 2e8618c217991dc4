"""Who an item is, from one table to the next: a number that a split draws by and that tells what a model has seen.

An item is known by its id where the table has columns for that, else by its content; of items with the same content
the first is another than the second. So an item keeps its number when rows are added or the table is sorted anew.

Shapes: N items.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tasks.inputs.registry import InputKind

Keys = NDArray[np.uint64]
ITEM, GROUP, DRAW = b"item", b"group", b"draw"
"""What is numbered: the same name as an item and as a group gives two numbers."""


def of_items(ids: pl.Series) -> Keys:
    """Return a number [N] for each id."""
    return _hashed(_encoded(ids), ITEM)


def of_groups(names: pl.Series) -> Keys:
    """Return a number [N] for each name of a group."""
    return _hashed(_encoded(names), GROUP)


def of_contents(parts: Iterable[pl.DataFrame], kind: InputKind) -> Keys:
    """Return a number [N] for the items of ``parts``, which hold column ``input`` as the canonical table does."""
    digests = np.concatenate([_hashed(_contents(part, kind), ITEM) for part in parts])
    order = pl.DataFrame({"digest": digests}).select(pl.int_range(pl.len(), dtype=pl.UInt64).over("digest")).to_series()
    pairs = np.stack([digests, order.to_numpy()], axis=1)
    return _hashed((pair.tobytes() for pair in pairs), ITEM)


def ranks(keys: Keys, seed: int) -> Keys:
    """Return the place [N] of each of ``keys`` in the draw of ``seed``: the lowest are drawn first."""
    return _hashed((f"{seed} {key}".encode() for key in keys.tolist()), DRAW)


def unseen(keys: Keys, trained: Keys) -> NDArray[np.bool_]:
    """Say of each item [N] whether none of its ``keys`` [N, 1 or 2], its own and its group's, is among ``trained``."""
    return np.logical_not(np.isin(keys, trained).any(axis=1))


def _hashed(values: Iterable[bytes], what: bytes) -> Keys:
    digests = (blake2b(value, digest_size=8, person=what).digest() for value in values)
    return np.fromiter((int.from_bytes(digest, "little") for digest in digests), np.uint64)


def _encoded(names: pl.Series) -> Iterator[bytes]:
    return (name.encode() for name in names.cast(pl.String))


def _contents(part: pl.DataFrame, kind: InputKind) -> Iterator[bytes]:
    if part["input"].dtype == pl.Binary:
        return iter(part["input"])
    return map(_content, kind.raws(part))


def _content(raw: Any) -> bytes:
    """Return what a text, a list of tokens or an array of channels [T, C] holds."""
    if isinstance(raw, np.ndarray):
        return raw.tobytes()
    return (raw if isinstance(raw, str) else "\0".join(raw)).encode()
