"""The form of a campaign: its fields as text, and the request that they describe."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.errors import ValidationFailed
from jobyard.domain.campaigns.abort import DEFAULT_AT_LEAST
from jobyard.domain.campaigns.assumptions import Assumptions
from jobyard.domain.campaigns.campaign import Campaign
from jobyard.domain.campaigns.retry import DEFAULT_RETRY_S
from jobyard.domain.campaigns.rules import DEFAULT_AT_ONCE, DEFAULT_ATTEMPT_S, RULE_FIELDS
from jobyard.domain.campaigns.schedule import (
    ALWAYS,
    DEFAULT_EXPIRES_S,
    MAX_EXPIRES_S,
    MIN_EXPIRES_S,
    CampaignKind,
)
from jobyard.domain.campaigns.targets import TargetReader
from jobyard.domain.errors import InvalidCampaign, InvalidParameters, JobyardError
from jobyard.domain.mail_addresses import addresses
from jobyard.domain.manifests.findings import BoundedFindings
from jobyard.domain.plurals import plural
from web.filters import sentence
from web.forms import number_in, recipient_errors, refusal_text
from web.request import PageRequest

PARAMETER = "parameter-"  # begins the names of the fields of the job type's parameters
AT_ONCE = "once"  # the kind of a campaign that ignores windows, as forms.js and app.css know it
MAX_SHOWN_FINDINGS = 100  # of each level
_MAX_TAKES_MIN = 1_440
# The fields of the form for those of a request, if they have another name.
_FORM_FIELDS = {
    "expires_s": "expires_min",
    "targets_file": "targets",
    "window": "window_to",
    "window.from": "window_from",
    "window.to": "window_to",
    "window.weekdays": "weekdays",
    "rollout": "per_minute",
    "abort": "percent",
}
# The labels of the fields, in the order of the page.
FIELD_LABELS = {
    "name": "Name",
    "job_type": "Type",
    "targets": "Targets, one on each line",
    "expires_min": "Expires after",
    "from": "First day",
    "from_time": "From",
    "to": "Last day",
    "to_time": "Until",
    "weekdays": "Opens on",
    "window_from": "Opens at",
    "window_to": "Closes at",
    "zone": "Time zone",
    "calendar": "Calendar that closes times",
    "needs": "Minutes that a task needs",
    "per_minute": "Tasks that start in a minute",
    "factor": "Grows by the factor",
    "every": "Each time that so many tasks have succeeded",
    "at_once": "Tasks at the same time",
    "percent": "Percent that fail",
    "at_least": "Of at least",
    "then": "Then it is",
    "retry_s": "Seconds until a retry",
    "attempt_s": "Seconds that an attempt may take",
    "notify": "Report to",
    "replaces": "Replaces the job",
    "takes_min": "Minutes that a task takes",
    "offline": "Devices that are offline at first, of a hundred",
}
# What is allowed in fields of the form that have another unit than those of a request.
_ALLOWED = {
    "expires_s": "a whole number of minutes "
    f"from {MIN_EXPIRES_S // 60:,} to {MAX_EXPIRES_S // 60:,}"
}
CHANGEABLE = ("to", "at_once", "per_minute", "factor", "every")  # while it runs
_SPLIT_FIELDS = ("rollout", "abort")  # objects whose fields have the same names in the form


def empty_fields(zone: str) -> dict[str, Any]:
    """The fields of a new campaign, for a reader in `zone`."""
    return {
        "name": "",
        "job_type": "",
        "targets": "",
        "targets_file": "",
        "replace_overlapping": "",
        "kind": "scheduled",
        "expires_min": str(DEFAULT_EXPIRES_S // 60),
        "zone": zone,
        "from": "",
        "from_time": "",
        "to": "",
        "to_time": "",
        "window_from": "",
        "window_to": "",
        "weekdays": [],
        "calendar": "",
        "needs": "",
        "per_minute": "",
        "factor": "",
        "every": "",
        "at_once": str(DEFAULT_AT_ONCE),
        "retry_s": str(DEFAULT_RETRY_S),
        "attempt_s": str(DEFAULT_ATTEMPT_S),
        "percent": "",
        "at_least": str(DEFAULT_AT_LEAST),
        "then": "hold",
        "notify": "",
        "notify_nobody": "",
        "replaces": "",
        "takes_min": "1",
        "offline": "0",
    }


def fields_of(campaign: Campaign) -> dict[str, Any]:
    """The fields of a new campaign that retries tasks of this one; without its start and end, which
    have passed.
    """
    schedule, rules = campaign.rules.schedule, campaign.rules
    fields = empty_fields(schedule.zone) | {
        "name": campaign.name,
        "job_type": campaign.job_type,
        "needs": str(schedule.needs_min),
        "at_once": str(rules.at_once),
        "retry_s": str(rules.retry_s),
        "attempt_s": str(rules.attempt_s),
        **{f"{PARAMETER}{name}": _text(value) for name, value in campaign.parameters.items()},
    }
    if schedule.kind is CampaignKind.FIRE_AND_FORGET:
        fields |= {"kind": AT_ONCE, "expires_min": str(schedule.expires_s // 60)}
    if schedule.window != ALWAYS:
        window = schedule.window.document()
        fields |= {"weekdays": window["weekdays"]}
        if window["from"] != window["to"]:
            fields |= {"window_from": window["from"], "window_to": window["to"]}
    if schedule.calendar:
        fields["calendar"] = schedule.calendar.name
    for given in (rules.rollout, rules.abort):
        fields |= {name: str(each) for name, each in given.document().items()} if given else {}
    return fields


def retry_changes_of(fields: Mapping[str, Any], campaign: Campaign) -> dict[str, Any]:
    """The fields of the new campaign that retries tasks of this one. Parameters that are as they
    were keep their type, and if all are, there are none.

    Raises:
        ValidationFailed: a parameter is not JSON.
    """
    before, document = fields_of(campaign), document_of(fields)
    changes = {name: document.get(name) for name in RULE_FIELDS}  # None is the default
    changes |= {name: document[name] for name in ("name", "notify") if name in document}
    calendar = campaign.rules.schedule.calendar
    if calendar and changes["calendar"] == calendar.name:
        changes["calendar"] = calendar.document()  # as it was: no calendar may have its name
    typed, stored = _parameter_texts(fields), _parameter_texts(before)
    if typed != stored:
        changes["parameters"] = {
            name: campaign.parameters[name] if typed[name] == stored.get(name) else value
            for name, value in document["parameters"].items()
        }
    return changes


def _parameter_texts(fields: Mapping[str, Any]) -> dict[str, str]:
    """The texts of the parameters by their names; without empty ones, which are left out."""
    return {
        name.removeprefix(PARAMETER): text
        for name, text in fields.items()
        if name.startswith(PARAMETER) and text
    }


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def typed_fields(request: PageRequest, before: Mapping[str, Any]) -> dict[str, Any]:
    """The fields as they were typed; those that the request lacks are as `before`."""
    typed = {
        name: request.field(name)
        for name in request.form
        if name in before or name.startswith(PARAMETER)
    }
    return {**before, **typed, "weekdays": request.form.get("weekdays", [])}


def document_of(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The request that the fields describe, without its targets. What is empty is left out.

    Raises:
        ValidationFailed: a parameter is not JSON, a recipient no address, a time has no day, or
        nobody gets reports that somebody gets.
    """
    _check_pairs(fields)
    document: dict[str, Any] = {
        name: fields[name] for name in ("name", "job_type", "zone", "replaces") if fields[name]
    }
    document |= {
        name: number_in(fields[name])
        for name in ("needs", "at_once", "retry_s", "attempt_s")
        if fields[name]
    }
    if fields["kind"] == AT_ONCE:
        document["kind"] = CampaignKind.FIRE_AND_FORGET.value
        if fields["expires_min"]:
            minutes = number_in(fields["expires_min"])
            document["expires_s"] = minutes * 60 if isinstance(minutes, int) else minutes
    else:
        document["kind"] = CampaignKind.SCHEDULED.value
        document |= {name: _wall_time(fields, name) for name in ("from", "to") if fields[name]}
        document |= {"calendar": fields["calendar"]} if fields["calendar"] else {}
        document |= _window(fields)
    document["parameters"] = _parameters(fields)
    if fields["replace_overlapping"]:
        document["replace_overlapping"] = True
    if fields["notify"]:
        document["notify"] = _recipients(fields["notify"])
    elif fields["notify_nobody"]:
        document["notify"] = []
    document |= rollout_of(fields)
    if fields["percent"]:
        document["abort"] = {
            **{name: number_in(fields[name]) for name in ("percent", "at_least") if fields[name]},
            "then": fields["then"],
        }
    return document


def _check_pairs(fields: Mapping[str, Any]) -> None:
    errors = [
        (name, "Give its day too, or no time.")
        for name in ("from", "to")
        if fields[f"{name}_time"] and not fields[name] and fields["kind"] != AT_ONCE
    ]
    if fields["notify"] and fields["notify_nobody"]:
        errors.append(("notify", "Leave it empty if nobody gets reports."))
    if errors:
        raise ValidationFailed(errors)


def _wall_time(fields: Mapping[str, Any], name: str) -> str:
    """A day of the range, with its time if it has one."""
    time = fields[f"{name}_time"]
    return f"{fields[name]}T{time}" if time else str(fields[name])


def _recipients(text: str) -> list[str]:
    """The addresses in a field."""
    found = addresses(text)
    if found.invalid:
        raise ValidationFailed(recipient_errors(found))
    return list(found.valid)


def _window(fields: Mapping[str, Any]) -> dict[str, Any]:
    window = {name: fields[f"window_{name}"] for name in ("from", "to") if fields[f"window_{name}"]}
    if fields["weekdays"]:
        window["weekdays"] = list(fields["weekdays"])
    return {"window": window} if window else {}


def rollout_of(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The rate that the fields describe; {} for none."""
    rollout: dict[str, Any] = {
        name: number_in(fields[name]) for name in ("per_minute", "every") if fields[name]
    }
    if fields["factor"]:
        rollout["factor"] = _decimal(fields["factor"])
    return {"rollout": rollout} if rollout else {}


def _decimal(text: str) -> float | str:
    """The number in a text, or the text, which the parser of rates will refuse."""
    try:
        return float(text)
    except ValueError:
        return text


def _parameters(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of the job type: texts, and JSON where a text begins as a list or object."""
    found: dict[str, Any] = {}
    for name, text in _parameter_texts(fields).items():
        found[name] = text
        if text.startswith(("[", "{")):
            try:
                found[name] = json.loads(text)
            except (RecursionError, ValueError) as error:
                message = f"This is not JSON: {error}."
                raise ValidationFailed([(f"{PARAMETER}{name}", message)]) from error
    return found


@dataclass(frozen=True)
class TypedTargets:
    """The targets in a text or file, with what is wrong with them. After an error `targets` is ().

    `number` counts them, `findings` are documents, `errors` and `warnings` count all of those.
    """

    targets: tuple[dict[str, str], ...]
    number: int
    findings: tuple[dict[str, Any], ...]
    errors: int
    warnings: int


def read_targets(
    blocks: Iterable[bytes], filename: str = "", *, keeps_targets: bool = True
) -> TypedTargets:
    """The targets in CSV or JSON Lines. They are only counted unless it `keeps_targets`."""
    reading = TargetReader(blocks, filename=filename)
    kept = BoundedFindings(MAX_SHOWN_FINDINGS)
    targets: list[dict[str, str]] = []
    found: list[dict[str, Any]] = []
    for some, findings in reading:
        found += [each.document() for each in kept.take(findings)]
        targets += [each.document() for each in some] if keeps_targets else []
    found += [each.document() for each in kept.rest()]
    return TypedTargets(
        () if reading.errors else tuple(targets),
        reading.count,
        tuple(found),
        reading.errors,
        reading.warnings,
    )


def has_file(fields: Mapping[str, Any]) -> bool:
    """Whether the targets are in an uploaded file. Typed targets take precedence."""
    return bool(fields["targets_file"]) and not fields["targets"]


def file_findings(refusal: Exception | None) -> list[dict[str, str]]:
    """What is wrong with a file that was uploaded, as a list of findings shows it."""
    problems = refusal.problems if isinstance(refusal, InvalidCampaign) else ()
    return [
        {"level": "error", "code": "", "position": "", "message": each.allowed, "address": ""}
        for each in problems
        if each.where == "targets_file"
    ]


def summary_of(refusal: JobyardError) -> str:
    """Why a form was refused. What is wrong with a field is said there, so it is only named."""
    if not isinstance(refusal, InvalidCampaign):
        return refusal_text(refusal)
    by_field = {_form_field(each.where): str(each) for each in refusal.problems}
    texts = [sentence(text) for field, text in by_field.items() if field not in FIELD_LABELS]
    if named := [label for field, label in FIELD_LABELS.items() if field in by_field]:
        verb = "is" if len(named) == 1 else "are"
        texts.append(f"{plural(len(named), 'field')} {verb} not valid: {'; '.join(named)}.")
    return " ".join(texts)


def assumptions_of(fields: Mapping[str, Any]) -> Assumptions:
    """What a person assumes of the targets.

    Raises:
        ValidationFailed: a field is not valid.
    """
    takes, offline = number_in(fields["takes_min"] or "1"), number_in(fields["offline"] or "0")
    errors = []
    if not isinstance(takes, int) or not 1 <= takes <= _MAX_TAKES_MIN:
        message = f"Give a whole number of minutes from 1 to {_MAX_TAKES_MIN:,}."
        errors.append(("takes_min", message))
    if not isinstance(offline, int) or not 0 <= offline <= 100:
        errors.append(("offline", "Give a whole number from 0 to 100."))
    if errors:
        raise ValidationFailed(errors)
    return Assumptions(int(takes) * 60, int(offline))


def errors_of(refusal: Exception | None, typed: TypedTargets | None = None) -> dict[str, str]:
    """What is wrong with each field, by its name; {} if no field is named. `typed` are the targets
    in the form, whose errors are listed next to them.
    """
    errors = _errors_of(refusal)
    if typed and typed.errors:
        errors["targets"] = f"The targets have {plural(typed.errors, 'error')}, listed below."
    return errors


def _errors_of(refusal: Exception | None) -> dict[str, str]:
    if isinstance(refusal, InvalidCampaign):
        errors: dict[str, str] = {}
        for each in refusal.problems:
            errors.setdefault(
                _form_field(each.where), sentence(_ALLOWED.get(each.where, each.allowed))
            )
        return errors
    if isinstance(refusal, InvalidParameters):
        return {f"{PARAMETER}{refusal.field}": sentence(refusal.problem)} if refusal.field else {}
    if not isinstance(refusal, ValidationFailed):
        return {}
    return {
        name: " ".join(text for each, text in refusal.errors if each == name)
        for name, _ in refusal.errors
    }


def _form_field(where: str) -> str:
    """The field of the form for a field of a request."""
    if where in _FORM_FIELDS:
        return _FORM_FIELDS[where]
    name, _, part = where.partition(".")
    return part if name in _SPLIT_FIELDS else name.partition("[")[0]


def change_fields_of(campaign: Campaign) -> dict[str, str]:
    """The fields of the form that changes a campaign."""
    rules = campaign.rules
    rollout = rules.rollout.document() if rules.rollout else {}
    return {
        "to": rules.schedule.document().get("to") or "",
        "at_once": str(rules.at_once),
        **{name: str(rollout.get(name, "")) for name in ("per_minute", "factor", "every")},
    }


def changes_of(fields: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    """What a person changed in the form: what others changed meanwhile stays."""
    changed = {name for name in before if fields[name] != before[name]}
    changes: dict[str, Any] = {}
    if "to" in changed:
        changes["to"] = fields["to"]
    if "at_once" in changed:
        changes["at_once"] = number_in(fields["at_once"])
    if rate := changed & {"per_minute", "factor", "every"}:
        is_removed = not fields["per_minute"] and not any(fields[name] for name in rate)
        typed = rollout_of(fields).get("rollout", {})
        changes["rollout"] = None if is_removed else {name: typed.get(name) for name in rate}
    return changes
