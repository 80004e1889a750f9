"""The rules of a campaign: its schedule, retries, speed and limits, as a person sets them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from jobyard.domain.campaigns.abort import AbortRule, abort_rule_of
from jobyard.domain.campaigns.fields import FieldReader, whole_number
from jobyard.domain.campaigns.retry import DEFAULT_RETRY_S, MAX_RETRY_S, MIN_RETRY_S
from jobyard.domain.campaigns.rollout import Rollout, rollout_of
from jobyard.domain.campaigns.schedule import (
    SCHEDULE_FIELDS,
    CalendarFor,
    CampaignSchedule,
    ignored_fields,
    schedule_of,
)

RULE_FIELDS = (*SCHEDULE_FIELDS, "retry_s", "at_once", "attempt_s", "rollout", "abort")
CHANGE_FIELDS = ("to", "at_once", "rollout")  # what a person may change while it runs
DEFAULT_AT_ONCE, MAX_AT_ONCE = 100, 1_000
DEFAULT_ATTEMPT_S = 3_600
MIN_ATTEMPT_S, MAX_ATTEMPT_S = 60, 7 * 86_400
EXPIRY_GRACE = timedelta(minutes=5)  # for a step that runs when the campaign expires


@dataclass(frozen=True)
class CampaignRules:
    """When and how fast the tasks of a campaign run.

    At most `at_once` run at the same time. A retry starts `retry_s` seconds after a failed attempt,
    or later. An attempt takes at most `attempt_s` seconds, over all of its parts.
    """

    schedule: CampaignSchedule
    retry_s: int = DEFAULT_RETRY_S
    at_once: int = DEFAULT_AT_ONCE
    attempt_s: int = DEFAULT_ATTEMPT_S
    rollout: Rollout | None = None
    abort: AbortRule | None = None

    def document(self) -> dict[str, Any]:
        """The rules as JSON; `rules_of` parses them."""
        return {
            **self.schedule.document(),
            "retry_s": self.retry_s,
            "at_once": self.at_once,
            "attempt_s": self.attempt_s,
            "rollout": self.rollout and self.rollout.document(),
            "abort": self.abort and self.abort.document(),
        }


def rules_of(
    fields: FieldReader,
    created_at: datetime,
    calendar_for: CalendarFor,
    default_needs_min: int = 0,
) -> CampaignRules:
    """Parse the fields `RULE_FIELDS` of a campaign that is created at `created_at`.

    What is wrong is recorded in `fields`; then the rules are of no use. `default_needs_min` is
    that of its job type.
    """
    retry = whole_number(MIN_RETRY_S, MAX_RETRY_S, "of seconds")
    attempt = whole_number(MIN_ATTEMPT_S, MAX_ATTEMPT_S, "of seconds")
    retry_s = fields.read("retry_s", retry, DEFAULT_RETRY_S)
    at_once = fields.read("at_once", whole_number(1, MAX_AT_ONCE), DEFAULT_AT_ONCE)
    attempt_s = fields.read("attempt_s", attempt, DEFAULT_ATTEMPT_S)
    rollout = fields.read("rollout", rollout_of, None)
    abort = fields.read("abort", abort_rule_of, None)
    schedule = schedule_of(fields, created_at, calendar_for, default_needs_min)
    return CampaignRules(schedule, retry_s, at_once, attempt_s, rollout, abort)


def rule_warnings(document: Mapping[str, Any]) -> list[str]:
    """Warnings about fields that a campaign of its kind ignores."""
    return [f"{name}: a campaign at once ignores it" for name in ignored_fields(document)]


def changed_rules(rules: CampaignRules, changes: object, created_at: datetime) -> CampaignRules:
    """The rules after a person changed some of `CHANGE_FIELDS`: a later end, another speed.

    Fields of the rollout that are left out stay; one that is null is its default. A rollout that is
    null is removed.

    Raises:
        InvalidCampaign: a field is wrong, or nothing is changed.
    """
    fields = FieldReader(changes, CHANGE_FIELDS)
    is_removed = isinstance(changes, Mapping) and changes.get("rollout", rules) is None

    def changed_rollout(where: str, value: object) -> Rollout:
        if rules.rollout and isinstance(value, Mapping):
            value = {**rules.rollout.document(), **value}
        return rollout_of(where, value)

    changed = replace(
        rules,
        schedule=fields.read(
            "to", lambda _, value: rules.schedule.extended(value, created_at), rules.schedule
        ),
        at_once=fields.read("at_once", whole_number(1, MAX_AT_ONCE), rules.at_once),
        rollout=fields.read("rollout", changed_rollout, None if is_removed else rules.rollout),
    )
    if changed == rules and not fields.problems:
        fields.refuse("", f"at least one change of {', '.join(CHANGE_FIELDS)}")
    fields.check()
    return changed
