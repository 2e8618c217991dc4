"""Aliases change under a lock and leave a whole log, on a real MLflow registry and from several processes."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from tasks import aliases, leaderboard, registry
from tasks.aliases import ENTRY
from tasks.errors import InputError
from tasks.registry import (
    APPROVAL,
    CHALLENGER,
    CHAMPION,
    DECISION,
    GATE,
    GIVEN,
    PASSED,
    REFUSED,
    RIVAL,
    WAITS,
)

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("aliases")


@pytest.fixture
def client(place: Path, monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    monkeypatch.setenv("CAROUSEL_HOME", str(place / "home"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return registry.client()


@pytest.fixture
def name(client: MlflowClient, request: pytest.FixtureRequest) -> Iterator[str]:
    """A registered model with versions 1 to 4, the first of them champion by the gate."""
    made = request.node.name[:60].replace("[", " ").replace("]", "")
    client.create_registered_model(made)
    for _ in range(4):
        client.create_model_version(made, "nowhere", tags={GATE: PASSED})
    assert aliases.replace_champion(made, "1", None, "the gate", "the first")
    return made


def champion(client: MlflowClient, name: str) -> str:
    return str(client.get_model_version_by_alias(name, CHAMPION).version)


def moves(name: str) -> list[tuple[Any, ...]]:
    return [(one.before, one.after, one.action) for one in aliases.history(name) if one.alias == CHAMPION]


def version(name: str, number: str) -> Any:
    return registry.resolve(f"{name}/{number}")


def test_a_change_is_logged_with_who_had_it_who_has_it_by_whom_and_why(client: MlflowClient, name: str) -> None:
    aliases.give(name, CHALLENGER, "2", "the gate", "registered")
    assert aliases.replace_champion(name, "2", "1", "the gate", "7 % less")
    first, challenger, last = aliases.history(name)
    assert (first.before, first.after, first.action, first.by, first.why) == (
        None,
        "1",
        "given",
        "the gate",
        "the first",
    )
    assert (challenger.alias, challenger.after) == (CHALLENGER, "2")
    assert (last.alias, last.before, last.after, last.why) == (CHAMPION, "1", "2", "7 % less")
    assert first.time < challenger.time < last.time
    assert sorted(client.get_registered_model(name).tags) == [f"{ENTRY}{n:06}" for n in (1, 2, 3)]


def test_who_expected_another_champion_changes_nothing(client: MlflowClient, name: str) -> None:
    assert aliases.replace_champion(name, "2", "1", "a", "")
    assert not aliases.replace_champion(name, "3", "1", "b", "")
    assert not aliases.replace_champion(name, "3", None, "b", "")
    assert champion(client, name) == "2"
    assert moves(name) == [(None, "1", "given"), ("1", "2", "given")]


def test_the_same_change_again_is_no_second_entry(client: MlflowClient, name: str) -> None:
    for _ in range(2):
        aliases.give(name, CHALLENGER, "2", "the gate", "registered")
        assert aliases.replace_champion(name, "2", "1", "the gate", "better")
    assert len(aliases.history(name)) == 3


def test_a_rollback_gives_champion_back_within_a_second_and_a_second_one_goes_further(
    client: MlflowClient, name: str
) -> None:
    assert aliases.replace_champion(name, "2", "1", "the gate", "")
    assert aliases.replace_champion(name, "3", "2", "the gate", "")
    begun = time.perf_counter()
    assert aliases.rollback(name, "ada", "wrong on Sundays") == "2"
    assert time.perf_counter() - begun < 1
    assert champion(client, name) == "2"
    assert aliases.history(name)[-1].why == "wrong on Sundays"
    assert aliases.rollback(name, "ada", "") == "1"
    assert moves(name)[-2:] == [("3", "2", "rolled back"), ("2", "1", "rolled back")]
    with pytest.raises(InputError, match=r"a champion before the present one .*version 1 is the first"):
        aliases.rollback(name, "ada", "")
    assert champion(client, name) == "1"


def test_after_a_rollback_the_next_champion_is_rolled_back_to_the_one_it_replaced(
    client: MlflowClient, name: str
) -> None:
    assert aliases.replace_champion(name, "2", "1", "the gate", "")
    assert aliases.rollback(name, "ada", "") == "1"
    assert aliases.replace_champion(name, "3", "1", "the gate", "")
    assert aliases.rollback(name, "ada", "") == "1"


def test_a_version_that_was_deleted_is_passed_over(client: MlflowClient, name: str) -> None:
    assert aliases.replace_champion(name, "2", "1", "the gate", "")
    assert aliases.replace_champion(name, "3", "2", "the gate", "")
    client.delete_model_version(name, "2")
    assert aliases.rollback(name, "ada", "") == "1"


def test_what_was_changed_in_mlflow_or_cut_off_before_its_entry_is_logged_as_found(
    client: MlflowClient, name: str
) -> None:
    client.set_registered_model_alias(name, CHAMPION, "4")
    assert aliases.replace_champion(name, "2", "4", "the gate", "")
    assert moves(name) == [(None, "1", "given"), ("1", "4", "found"), ("4", "2", "given")]
    client.delete_registered_model_alias(name, CHAMPION)
    assert aliases.rollback(name, "ada", "") == "2"
    assert moves(name)[-2:] == [("2", None, "found"), (None, "2", "rolled back")]


RACE = """
import sys, time
from pathlib import Path
from tasks import aliases
name, number, start = sys.argv[1], sys.argv[2], Path(sys.argv[3])
aliases.history(name)
Path(f"{start}.{number}").touch()
while not start.exists():
    time.sleep(0.001)
won = aliases.replace_champion(name, number, "1", f"process {number}", "it was compared with version 1")
for _ in range(3):
    aliases.give(name, "challenger", number, f"process {number}", "registered")
print(won)
"""


def test_a_race_of_two_promotions_ends_with_one_champion_and_a_whole_log(
    client: MlflowClient, name: str, tmp_path: Path
) -> None:
    start = tmp_path / "start"
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACE, name, number, str(start)], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        for number in ("2", "3")
    ]
    deadline = time.monotonic() + 120
    while len(list(tmp_path.iterdir())) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    start.touch()
    won = {number: racer.communicate()[0].strip() for number, racer in zip(("2", "3"), racers, strict=True)}
    assert sorted(won.values()) == ["False", "True"]
    winner = next(number for number, said in won.items() if said == "True")
    assert champion(client, name) == winner
    assert moves(name) == [(None, "1", "given"), ("1", winner, "given")]
    given = [one for one in aliases.history(name) if one.alias == CHALLENGER]
    assert {one.by for one in given} == {"process 2", "process 3"}
    assert [one.before for one in given] == [None, *(one.after for one in given[:-1])]
    assert given[-1].after == str(client.get_model_version_by_alias(name, CHALLENGER).version)
    assert [one.action for one in given] == ["given"] * len(given)


def test_a_version_that_passed_against_the_present_champion_is_promoted_by_hand(
    client: MlflowClient, name: str
) -> None:
    client.set_model_version_tag(name, "2", RIVAL, "1")
    aliases.promote(version(name, "2"), "ada", "the release of May")
    assert champion(client, name) == "2"
    assert (aliases.history(name)[-1].by, aliases.history(name)[-1].why) == ("ada", "the release of May")


def test_what_the_gate_refused_or_never_compared_is_promoted_by_force_alone(client: MlflowClient, name: str) -> None:
    client.set_model_version_tag(name, "2", GATE, REFUSED)
    client.set_model_version_tag(name, "2", DECISION, "not promoted: the baseline linear is better")
    client.set_model_version_tag(name, "3", RIVAL, "2")
    client.delete_model_version_tag(name, "4", GATE)
    for number, said in (
        ("2", "not promoted: the baseline linear is better"),
        ("3", "it was compared with version 2, and version 1 is champion"),
        ("4", "it never came to the gate"),
    ):
        with pytest.raises(InputError, match=f"what passed the gate against it .*{name}/{number}: {said}.*--force"):
            aliases.promote(version(name, number), "ada", "")
        assert champion(client, name) == "1"
    with pytest.raises(InputError, match="only another version can become champion"):
        aliases.promote(version(name, "1"), "ada", "", force=True)
    aliases.promote(version(name, "2"), "ada", "I know better", force=True)
    assert champion(client, name) == "2"


def test_nothing_is_rolled_back_or_told_of_a_model_that_is_not_registered(client: MlflowClient, name: str) -> None:
    for act in (lambda: aliases.rollback("nobody", "ada", ""), lambda: aliases.history("nobody")):
        with pytest.raises(InputError, match=f"a model must be registered .*'nobody'.*choose one of: .*{name}"):
            act()
    client.create_registered_model(f"{name} new")
    with pytest.raises(InputError, match="which never had a champion"):
        aliases.rollback(f"{name} new", "ada", "")


def test_the_changes_are_shown_newest_first(client: MlflowClient, name: str) -> None:
    assert aliases.replace_champion(name, "2", "1", "the gate", "7 % less")
    newest, oldest = leaderboard.changes(name)
    assert {key: value for key, value in newest.items() if key != "time"} == {
        "alias": CHAMPION, "from": "1", "to": "2", "what": "given", "by": "the gate", "why": "7 % less",
    }  # fmt: skip
    assert (oldest["from"], oldest["to"]) == ("", "1")


def waits(client: MlflowClient, name: str, number: str, rival: str) -> Any:
    """Let version ``number`` wait for approval, which passed the gate against ``rival``; return it."""
    tags = {RIVAL: rival, APPROVAL: WAITS, DECISION: aliases.waiting(name, number, "7 % less")}
    for tag, value in tags.items():
        client.set_model_version_tag(name, number, tag, value)
    return version(name, number)


def settled(client: MlflowClient, name: str, number: str) -> tuple[str, str]:
    tags = client.get_model_version(name, number).tags
    return tags[APPROVAL], tags[DECISION]


def test_a_version_that_waits_becomes_champion_with_approval_and_not_without(client: MlflowClient, name: str) -> None:
    for number in ("2", "3"):
        waits(client, name, number, "1")
    aliases.answer(version(name, "2"), False, "Ada", "too slow")
    assert settled(client, name, "2") == (REFUSED, "not promoted: Ada refused approval (too slow); 7 % less")
    assert champion(client, name) == "1"
    aliases.answer(version(name, "3"), True, "Ada", "")
    assert settled(client, name, "3") == (GIVEN, "promoted: Ada approved; 7 % less")
    assert champion(client, name) == "3"
    assert not version(name, "3").waits
    assert (aliases.history(name)[-1].by, aliases.history(name)[-1].why) == ("Ada", "approved")


def test_approval_does_not_replace_a_champion_that_it_was_not_compared_with(client: MlflowClient, name: str) -> None:
    asked = waits(client, name, "2", "1")
    assert aliases.replace_champion(name, "4", "1", "the gate", "9 % less")
    aliases.answer(asked, True, "Ada", "")
    told = "not promoted: version 4 became champion meanwhile, and was not compared; 7 % less"
    assert settled(client, name, "2") == (GIVEN, told)
    assert champion(client, name) == "4"


def test_who_approves_by_hand_settles_the_question_and_a_later_answer_changes_nothing(
    client: MlflowClient, name: str
) -> None:
    asked = waits(client, name, "2", "1")
    aliases.promote(asked, "Ada", "by hand")
    assert settled(client, name, "2") == (GIVEN, "promoted: Ada approved (by hand); 7 % less")
    aliases.answer(asked, False, "Prefect, run x", "no")
    assert settled(client, name, "2") == (GIVEN, "promoted: Ada approved (by hand); 7 % less")
    assert champion(client, name) == "2"
