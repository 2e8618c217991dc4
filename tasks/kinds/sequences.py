"""Every kind of whole sequences: what ``Kind`` asks for, with what is to be predicted left to an ``Objective``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tasks.inputs.registry import input_kind
from tasks.kinds.kind import Card, Learner, LearnerOptions, SplitOptions

if TYPE_CHECKING:
    import polars as pl

    from tasks.kinds.objective import Objective
    from tasks.monitoring.health import Watched
    from tasks.reporting.section import Section


class SequenceKind:
    """A problem kind whose items are sequences of any length with a target each."""

    PYFUNC = Path(__file__).with_name("sequence_pyfunc.py")
    DATA: Literal["sequences"] = "sequences"

    def __init__(self, objective: Objective) -> None:
        self.objective = objective

    @property
    def INPUTS(self) -> list[str]:
        return self.objective.inputs

    @property
    def SEARCH_METRICS(self) -> list[str]:
        return self.objective.validation_metrics

    @property
    def BASELINES(self) -> list[str]:
        return self.objective.baselines

    @property
    def ERROR(self) -> str:
        return self.objective.error

    def prepare(self, source: Path, problem: Any, options: SplitOptions, out: Path) -> dict[str, Any]:
        from tasks.kinds import sequence_preparation

        return sequence_preparation.prepare(source, problem, options, out, self.objective)

    def learner(self, dataset: Path, options: LearnerOptions) -> Learner:
        from tasks.kinds.sequence_learner import SequenceLearner

        return SequenceLearner(dataset, options, self.objective)

    def training(self, dataset: Path, recipe: dict[str, Any], seed: int) -> Any:
        from tasks.kinds import sequence_learner

        return sequence_learner.training(dataset, recipe, seed)

    def unseen(self, dataset: Path, earlier: Path) -> bool:
        """Never for sure: items change parts where a table has grown."""
        return False

    def describe(self, dataset: Path, recipes: list[dict[str, Any]], weights: list[int], out: Path) -> None:
        from tasks.kinds import sequence_learner

        sequence_learner.describe(dataset, recipes, weights, out)

    def evaluate(
        self,
        dataset: Path,
        model: Path,
        rival: tuple[str, Any] | None,
        rival_note: str | None,
        baselines: list[str],
        workers: int,
        out: Path,
    ) -> dict[str, Any]:
        from tasks.kinds import sequence_evaluation

        return sequence_evaluation.evaluate(dataset, model, rival, rival_note, baselines, workers, out, self.objective)

    def sections(self, evaluated: Path, model: Path) -> list[Section]:
        from tasks.kinds import sequence_evaluation

        return sequence_evaluation.sections(evaluated, self.objective)

    def card(self, described: dict[str, Any], evaluation: dict[str, Any]) -> Card:
        from models.sequence_model import SequenceFacts
        from tasks.kinds import sequence_card

        facts = SequenceFacts.model_validate(described["facts"])
        return sequence_card.card(facts, len(described["members"]), self.objective.does)

    def signature(self, described: dict[str, Any]) -> tuple[Any, Any]:
        from models.sequence_model import SequenceFacts
        from tasks.kinds import sequence_signature

        return sequence_signature.signature(SequenceFacts.model_validate(described["facts"]))

    def served(self, bundle: Any, most_steps: int | None) -> Any:
        from tasks.kinds.sequence_pyfunc import SequenceModel

        model = SequenceModel()
        model.bundle, model.remote, model.most_steps = bundle, True, most_steps
        return model

    def requirements(self, described: dict[str, Any]) -> tuple[str, ...]:
        return input_kind(described["facts"]["input"]["kind"]).REQUIREMENTS

    def predict(self, bundle: Any, table: Path, out: Path) -> dict[str, Any]:
        from tasks.kinds import sequence_prediction

        return sequence_prediction.predict(bundle, table, out)

    def profile(self, table: Path, dataset: Path, evaluated: Path, out: Path) -> None:
        from tasks.kinds import sequence_monitoring

        sequence_monitoring.profile(table, dataset, evaluated, out, self.objective)

    def watch(self, profiled: Path, table: Path) -> Watched:
        from tasks.kinds import sequence_monitoring

        return sequence_monitoring.watch(profiled, table, self.objective)

    def live(
        self, bundle: Any, profiled: Path, predicted: list[Path], table: Path
    ) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Predict the new items of ``table`` anew; ``predicted`` says nothing else."""
        from tasks.kinds import sequence_monitoring

        return sequence_monitoring.live(bundle, profiled, table, self.objective)
