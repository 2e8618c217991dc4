"""A registered model of sequences, as MLflow loads it: this file and the package ``models``, copied beside the weights.

It imports nothing of ``flows`` or ``tasks``. Takes the columns that the model was trained on and returns one row for
each item, in the order in which the items first appear.
"""

from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel


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
        facts, frame = self.bundle.facts, model_input.reset_index(drop=True)
        rows, raws = facts.input.read(frame, facts.columns)
        given = [column for column in facts.columns.item_id if column in frame]
        ids = frame.loc[rows, given].reset_index(drop=True)
        predicted = facts.target.columns(self.bundle.predict_raw(raws))
        return pd.concat([ids, pd.DataFrame(predicted)], axis=1)


set_model(SequenceModel())
