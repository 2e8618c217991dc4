"""Stage ``prepare``: canonical parquet in, ragged arrays with a sealed test part out."""

from __future__ import annotations

from prefect import task
from pydantic import Field

from tasks import store
from tasks.config import Config
from tasks.kinds.registry import Problem, kind
from tasks.references import Dataset, Table

VERSION = 1


class SplitConfig(Config):
    """The time-ordered split, counted back from the newest step of each item.

    ::

        |------------------ train ------------------|-- validation --|---- test, sealed ----|
                                                     rolling origins  rolling origins
    """

    test_windows: int = Field(1, title="Test windows", description="Rolling origins in the sealed part.", ge=1)
    validation_windows: int = Field(
        1, title="Validation windows", description="Rolling origins that the search sees.", ge=1
    )
    stride: int | None = Field(None, title="Stride", description="Steps between origins; none: the horizon.", ge=1)


class PrepareConfig(Config):
    """Both sections that a data set is a function of."""

    problem: Problem
    split: SplitConfig


@task(name="prepare", task_run_name="prepare {table.items} items")
def prepare_dataset(table: Table, problem: Problem, split: SplitConfig) -> Dataset:
    """Split, encode and lay out ``table`` for ``problem``.

    Raises:
        InputError: no series is long enough for the split, or a covariate cannot be encoded.
    """
    source = store.path(table)
    key = store.Key("prepare", VERSION, PrepareConfig(problem=problem, split=split), (table.fingerprint,))
    facts = store.commit(key, lambda out: kind(problem.kind).prepare(source, problem, split, out))
    return Dataset(key.uri, key.fingerprint, problem.kind, facts["items"], facts["steps"])
