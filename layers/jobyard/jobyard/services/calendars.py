"""Put and delete calendars. Their history has the actor and the reason of each change."""

from jobyard.domain.activity import Subject
from jobyard.domain.errors import InvalidTransition, NotFound, StaleState
from jobyard.domain.schedules.calendar import Calendar, CalendarChange, StoredCalendar
from jobyard.services import activity
from jobyard.services.access import authorize
from jobyard.services.context import CommandContext, require_reason
from jobyard.store import calendars, schedules

_MAX_NAMED = 3  # schedules named in a refusal to delete


def put(calendar: Calendar, seen: int | None, context: CommandContext) -> StoredCalendar:
    """Set the content of a calendar for all schedules that name it.

    `seen` is the version to replace, 0 if there is none; None replaces any version.

    Raises:
        Forbidden: the actor may not change calendars. BadRequest: no reason is given.
        StaleState: the stored version is not `seen`, or someone else wrote it at the same time.
    """
    authorize(context.actor, "calendar", "put")
    stored = calendars.find_any(calendar.name)
    if stored and stored.changes[-1].cause == context.run:
        return _recorded(stored, context)
    require_reason(context, "a calendar's change")
    _check_seen(calendar.name, stored, seen)
    change = _change("put", context)
    after = stored.changed(calendar, change) if stored else StoredCalendar(calendar, 1, (change,))
    calendars.put(after)
    return _recorded(after, context)


def delete(name: str, seen: int | None, context: CommandContext) -> StoredCalendar:
    """Delete a calendar that no schedule names; `seen` as for `put`.

    All schedules are read for this. A schedule created at the same moment may be missed: it then
    names a deleted calendar, and runs as if it named none.

    Raises:
        Forbidden, BadRequest, StaleState: as for `put`. NotFound: there is no such calendar.
        InvalidTransition: a schedule names it.
    """
    authorize(context.actor, "calendar", "delete")
    stored = calendars.find_any(name)
    if stored is None:
        raise NotFound(f"there is no calendar {name!r}")
    if stored.changes[-1].cause == context.run:
        return _recorded(stored, context)
    if stored.is_deleted:
        raise NotFound(f"there is no calendar {name!r}; it was deleted")
    require_reason(context, "a calendar's change")
    _check_seen(name, stored, seen)
    users = [schedule.schedule_id for schedule in schedules.with_calendar(name)]
    if users:
        more = f" and {len(users) - _MAX_NAMED} more" if len(users) > _MAX_NAMED else ""
        named = ", ".join(users[:_MAX_NAMED])
        raise InvalidTransition(f"schedules use calendar {name}: {named}{more}")
    after = stored.changed(stored.calendar, _change("delete", context))
    calendars.put(after)
    return _recorded(after, context)


def _recorded(stored: StoredCalendar, context: CommandContext) -> StoredCalendar:
    """The calendar, after its last change, which is this request's, is recorded."""
    change = stored.changes[-1]
    activity.record(context, change.event, Subject("calendar", stored.calendar.name), change.at)
    return stored


def _change(event: str, context: CommandContext) -> CalendarChange:
    actor = context.actor
    return CalendarChange(event, context.now(), actor.name, context.reason, context.run, actor.sub)


def _check_seen(name: str, stored: StoredCalendar | None, seen: int | None) -> None:
    current = stored.version if stored and not stored.is_deleted else 0
    if seen is not None and seen != current:
        reason = f"has version {current}, not {seen}" if current else "does not exist any more"
        raise StaleState(f"calendar {name} {reason}; read it again")
