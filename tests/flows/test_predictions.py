"""Predictions as one file: parquet as they are stored, CSV with what it has no type for as JSON text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from pydantic import BaseModel

from carousel.predictions import deliver
from models.objectives.classify import ClassifyTarget
from models.objectives.tag import Tags, TagTarget
from tasks import store
from tasks.references import Predictions

LABELS = ['B-"quoted", and more', "O", "Köln"]


class Made(BaseModel):
    """The Config of an output that a test writes by hand."""

    name: str


def predicted(name: str, *parts: pl.DataFrame) -> Predictions:
    def write(out: Path) -> dict[str, Any]:
        for number, part in enumerate(parts):
            part.write_parquet(out / f"part-{number:05d}.parquet")
        return {}

    key = store.Key("predict", 1, Made(name=name), ())
    store.commit(key, write)
    rows = sum(map(len, parts))
    return Predictions(key.uri, key.fingerprint, rows, rows)


def test_lists_of_tags_and_probabilities_are_json_text_in_csv_over_all_parts(home: Path, tmp_path: Path) -> None:
    target = TagTarget(labels=LABELS, scheme="none")
    tags = [Tags(np.array([0, 1]), np.array([0.5, 0.25])), Tags(np.array([2]), np.array([np.nan]))]
    parts = [pl.DataFrame({"item_id": [f"i{n}"], **target.columns([one])}) for n, one in enumerate(tags)]
    parts.append(pl.DataFrame({"item_id": ["i2"], "tags": [None], "probabilities": [[]]}, schema=parts[0].schema))
    out = deliver(predicted("tags", *parts), tmp_path / "x.csv")
    rows = pl.read_csv(out, infer_schema=False)
    assert rows.columns == ["item_id", "tags", "probabilities"]
    assert rows["item_id"].to_list() == ["i0", "i1", "i2"]
    assert [text and json.loads(text) for text in rows["tags"]] == [[LABELS[0], "O"], ["Köln"], None]
    assert list(map(json.loads, rows["probabilities"])) == [[0.5, 0.25], [None], []]
    assert "Köln" in out.read_text(encoding="utf-8")


def test_a_label_stays_a_plain_column_beside_its_probabilities_and_parquet_keeps_lists(
    home: Path, tmp_path: Path
) -> None:
    target = ClassifyTarget(labels=["no", "yes"], multi_label=False)
    frame = pl.DataFrame({"item_id": ["a", "b"], **target.columns([np.array([0.75, 0.25]), np.array([0.0, 1.0])])})
    predictions = predicted("labels", frame)
    assert deliver(predictions, tmp_path / "x.csv").read_text().splitlines() == [
        "item_id,label,probability,probabilities",
        'a,no,0.75,"[0.75, 0.25]"',
        'b,yes,1.0,"[0.0, 1.0]"',
    ]
    assert pl.read_parquet(deliver(predictions, tmp_path / "x.parquet")).equals(frame)
    assert deliver(predictions, None) == store.path(predictions)
