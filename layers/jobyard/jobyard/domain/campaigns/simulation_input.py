"""The input of a simulation: a campaign, what its targets do, and what people do."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, TypeVar

from jobyard.domain.campaigns.fields import FieldReader, one_of, whole_number
from jobyard.domain.campaigns.rules import (
    CHANGE_FIELDS,
    RULE_FIELDS,
    CampaignRules,
    changed_rules,
    rule_warnings,
    rules_of,
)
from jobyard.domain.campaigns.targets import MAX_TARGETS, inline_targets
from jobyard.domain.errors import InvalidCampaign, InvalidRule
from jobyard.domain.jobs.failures import Failure
from jobyard.domain.manifests.findings import quoted
from jobyard.domain.schedules.calendar import Calendar, calendar_of

INPUT_FIELDS = ("created_at", "campaign", "targets", "acts")
MAX_ACTS = 1_000
_CAMPAIGN_FIELDS = ("name", "job_type", "parameters", *RULE_FIELDS)
_OUTCOME_FIELDS = ("takes_s", "part_s", "result", "code", "retry_after_s")
_ACT_FIELDS = ("at", "event", "targets", *CHANGE_FIELDS)
_MAX_TAKES_S = 366 * 86_400
_MIN_YEAR, _MAX_YEAR = 1970, 9990
_CODE = re.compile("[A-Z][A-Z0-9_]{0,63}")
_Parsed = TypeVar("_Parsed")


class OutcomeResult(StrEnum):
    """How an attempt ends."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"


class ActEvent(StrEnum):
    """What a person does."""

    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"  # the campaign, or some of its tasks
    FORCE = "force"  # cancel, and end what runs
    REPLACE = "replace"  # another campaign has its targets, or some of them
    CHANGE = "change"  # the end, the rate or how many run at the same time


# What a hold calls its events, and what people call a change of the end.
_OTHER_NAMES = {"hold": "pause", "release": "resume", "extend": "change"}


@dataclass(frozen=True)
class SimulatedOutcome:
    """What an attempt does: it takes `takes_s` seconds, None if it never ends by itself.

    It may be stopped after each part of `part_s` seconds; not at all if that is None.
    `code` is "" if it succeeds. A busy device asks for another request after `retry_after_s`
    seconds.
    """

    takes_s: int | None
    code: str = ""
    retry_after_s: int | None = None
    part_s: int | None = None


@dataclass(frozen=True)
class SimulatedTarget:
    """A target, and what its attempts do, in order; the last one repeats."""

    target_id: str
    outcomes: tuple[SimulatedOutcome, ...]


@dataclass(frozen=True)
class SimulatedAct:
    """What a person does at a time: to some targets, or to the whole campaign if that is None."""

    at: datetime
    event: ActEvent
    targets: tuple[str, ...] | None = None
    changes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class SimulationInput:
    """A campaign to simulate. `warnings` are for the person who wrote it."""

    created_at: datetime
    rules: CampaignRules
    targets: tuple[SimulatedTarget, ...]
    acts: tuple[SimulatedAct, ...] = ()
    warnings: tuple[str, ...] = ()


def simulation_input_of(document: object) -> SimulationInput:
    """Parse the input of a simulation, an object of `INPUT_FIELDS`.

    Raises:
        InvalidCampaign: fields are wrong; it lists all of them.
    """
    fields = FieldReader(document, INPUT_FIELDS)
    fields.check()
    created_at = fields.read("created_at", instant_of, None)
    if "created_at" not in fields:
        fields.refuse("created_at", "missing; a time like '2026-11-25T10:00:00Z'")
    if "campaign" not in fields:
        fields.refuse("campaign", 'missing; a JSON object like {"kind": "fire_and_forget"}')
    targets, warnings = fields.read("targets", _targets_of, _NO_TARGETS)
    if "targets" not in fields:
        fields.refuse("targets", "missing; at least one target")
    campaign = FieldReader(fields.value("campaign", {}), _CAMPAIGN_FIELDS, "campaign")
    rules = rules_of(campaign, created_at, _calendar_for) if created_at else None
    acts: tuple[SimulatedAct, ...] = ()
    if created_at and rules and not campaign.problems:
        parse = _acts_parser(created_at, rules, {each.target_id for each in targets})
        acts = fields.read("acts", parse, acts)
    if "campaign" in fields:
        fields.problems += campaign.problems
    fields.check()
    assert created_at is not None
    assert rules is not None
    warnings = (*warnings, *rule_warnings(fields.value("campaign")))
    return SimulationInput(created_at, rules, targets, acts, warnings)


def instant_of(where: str, value: object) -> datetime:
    """An instant in UTC, in whole seconds, from ISO 8601 with an offset.

    Raises:
        InvalidRule: it is none.
    """
    try:
        instant = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        raise InvalidRule(where, f"a time like '2026-11-25T10:00:00Z', not {value!r:.40}")
    if not _MIN_YEAR <= instant.year <= _MAX_YEAR:
        raise InvalidRule(where, f"a time in the years {_MIN_YEAR} to {_MAX_YEAR}")
    return instant.astimezone(UTC).replace(microsecond=0)


def _calendar_for(value: object) -> Calendar:
    """The calendar in the input, because a simulation reads nothing else."""
    if not isinstance(value, Mapping):
        allowed = "a calendar's JSON, as `jobyard calendar show NAME --json` prints it"
        raise InvalidRule("campaign.calendar", f"{allowed}, not {value!r:.40}")
    try:
        return calendar_of(value)
    except InvalidRule as error:
        raise InvalidRule(f"campaign.calendar.{error.where}", error.allowed) from error


_TargetsAndWarnings = tuple[tuple[SimulatedTarget, ...], tuple[str, ...]]
_NO_TARGETS: _TargetsAndWarnings = ((), ())


def _targets_of(where: str, value: object) -> _TargetsAndWarnings:
    if not isinstance(value, list):
        raise InvalidRule(where, f"a list, not {value!r:.40}")
    problems: list[InvalidRule] = []
    outcomes: dict[str, tuple[SimulatedOutcome, ...]] = {}
    for index, each in enumerate(value):
        place = f"{where}[{index}].outcomes"
        try:
            found = _outcomes_of(place, each.get("outcomes") if isinstance(each, Mapping) else None)
        except InvalidCampaign as error:
            problems += error.problems
            continue
        target_id = str(each.get("id", "") if isinstance(each, Mapping) else each).strip()
        if outcomes.setdefault(target_id, found) != found:
            problems.append(InvalidRule(place, f"those that {quoted(target_id)} has already"))
    try:
        targets, warnings = inline_targets([*map(_without_outcomes, value)], MAX_TARGETS)
    except InvalidCampaign as error:
        raise InvalidCampaign([*error.problems, *problems]) from error
    if problems:
        raise InvalidCampaign(problems)
    simulated = (SimulatedTarget(each.target_id, outcomes[each.target_id]) for each in targets)
    return tuple(simulated), tuple(warnings)


def _without_outcomes(value: object) -> object:
    if not isinstance(value, Mapping):
        return value
    return {name: each for name, each in value.items() if name != "outcomes"}


def _outcomes_of(where: str, value: object) -> tuple[SimulatedOutcome, ...]:
    """The outcomes of a target. Without any, it succeeds at once."""
    if value is None:
        return (SimulatedOutcome(0),)
    if not isinstance(value, list) or not value:
        allowed = f"a list of at least one outcome, not {value!r:.40}"
        raise InvalidCampaign([InvalidRule(where, allowed)])
    return _each_of(where, value, _outcome_of)


def _each_of(
    where: str, values: Sequence[object], parse: Callable[[str, object], _Parsed]
) -> tuple[_Parsed, ...]:
    """The parsed values of a list; all that is wrong is raised together."""
    parsed: list[_Parsed] = []
    problems: list[InvalidRule] = []
    for index, value in enumerate(values):
        try:
            parsed.append(parse(f"{where}[{index}]", value))
        except InvalidCampaign as error:
            problems += error.problems
    if problems:
        raise InvalidCampaign(problems)
    return tuple(parsed)


def _outcome_of(where: str, value: object) -> SimulatedOutcome:
    fields = FieldReader(value, _OUTCOME_FIELDS, where)
    seconds = whole_number(0, _MAX_TAKES_S, "of seconds")
    is_endless = isinstance(value, Mapping) and "takes_s" in value and value["takes_s"] is None
    takes_s = None if is_endless else fields.read("takes_s", seconds, 0)
    result = fields.read("result", one_of(OutcomeResult), OutcomeResult.SUCCEEDED)
    if "result" not in fields and not is_endless and not fields.problems:
        fields.refuse("result", f"missing; one of {', '.join(OutcomeResult)}")
    default = Failure.STEP_ERROR if result is OutcomeResult.FAILED else ""
    code = fields.read("code", _code_of, "") or default
    if code and result is OutcomeResult.SUCCEEDED and "result" in fields:
        fields.refuse("code", "only for an outcome that failed")
    retry_after_s = fields.read("retry_after_s", seconds, None)
    part_s = fields.read("part_s", whole_number(1, _MAX_TAKES_S, "of seconds"), None)
    fields.check()
    return SimulatedOutcome(takes_s, code, retry_after_s, part_s)


def _code_of(where: str, value: object) -> str:
    if not isinstance(value, str) or (value and not _CODE.fullmatch(value)):
        raise InvalidRule(where, f"a failure code like DEVICE_OFFLINE, not {value!r:.40}")
    return value


def _acts_parser(
    created_at: datetime, rules: CampaignRules, targets: set[str]
) -> Callable[[str, object], tuple[SimulatedAct, ...]]:
    """A parser of acts on a campaign with these targets."""

    def parse_act(where: str, value: object) -> SimulatedAct:
        fields = FieldReader(value, _ACT_FIELDS, where)
        at = fields.read("at", instant_of, None)
        event = fields.read("event", _event_of, None)
        if at is None and not fields.problems:
            fields.refuse("at", "missing; a time like '2026-11-25T10:00:00Z'")
        if event is None and "event" not in fields and not fields.problems:
            fields.refuse("event", f"missing; one of {', '.join(ActEvent)}")
        if at and at < created_at:
            fields.refuse("at", "not before created_at")
        chosen = fields.read("targets", _ids_parser(targets), None)
        changes = {name: fields.value(name) for name in CHANGE_FIELDS if name in fields}
        if event is ActEvent.CHANGE:
            _check_changes(fields, rules, changes, created_at)
        else:
            for name in changes:
                fields.refuse(name, f"only for the event {ActEvent.CHANGE}")
        if chosen is not None and event not in {ActEvent.CANCEL, ActEvent.REPLACE}:
            fields.refuse("targets", f"only for {ActEvent.CANCEL} and {ActEvent.REPLACE}")
        fields.check()
        assert at is not None
        assert event is not None
        return SimulatedAct(at, event, chosen, changes)

    def parse(where: str, value: object) -> tuple[SimulatedAct, ...]:
        if not isinstance(value, list) or len(value) > MAX_ACTS:
            raise InvalidRule(where, f"a list of at most {MAX_ACTS:,} acts")
        return _each_of(where, value, parse_act)

    return parse


def _event_of(where: str, value: object) -> ActEvent:
    name = _OTHER_NAMES.get(value, value) if isinstance(value, str) else value
    return one_of(ActEvent)(where, name)


def _ids_parser(known: set[str]) -> Callable[[str, object], tuple[str, ...]]:
    def parse(where: str, value: object) -> tuple[str, ...]:
        if not isinstance(value, list) or not value:
            raise InvalidRule(where, "a list of at least one id of a target")
        unknown = [each for each in value if not isinstance(each, str) or each not in known]
        if unknown:
            raise InvalidRule(where, f"ids of its targets, not {unknown[0]!r:.40}")
        return tuple(value)

    return parse


def _check_changes(
    fields: FieldReader, rules: CampaignRules, changes: Mapping[str, Any], created_at: datetime
) -> None:
    """Check what can be checked before other changes are known: the forms of the fields."""
    for name, value in changes.items():
        if name != "to":
            try:
                changed_rules(rules, {name: value}, created_at)
            except InvalidCampaign as error:
                fields.problems += [
                    InvalidRule(fields.path(each.where), each.allowed)
                    for each in error.problems
                    if each.where != "campaign"
                ]
    if not changes:
        fields.refuse("", f"at least one of {', '.join(CHANGE_FIELDS)}")
