"""The section ``schedule`` of an experiment."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from tasks.schedule import Schedule


@pytest.mark.parametrize(
    ("values", "kept"),
    [
        ({"cron": "0 3 * * *", "time_zone": "Europe/Vienna"}, {"cron": "0 3 * * *", "timezone": "Europe/Vienna"}),
        ({"interval": "1h30m"}, {"interval": timedelta(minutes=90), "timezone": "UTC"}),
        ({"rrule": "FREQ=MONTHLY;BYDAY=-1FR"}, {"rrule": "FREQ=MONTHLY;BYDAY=-1FR", "timezone": "UTC"}),
    ],
)
def test_a_schedule_is_kept_as_prefect_has_it(values: dict[str, str], kept: dict[str, Any]) -> None:
    schedule = Schedule(**values).as_prefect()
    assert {name: getattr(schedule, name) for name in kept} == kept


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "exactly one of cron, interval and rrule must say when .got none of them"),
        ({"cron": "0 3 * * *", "interval": "1h"}, "exactly one .* .got cron, interval"),
        ({"cron": "three"}, "cron must be one that Prefect can read .got 'three'.: mend it: Invalid cron string"),
        ({"rrule": "FREQ=NEVER"}, "rrule must be one that Prefect can read .*invalid 'FREQ': NEVER"),
        ({"interval": "0s"}, "interval must be at least a second"),
        ({"cron": "0 3 * * *", "time_zone": "Mars"}, "time_zone must be a name of the IANA time zone database"),
        ({"cron": "0 3 * * *", "catch_up": "some"}, "Input should be 'latest', 'all' or 'none'"),
    ],
)
def test_a_schedule_that_cannot_be_kept_is_refused(values: dict[str, str], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Schedule(**values)
