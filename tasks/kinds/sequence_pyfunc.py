"""A registered model of sequences, as MLflow loads it: this file and the package ``models``, copied beside the weights.

It imports nothing of ``flows`` or ``tasks``. Takes the columns that the model was trained on and returns one row for
each item, in the order in which the items first appear.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel

SAMPLES, RATE = "samples", "sample_rate"
"""Columns that audio may come in instead of a path."""


class SequenceModel(PythonModel):
    """Predicts the target of whole sequences."""

    def load_context(self, context: Any) -> None:
        from models import bundle

        self.bundle = bundle.load(Path(context.artifacts["bundle"]))

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Predict.

        Args:
            context: MLflow's; not used.
            model_input: a row for each item with its text, its list of tokens, the path of its audio or its
                ``samples`` and ``sample_rate``; or a long table with a row for each item and step.
            params: none are known.

        Returns:
            Item columns as far as they were given, and the columns of the prediction.

        Raises:
            ValueError: a column is missing or an item is empty or unreadable; the row is named.
        """
        facts = self.bundle.facts
        rows, raws = READERS[facts.input.kind](model_input.reset_index(drop=True), facts)
        given = [column for column in facts.columns.item_id if column in model_input]
        ids = model_input.reset_index(drop=True).loc[rows, given].reset_index(drop=True)
        predicted = facts.target.columns(self.bundle.predict_raw(raws))
        return pd.concat([ids, pd.DataFrame(predicted)], axis=1)


def _texts(frame: pd.DataFrame, facts: Any) -> tuple[np.ndarray, list[Any]]:
    column = _column(frame, facts.columns.input[0])
    _refuse(column.isna() | ~column.map(lambda text: isinstance(text, str) and bool(text.strip())), column, "text")
    return np.arange(len(frame)), column.tolist()


def _tokens(frame: pd.DataFrame, facts: Any) -> tuple[np.ndarray, list[Any]]:
    column = _column(frame, facts.columns.input[0])
    _refuse(column.map(lambda tokens: isinstance(tokens, str | float) or not len(tokens)), column, "a list of tokens")
    return np.arange(len(frame)), [[str(token) for token in tokens] for tokens in column]


def _audio(frame: pd.DataFrame, facts: Any) -> tuple[np.ndarray, list[Any]]:
    from models.inputs.audio import read_audio, resample

    rate, raws = facts.input.sample_rate, []
    paths = frame[facts.columns.input[0]] if facts.columns.input[0] in frame else pd.Series([None] * len(frame))
    for row in range(len(frame)):
        if SAMPLES in frame and frame[SAMPLES][row] is not None and np.ndim(frame[SAMPLES][row]):
            samples, found = np.asarray(frame[SAMPLES][row], np.float32), frame[RATE][row] if RATE in frame else rate
        elif isinstance(paths[row], str):
            samples, found = read_audio(Path(paths[row]))
        else:
            raise ValueError(f"each row must have a path or samples (row {row} has neither): give one of them")
        raws.append(resample(samples, int(found), rate))
    return np.arange(len(frame)), raws


def _numeric(frame: pd.DataFrame, facts: Any) -> tuple[np.ndarray, list[Any]]:
    columns = facts.columns
    channels = [_column(frame, channel) for channel in columns.input]
    if len(frame) and np.ndim(channels[0].iloc[0]):
        stacked = [np.stack([np.asarray(c.iloc[row], np.float64) for c in channels], 1) for row in range(len(frame))]
        return np.arange(len(frame)), stacked
    values = np.stack([channel.to_numpy(np.float64, na_value=np.nan) for channel in channels], axis=1)
    if columns.item_id:
        codes, _ = pd.factorize(pd.MultiIndex.from_frame(frame[columns.item_id]))
    else:
        codes = np.zeros(len(frame), np.int64)
    step = _column(frame, columns.step).to_numpy() if columns.step else np.arange(len(frame))
    order = np.lexsort((step, codes))
    starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    return order[starts], np.split(values[order], starts[1:])


READERS: dict[str, Callable[[pd.DataFrame, Any], tuple[np.ndarray, list[Any]]]] = {
    "numeric": _numeric,
    "text": _texts,
    "tokens": _tokens,
    "audio": _audio,
}
"""Input kind -> (a row of each item, what the input's ``encode`` takes of each item)."""


def _column(frame: pd.DataFrame, name: str) -> pd.Series:
    if name not in frame:
        raise ValueError(f"the table must have the column {name!r} (it has {list(frame)[:5]}): add or rename it")
    return frame[name]


def _refuse(wrong: pd.Series, column: pd.Series, what: str) -> None:
    if wrong.any():
        row = int(wrong.to_numpy().argmax())
        raise ValueError(f"column {column.name!r} must hold {what} (row {row} has {column[row]!r}): mend or remove it")


set_model(SequenceModel())
