"""When a model is trained again: the section ``schedule`` of an experiment."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, ValidationError, model_validator

from tasks.config import Config, Duration, seconds
from tasks.errors import InputError

if TYPE_CHECKING:
    from prefect.client.schemas.schedules import CronSchedule, IntervalSchedule, RRuleSchedule

CatchUp = Literal["latest", "all", "none"]
"""What becomes of a run that is due while an earlier one of its model is at work, or was due while nothing ran."""


class Schedule(Config):
    """When a model is trained again: by one of ``cron``, ``interval`` and ``rrule``."""

    cron: str | None = Field(None, title="Cron", description="such as '0 3 * * *': each night at three")
    interval: Duration | None = Field(None, title="Interval", description="such as 12h, counted from when it is added")
    rrule: str | None = Field(None, title="RRULE", description="of RFC 5545, such as FREQ=MONTHLY;BYDAY=-1FR;BYHOUR=18")
    time_zone: str = Field("UTC", title="Time zone", description="of cron and rrule, such as Europe/Vienna")
    catch_up: CatchUp = Field(
        "latest",
        title="Catch up",
        description="of the runs that are overdue, start the latest, all of them in turn, or none",
    )

    @model_validator(mode="after")
    def _can_be_kept(self) -> Self:
        self.as_prefect()
        return self

    def as_prefect(self) -> CronSchedule | IntervalSchedule | RRuleSchedule:
        """Return the schedule as Prefect keeps it.

        Raises:
            InputError: not one of ``cron``, ``interval`` and ``rrule`` is given, or Prefect cannot read it.
        """
        from prefect.client.schemas.schedules import construct_schedule, is_valid_timezone

        given = {name: value for name in ("cron", "interval", "rrule") if (value := getattr(self, name)) is not None}
        if len(given) != 1:
            rule = "exactly one of cron, interval and rrule must say when"
            raise InputError(rule, ", ".join(given) or "none of them", "give one of them")
        if not is_valid_timezone(self.time_zone):
            rule = "time_zone must be a name of the IANA time zone database"
            raise InputError(rule, repr(self.time_zone), "write it as in Europe/Vienna, or leave it out for UTC")
        if self.interval is not None and seconds(self.interval) < 1:
            raise InputError("interval must be at least a second", self.interval, "choose a longer one")
        every = {"interval": timedelta(seconds=seconds(self.interval))} if self.interval is not None else given
        try:
            return construct_schedule(timezone=self.time_zone, **every)  # type: ignore[return-value]
        except ValidationError as error:
            [(name, value)] = given.items()
            reason = error.errors()[0]["msg"].removeprefix("Value error, ")
            raise InputError(f"{name} must be one that Prefect can read", repr(value), f"mend it: {reason}") from None
