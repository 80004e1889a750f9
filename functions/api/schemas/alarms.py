"""Alarms of the deployment."""

from collections.abc import Iterable
from datetime import datetime

from pydantic import Field

from api.schemas.fields import Schema
from jobyard.services.queries import system


class Alarm(Schema):
    """An alarm, and what to do about it."""

    name: str = Field(description="Its name, as in docs/operating.md.")
    state: str = Field(description="`OK`, `ALARM` or `INSUFFICIENT_DATA`.")
    is_active: bool = Field(description="Whether somebody has to act.")
    since: datetime = Field(description="Since when it is in this state.")
    means: str = Field(description="What it means.")
    advice: str = Field(description='What to do; "" for an alarm that is not Jobyard\'s.')
    chapter: str = Field(
        description='The chapter of docs/operating.md that says more; "" for none.'
    )
    cause: str = Field(description="Why it is in this state, in CloudWatch's words.")

    @classmethod
    def of(cls, alarm: system.Alarm) -> "Alarm":
        """An alarm as CloudWatch has it, with its runbook."""
        return cls(
            name=alarm.name,
            state=alarm.state,
            is_active=alarm.is_active,
            since=alarm.since,
            means=alarm.description,
            advice=alarm.runbook.advice if alarm.runbook else "",
            chapter=alarm.runbook.chapter if alarm.runbook else "",
            cause=alarm.cause,
        )


class AlarmList(Schema):
    """All alarms, the active ones first."""

    items: list[Alarm]

    @classmethod
    def of(cls, alarms: Iterable[system.Alarm]) -> "AlarmList":
        """The alarms as CloudWatch has them."""
        return cls(items=[Alarm.of(each) for each in alarms])
