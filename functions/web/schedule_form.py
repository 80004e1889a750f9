"""The form of a schedule: its fields as text, and the schedule that they describe."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from gateway.errors import ValidationFailed
from jobyard.domain.errors import InvalidParameters, InvalidRule
from jobyard.domain.mail_addresses import addresses
from jobyard.domain.schedules.recurrence import Kind, Recurrence
from jobyard.domain.schedules.rule_parsing import DEFAULT_ZONE, recurrence_of
from jobyard.domain.schedules.schedule import (
    CatchUp,
    MissedPolicy,
    OverlapPolicy,
    Policy,
    Schedule,
)
from web.filters import sentence
from web.forms import number_in, refusal_text
from web.request import PageRequest

# Fields of a rule: texts, and whole numbers.
_TEXT_FIELDS = ("at", "zone", "anchor", "end")
_NUMBER_FIELDS = ("every", "count")
_TITLE_LETTERS = 100
_TITLE_BYTES = 200


def empty_fields(now: datetime) -> dict[str, Any]:
    """The fields of a new schedule."""
    return {
        "title": "",
        "job_type": "",
        "kind": "daily",
        "every": "1",
        "weekdays": [],
        "day": "",
        "at": "02:00",
        "zone": DEFAULT_ZONE,
        "anchor": f"{now:%Y-%m-%d}",
        "end": "",
        "count": "",
        "gap": "shift",
        "repeated": "once",
        "missed": "latest",
        "limit": "10",
        "max_age_h": "24",
        "overlap": "forbid",
        "calendar": "",
        "notify": "",
        "parameters": "{}",
        "reason": "",
    }


def fields_of(schedule: Schedule) -> dict[str, Any]:
    """The fields of a stored schedule."""
    rule, policy = schedule.rule.document(), schedule.policy
    gap, repeated = rule["dst"]
    return {
        **empty_fields(schedule.created_at),
        **{name: str(rule.get(name, "")) for name in (*_TEXT_FIELDS, *_NUMBER_FIELDS, "day")},
        "title": schedule.title,
        "job_type": schedule.job_type,
        "kind": rule["kind"],
        "weekdays": rule.get("weekdays", []),
        "gap": gap,
        "repeated": repeated,
        "missed": policy.catch_up.runs.value,
        "limit": str(policy.catch_up.limit),
        "max_age_h": str(policy.catch_up.max_age_h),
        "overlap": policy.overlap.value,
        "calendar": policy.calendar,
        "notify": ", ".join(schedule.notify),
        "parameters": json.dumps(dict(schedule.parameters), indent=2, ensure_ascii=False),
    }


def typed_fields(request: PageRequest, before: Mapping[str, Any]) -> dict[str, Any]:
    """The fields as they were typed; those that the request lacks are as `before`."""
    typed = {name: request.field(name) for name in before if name in request.form}
    return {**before, **typed, "weekdays": request.form.get("weekdays", [])}


def rule_of(fields: Mapping[str, Any], now: datetime) -> Recurrence:
    """The rule that the fields describe.

    Raises:
        InvalidRule: they do not describe one.
    """
    document: dict[str, Any] = {name: fields[name] for name in _TEXT_FIELDS if fields[name]}
    document["kind"] = fields["kind"]
    for name in _NUMBER_FIELDS:
        if fields[name] and not (name == "every" and fields["kind"] == Kind.ONCE):
            document[name] = number_in(fields[name])
    if fields["kind"] == Kind.WEEKLY and fields["weekdays"]:
        document["weekdays"] = list(fields["weekdays"])
    if fields["kind"] == Kind.MONTHLY and fields["day"]:
        document["day"] = number_in(fields["day"])
    document["dst"] = [fields["gap"], fields["repeated"]]
    return recurrence_of(document, now)


def policy_of(fields: Mapping[str, Any]) -> Policy:
    """The policy: what happens to missed runs, overlapping runs and excluded times.

    Raises:
        ValidationFailed: a field is not valid.
    """
    limit, max_age_h = number_in(fields["limit"]), number_in(fields["max_age_h"])
    errors = []
    if fields["missed"] not in {*MissedPolicy}:
        errors.append(("missed", f"Choose one for missed runs: {', '.join(MissedPolicy)}."))
    if fields["overlap"] not in {*OverlapPolicy}:
        errors.append(("overlap", f"Choose one for overlaps: {', '.join(OverlapPolicy)}."))
    if not isinstance(limit, int) or not 1 <= limit <= 1000:
        errors.append(("limit", "Give a whole number from 1 to 1000 for missed runs."))
    if not isinstance(max_age_h, int) or not 1 <= max_age_h <= 8784:
        errors.append(("max_age_h", "Give a whole number of hours from 1 to 8784 for missed runs."))
    if errors:
        raise ValidationFailed(errors)
    catch_up = CatchUp(MissedPolicy(fields["missed"]), int(limit), int(max_age_h))
    return Policy(catch_up, OverlapPolicy(fields["overlap"]), fields["calendar"])


def parameters_of(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of the schedule's jobs.

    Raises:
        ValidationFailed: they are not a JSON object.
    """
    try:
        parameters = json.loads(fields["parameters"] or "{}", parse_constant=_no_constant)
    except (RecursionError, ValueError) as error:
        raise ValidationFailed(
            [("parameters", f"The parameters are not JSON: {error}.")]
        ) from error
    if not isinstance(parameters, dict):
        raise ValidationFailed([("parameters", 'Give a JSON object, such as {"table": "voters"}.')])
    return parameters


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


def notify_of(fields: Mapping[str, Any]) -> tuple[str, ...]:
    """The addresses that get a mail when a job fails.

    Raises:
        ValidationFailed: one of them is not valid.
    """
    found = addresses(str(fields["notify"]))
    if found.invalid:
        raise ValidationFailed(
            [("notify", f"A mail to {each.description}.") for each in found.invalid]
        )
    return found.valid


def title_of(fields: Mapping[str, Any]) -> str:
    """The title.

    Raises:
        ValidationFailed: it is empty or too long.
    """
    title = " ".join(str(fields["title"]).split())
    if not 0 < len(title) <= _TITLE_LETTERS or len(title.encode(errors="replace")) > _TITLE_BYTES:
        message = f"Give a title of 1 to {_TITLE_LETTERS} letters, in up to {_TITLE_BYTES} bytes."
        raise ValidationFailed([("title", message)])
    return title


def errors_of(refusal: Exception | None) -> dict[str, str]:
    """What is wrong with each field, by its name; {} if no field is named."""
    if isinstance(refusal, InvalidRule):
        return {refusal.where: sentence(refusal.allowed)}
    if isinstance(refusal, InvalidParameters):
        return {"parameters": sentence(refusal_text(refusal))}
    return dict(refusal.errors) if isinstance(refusal, ValidationFailed) else {}
