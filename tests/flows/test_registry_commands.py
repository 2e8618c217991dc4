"""The registry from the command line: what is there, which is best, and who is champion."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
import yaml
from registered import config_of, register_untrained, sales

from carousel.cli import main

NAME, HORIZON = "shop", 5


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory whose home has two versions of a model that learned nothing, of data that grew in between."""
    made = tmp_path_factory.mktemp("commands")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CAROUSEL_HOME", str(made / "home"))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        roles = config_of(made).model_dump(exclude={"source"}, exclude_unset=True)
        for days in (60, 70):
            rows = sales().filter(pl.int_range(pl.len()).over("shop", "ware") < days)
            register_untrained(NAME, rows, made, HORIZON, **roles)
    return made


@pytest.fixture(autouse=True)
def settled(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAROUSEL_HOME", str(place / "home"))
    monkeypatch.chdir(place)


def test_what_was_not_compared_is_promoted_by_force_alone_and_rolled_back(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["promote", f"{NAME}/2"]) == 2
    refused = capsys.readouterr().err
    assert f"{NAME}/2: it was compared with no champion, and version 1 is champion" in refused
    assert "remedy: train it again, so that the two are compared, or take it upon yourself with --force" in refused
    assert main(["promote", NAME, "--force"]) == 2
    assert "only another version can become champion" in capsys.readouterr().err
    assert main(["rollback", NAME]) == 2
    assert "version 1 is the first" in capsys.readouterr().err
    assert main(["promote", f"{NAME}@challenger", "--force", "--why", "newer"]) == 0
    assert capsys.readouterr().out == "shop version 2 is the champion.\n"
    assert main(["rollback", NAME, "--why", "worse"]) == 0
    assert capsys.readouterr().out == "shop version 1 is the champion.\n"
    assert main(["models", NAME]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split() == ["time", "alias", "from", "to", "what", "by", "why"]
    told = [line.split("champion", 1)[1].split() for line in lines if "  champion  " in line]
    assert [one[:2] for one in told] == [["2", "1"], ["1", "2"], ["1", "given"]]
    assert [one[-1] for one in told] == ["worse", "newer", "champion"]


def test_all_models_stand_with_their_champion_and_newest_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models"]) == 0
    head, line = capsys.readouterr().out.splitlines()
    assert head.split() == ["model", "champion", "since", "measured", "versions", "newest"]
    assert line.startswith("shop   version 1  20")
    assert "MASE " in line
    assert line.endswith("2  version 2, not promoted")


def test_the_best_is_named_as_mlflow_loads_it(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = str(place / f"{NAME}.parquet")
    data = config_of(place / f"{NAME}.parquet").model_dump(mode="json", exclude_unset=True) | {"source": source}
    experiment = {"name": NAME, "data": data, "problem": {"kind": "forecast", "horizon": HORIZON}}
    Path("shop.yaml").write_text(yaml.safe_dump(experiment))
    for named in (NAME, "shop.yaml"):
        assert main(["best", named]) == 0
        printed = capsys.readouterr()
        assert printed.out == "models:/shop/2\n", "version 1 was measured on other data"
        assert "best of 1 on these data; not promoted: " in printed.err


def test_the_leaderboard_tells_which_versions_were_measured_on_the_same_data(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["leaderboard", NAME]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split()[-2:] == ["data", "age"]
    data = {
        line[: head.index("alias")].split(maxsplit=1)[1].strip(): line.split()[-3]
        for line in lines
        if "version" in line
    }
    assert len(set(data.values())) == 2
    assert all(len(digits) == 6 for digits in data.values())
