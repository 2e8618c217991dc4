"""Stage ``prepare``: canonical parquet in, ragged arrays with a sealed test part out."""

from __future__ import annotations

from prefect import task
from pydantic import ConfigDict, Field

from tasks import store
from tasks.config import Config
from tasks.errors import InputError
from tasks.kinds.registry import Problem, kind
from tasks.references import Dataset, Table
from tasks.reporting.failure import explain_stage

VERSION = 4
OF_SERIES = {"test_windows", "validation_windows", "stride"}


class SplitConfig(Config):
    """How much is held back for validation and for the sealed test.

    Series are split by time, counted back from the newest step of each::

        |------------------ train ------------------|-- validation --|---- test, sealed ----|
                                                     rolling origins  rolling origins

    Whole sequences are split by items: at random with equal shares of each class, by whole groups, or as a column says.
    """

    model_config = ConfigDict(title="Split")

    test_windows: int = Field(1, title="Test windows", description="Series: rolling origins in the sealed part.", ge=1)
    validation_windows: int | None = Field(
        None,
        title="Validation windows",
        description="Series: rolling origins that the search sees; none: as many as give it a sound comparison.",
        ge=1,
    )
    stride: int | None = Field(
        None, title="Stride", description="Series: steps between origins; none: the horizon.", ge=1
    )
    test_share: float = Field(
        0.2, title="Test share", description="Sequences: share of all items in the sealed part.", gt=0, lt=1
    )
    validation_share: float = Field(
        0.15,
        title="Validation share",
        description="Sequences: share, of the items that are not sealed, that the search compares trials on.",
        gt=0,
        lt=1,
    )
    group: str | None = Field(
        None,
        title="Group column",
        description="Sequences: items with the same value, such as a speaker, lie in one part.",
    )
    column: str | None = Field(
        None,
        title="Split column",
        description="Sequences: holds train, validation or test; without validation, that is drawn from train.",
    )
    stratify: bool = Field(
        True, title="Stratify", description="Sequences: give the parts alike shares of each class, as far as can be."
    )
    seed: int = Field(0, title="Seed", description="Sequences: of the draw.", ge=0)

    def known(self, form: str) -> set[str]:
        """Return the fields that mean something for data of ``form``: series or sequences."""
        return OF_SERIES if form == "series" else set(type(self).model_fields) - OF_SERIES

    def foreign(self, form: str) -> list[str]:
        """Return the fields that are set and mean nothing for data of ``form``."""
        changed = {name for name, field in type(self).model_fields.items() if getattr(self, name) != field.default}
        return sorted(changed - self.known(form))


class PrepareConfig(Config):
    """Both sections that a data set is a function of."""

    problem: Problem
    split: SplitConfig


def check_split(problem: str, split: SplitConfig) -> None:
    """Check that ``split`` says what is done: nothing in it is of another form of data, or without effect.

    Args:
        problem: the problem's kind.
        split: the section.

    Raises:
        InputError: it sets what this kind's data are not split by, or what another key of it overrules.
    """
    if foreign := split.foreign(form := kind(problem).DATA):
        raise InputError(
            f"problem {problem} splits {form}",
            f"split.{', split.'.join(foreign)}",
            f"leave it out; known here: {', '.join(sorted(split.known(form)))}",
        )
    if split.column is not None and split.test_share != SplitConfig.model_fields["test_share"].default:
        raise InputError(
            "split.column gives the test part, so split.test_share must be left out",
            f"column {split.column!r} and test_share {split.test_share:g}",
            "leave one of the two out",
        )


@task(name="prepare", task_run_name="prepare {table.items} items", on_failure=[explain_stage])
def prepare_dataset(table: Table, problem: Problem, split: SplitConfig) -> Dataset:
    """Split, encode and lay out ``table`` for ``problem``.

    Raises:
        InputError: the split does not fit the problem or the data, or a covariate or target cannot be encoded.
    """
    check_split(problem.kind, split)
    source = store.path(table)
    key = store.Key("prepare", VERSION, PrepareConfig(problem=problem, split=split), (table.fingerprint,))
    facts = store.commit(key, lambda out: kind(problem.kind).prepare(source, problem, split, out))
    return Dataset(key.uri, key.fingerprint, problem.kind, facts["items"], facts["steps"])
