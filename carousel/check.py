"""``carousel check``: read and check all data as a run would, keep nothing, and say what a run would do."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tasks import store
from tasks.environment import Environment
from tasks.references import MANIFEST, Dataset, Table

_EARNED = "champion if no baseline is better and it is shown to beat the champion"
_PROMOTION = {"auto": _EARNED, "approve": f"{_EARNED}, and somebody approves", "never": "the champion stays"}


def plan(env: Environment, parameters: dict[str, Any]) -> list[str]:
    """Return lines that say what ``pipeline`` would do with ``parameters``, as ``carousel.experiment.load`` gave them.

    Nothing that it reads is kept.

    Raises:
        InputError: the data break their contract, are too short for the split, the name is no model's name, or
            ``search.space`` is not the search's.
    """
    from tasks.evaluate import EvaluateConfig
    from tasks.experiment import model_name
    from tasks.fit import FitConfig
    from tasks.gate import GateConfig
    from tasks.kinds.registry import kind
    from tasks.prepare import SplitConfig
    from tasks.search_config import SearchConfig

    data, problem = parameters["data"], parameters["problem"]
    split: SplitConfig = parameters.get("split", SplitConfig())
    search: SearchConfig = parameters.get("search", SearchConfig())
    fit: FitConfig = parameters.get("fit", FitConfig())
    evaluate: EvaluateConfig = parameters.get("evaluate", EvaluateConfig())
    register: GateConfig = parameters.get("register", GateConfig())
    name = model_name(parameters.get("name"), problem, data)
    with _thrown_away(env):
        table, dataset, read, prepared = _read(data, problem, split)
        _check_space(dataset, search)
    stored = _stored(env, table, dataset, search, fit)
    beside = evaluate.baselines or list(kind(problem.kind).BASELINES)
    return [
        f"{name}: {problem.kind}" + "".join(f", {key} {value}" for key, value in _told(problem)),
        f"data      {_described(table, read)}",
        *(_finding(finding) for finding in [*read["findings"], *prepared.get("findings", [])]),
        f"split     {_split(split, prepared)}",
        f"search    at most {search.time_budget} and {search.max_trials} trials, {env.workers} workers",
        f"fit       at most {fit.members} members, {env.devices} processes",
        f"evaluate  beside {', '.join(beside) or 'the champion alone'}",
        f"register  {name} as challenger; {_PROMOTION[register.promote]}",
        "stored    " + (", ".join(stored) or "nothing yet: every stage would run"),
    ]


def _told(problem: Any) -> list[tuple[str, Any]]:
    """Return the settings of ``problem`` that fit on a line."""
    settings = problem.model_dump(exclude={"kind"}, exclude_none=True)
    return [(key.replace("_", " "), value) for key, value in settings.items() if not isinstance(value, list)]


def _described(table: Table, read: dict[str, Any]) -> str:
    if "frequency" in read:
        return f"{table.items} series, {table.rows} steps of {read['frequency']}, {read['observed']} observed"
    return f"{table.items} sequences of {read['input']}"


def _split(split: Any, prepared: dict[str, Any]) -> str:
    if sizes := prepared.get("sizes"):
        return f"{sizes['train']} training, {sizes['validation']} validation and {sizes['test']} sealed test items"
    chosen = prepared["split"]["validation_windows"]
    return f"{chosen} validation and {split.test_windows} sealed test windows of each series"


def _read(data: Any, problem: Any, split: Any) -> tuple[Table, Dataset, dict[str, Any], dict[str, Any]]:
    from tasks.ingest import ingest_table
    from tasks.prepare import prepare_dataset

    table = ingest_table.fn(data)
    facts = json.loads((store.path(table) / "table.json").read_text())
    dataset = prepare_dataset.fn(table, problem, split)
    return table, dataset, facts, json.loads((store.path(dataset) / "dataset.json").read_text())


def _check_space(dataset: Dataset, search: Any) -> None:
    """Check ``search.space`` against the search on ``dataset``; what is searched depends on the data."""
    if not search.space:
        return
    from tasks import space
    from tasks.kinds.kind import LearnerOptions
    from tasks.kinds.registry import kind

    options = LearnerOptions(search.max_steps, search.metric or kind(dataset.kind).SEARCH_METRICS[0])
    space.check(search.space, kind(dataset.kind).learner(store.path(dataset), options).suggest)


def _finding(finding: dict[str, Any]) -> str:
    column = f" {finding['column']}:" if finding["column"] else ""
    return f"  {finding['level']}:{column} {finding['message']} ({finding['action']})"


def _stored(env: Environment, table: Table, dataset: Dataset, search: Any, fit: Any) -> list[str]:
    """Return the stages whose output the store has, so that a run would not compute them."""
    import tasks.fit
    import tasks.search

    places = {"ingest": [table.uri], "prepare": [dataset.uri], "search": [], "fit": []}
    # A search may go on from one of several others: which one, the registry knows, and it is not opened here.
    for path in env.store.glob(f"search/*/{MANIFEST}"):
        made = json.loads(path.read_text())
        key = store.Key("search", tasks.search.VERSION, search, tuple(made["inputs"]))
        if key.fingerprint == path.parent.name and made["inputs"][0] == dataset.fingerprint:
            fitted = store.Key("fit", tasks.fit.VERSION, fit, (dataset.fingerprint, key.fingerprint))
            places["search"].append(key.uri)
            places["fit"].append(fitted.uri)
    return [stage for stage, uris in places.items() if any((env.store / uri / MANIFEST).exists() for uri in uris)]


@contextmanager
def _thrown_away(env: Environment) -> Iterator[None]:
    """Let the store lie in a temporary directory below the home."""
    env.work.mkdir(parents=True, exist_ok=True)
    earlier = os.environ.get("CAROUSEL_HOME")
    with tempfile.TemporaryDirectory(prefix="check-", dir=env.work) as home:
        os.environ["CAROUSEL_HOME"] = str(Path(home))
        try:
            yield
        finally:
            if earlier is None:
                del os.environ["CAROUSEL_HOME"]
            else:
                os.environ["CAROUSEL_HOME"] = earlier
