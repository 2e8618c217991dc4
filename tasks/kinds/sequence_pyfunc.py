"""The registered model of sequences, as MLflow loads it: this file and the package ``models``, beside the weights.

It imports nothing of ``flows`` or ``tasks``. Takes a table with the columns that the model was trained on, a row for
each item or, where the training data were a long table, for each of its steps. Returns a row for each item, in the
order in which the items first appear.
"""

import os
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel

SERVED = "_MLFLOW_IS_IN_SERVING_ENVIRONMENT"
"""The variable that MLflow's scoring server sets."""


class SequenceModel(PythonModel):
    """Predicts the target of whole sequences.

    ``bundle`` predicts; ``remote`` says that requests come from elsewhere; ``most_steps`` is what an item may have, any
    number if None.
    """

    bundle: Any
    remote: bool = False
    most_steps: int | None = None

    def load_context(self, context: Any) -> None:
        from models import bundle

        self.bundle = bundle.load(Path(context.artifacts["bundle"]))

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Predict.

        Args:
            context: MLflow's; not used.
            model_input: a row for each item with its text, its list of tokens, the path of its audio or its
                ``samples`` and ``sample_rate``; or a long table with a row for each item and step. What is served
                over HTTP takes no paths.
            params: none are known.

        Returns:
            Item columns as far as they were given, and the columns of the prediction.

        Raises:
            ValueError: a column is missing or an item is empty, too long or unreadable; the row is named.
        """
        facts, frame = self.bundle.facts, model_input.reset_index(drop=True)
        if facts.input.opens_files and (self.remote or os.environ.get(SERVED) == "true"):
            _refuse_paths(frame, facts.columns.input[0])
        rows, raws = facts.input.read(frame, facts.columns)
        self._check_sizes(rows, raws)
        given = [column for column in facts.columns.item_id if column in frame]
        ids = frame.loc[rows, given].reset_index(drop=True)
        predicted = facts.target.columns(self.bundle.predict_raw(raws))
        return pd.concat([ids, pd.DataFrame(predicted)], axis=1)

    def _check_sizes(self, rows: Any, raws: list[Any]) -> None:
        for row, raw in zip(rows, raws, strict=True):
            if self.most_steps is not None and (size := self.bundle.facts.input.size(raw)) > self.most_steps:
                raise ValueError(
                    f"an item must have at most {self.most_steps:,} steps (that of row {row} has {size:,}): shorten it"
                )


def _refuse_paths(frame: pd.DataFrame, column: str) -> None:
    """Refuse to open what a request names: it would be a file of the server."""
    if column in frame and frame[column].notna().any():
        row = int(frame[column].notna().to_numpy().argmax())
        raise ValueError(
            f"a served model takes audio as samples and sample_rate (row {row} names a file in {column!r}): send them"
        )


set_model(SequenceModel())
