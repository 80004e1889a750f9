"""Shows schedules on a terminal: a list of them, or one with its runs and its history."""

import json
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, date, datetime
from functools import partial
from itertools import zip_longest

from cli import tables, terminal
from cli.client import Document
from cli.show import Rows, history, section, show_list
from cli.terminal import duration, local_time, records, state, waiting_for
from jobyard.domain.errors import InvalidRule
from jobyard.domain.plurals import plural
from jobyard.domain.schedules.wall_clock import zone_named

_NEXT = "Next Scheduled Run Time"


def next_run_text(found: Document) -> str:
    """When a schedule runs next, or why it does not."""
    if found["next_run_at"]:
        return f"next run: {_next_run_times(found)}"
    return f"no next run: {found['waiting_reason']}" if found["waiting_reason"] else "no next run"


def _next_run_times(found: Document) -> str:
    """The next run in the schedule's zone and in the zone of this machine."""
    if not found["next_run_at"]:
        return "none"
    return f"{_next(found)} in {found['zone']} ({local_time(found['next_run_at'])} your time)"


def _next(found: Document) -> str:
    return zoned_time(found["next_run_at"], found["zone"]) if found["next_run_at"] else "-"


def wait_text(found: Document) -> str:
    """Why a schedule does not run by its rule now, and until when, in its zone."""
    return waiting_for(
        found["waiting_reason"], found["waiting_until"], partial(zoned_time, zone=found["zone"])
    )


def zoned_time(iso: str, zone: str = "") -> str:
    """A time in `zone`: `Sun 2027-03-07 02:00:00 PST`.

    With an unknown zone, or an offset that is not the zone's: `Sun 2027-03-07 02:00 -08:00`.
    """
    at = datetime.fromisoformat(iso)
    with suppress(InvalidRule):  # no zone, or one that this machine does not know
        named = at.astimezone(zone_named(zone))
        if at.tzinfo is UTC or named.utcoffset() == at.utcoffset():
            return named.strftime("%a %Y-%m-%d %H:%M:%S %Z")
    offset = at.strftime("%z")
    seconds = ":%S" if at.second else ""
    return f"{at.strftime(f'%a %Y-%m-%d %H:%M{seconds}')} {offset[:3]}:{offset[3:5]}"


def show_all(found: Document, *, as_json: bool) -> None:
    """Show schedules in a table, with times in their zones."""
    rows: Rows = [
        (
            each["schedule_id"],
            f"{each['title']} ({each['job_type']})",
            state(each["label"]),
            _next(each),
            zoned_time(each["latest_run"]["ended_at"], each["zone"])
            if each["latest_run"] and each["latest_run"]["ended_at"]
            else "",
            wait_text(each),
        )
        for each in found["items"]
    ]
    columns = ("!schedule", "~Job Type", "!Status", f"!{_NEXT}", "~last ended", "~waiting")
    show_list(found, columns, rows, "schedule", as_json=as_json)


def show_one(found: Document, newest: list[Document]) -> None:
    """Show one schedule with its next runs and its `newest` occurrences."""
    terminal.console().print(
        tables.key_values(
            (
                ("Job Type", f"{found['title']} ({found['job_type']})"),
                ("Status", state(found["label"])),
                ("Scheduled Time", _next_run_times(found)),
                ("Recurrence pattern", found["description"]),
                ("schedule", found["schedule_id"]),
                ("state", state(found["state"])),
                ("waiting", wait_text(found)),
                ("running", ", ".join(found["running_job_ids"])),
                *_policy(found).items(),
                ("mail about failures", ", ".join(found.get("notify", ()))),
                ("last mailed", _mailed(found)),
                (
                    "created",
                    f"{zoned_time(found['created_at'], found['zone'])} by {found['owner']}",
                ),
                ("actions", terminal.commands_for(found["actions"])),
            )
        )
    )
    if found["latest_occurrence"]:
        _show_latest(found["latest_occurrence"], found["zone"])
    section("Next runs", ("!time in zone", "!UTC", "~note"), _runs(found))
    section("Last runs", *_occurrences(newest, found["zone"]))
    section("History", *history(found, partial(zoned_time, zone=found["zone"])))


def _mailed(found: Document) -> str:
    if not found.get("failure_mailed_at"):
        return ""
    at = zoned_time(found["failure_mailed_at"], found["zone"])
    return f"{at}; again after a success, or in 24 hours"


def _show_latest(occurrence: Document, zone: str) -> None:
    console = terminal.console()
    console.print("\n[bold underline]Completed Job Details[/]")
    console.print(
        tables.key_values(
            (
                ("Status", state(occurrence["label"])),
                ("Time of completion", zoned_time(occurrence["ended_at"], zone)),
                ("Duration", _duration(occurrence["duration_s"])),
                ("Failure codes", ", ".join(occurrence["failure_codes"])),
                ("Records processed", records(occurrence["records"] or {})),
                ("message", occurrence["message"]),
                ("job", occurrence["job_id"]),
            )
        )
    )


def _catch_up_text(missed: Document) -> str:
    if missed["which"] == "none":
        return "do not catch up"
    which = f"up to {missed['limit']} runs" if missed["which"] == "all" else "the latest run"
    return f"catch up on {which}, at most {missed['max_age_h']} h old"


def _runs(found: Document) -> Rows:
    return [
        (zoned_time(each["local"], found["zone"]), each["utc"], each["note"])
        for each in found["next_runs"]
    ]


def _duration(seconds: float | None) -> str:
    return "" if seconds is None else duration(seconds)


def _occurrences(items: Iterable[Document], zone: str) -> tuple[tuple[str, ...], Rows]:
    rows: Rows = [
        (
            zoned_time(each["local"], zone),
            state(each["label"]),
            _duration(each["start_delay_s"]),
            _duration(each["duration_s"]),
            records(each["records"] or {}),
            _details(each),
            each["job_id"],
        )
        for each in items
    ]
    columns = ("!time in zone", "!Status", "!delay", "!duration", "~records", "~details", "~job")
    return columns, rows


def _details(each: Document) -> str:
    """Why there is no job, or why it failed or was stopped, and who started it manually."""
    if each["skip_reason"]:
        return ": ".join(part for part in (each["description"], each["reason"]) if part)
    codes = each["failure_codes"]
    parts = [each["description"], ", ".join(codes) if codes else each["message"]]
    if each["actor"]:
        parts.append(f"started by {each['actor']}: {each['reason']}")
    if each["trigger"] == "catch_up":
        parts.append("caught up")
    return "; ".join(part for part in parts if part)


def show_history(found: Document, zone: str, *, as_json: bool) -> None:
    """Show a schedule's occurrences. `zone` is the schedule's, "" if unknown."""
    show_list(found, *_occurrences(found["items"], zone), "occurrence", as_json=as_json)


def show_year(found: Document, *, as_json: bool) -> None:
    """Show the days of a year on which a schedule is due."""
    if as_json:
        terminal.print_json(found)
        return
    days = found["days"]
    rows: Rows = [
        (
            f"{date.fromisoformat(each['date']):%a %Y-%m-%d}",
            str(each["runs"]),
            str(each["skipped"]),
            each["reason"],
            each["note"],
        )
        for each in days
    ]
    if rows:
        tables.show_table(("!day", "runs", "skipped", "~reason", "~note"), rows)
    runs, skipped = (sum(each[name] for each in days) for name in ("runs", "skipped"))
    some = f", {skipped:,} skipped by its calendar" if skipped else ""
    more = "" if found["is_complete"] else "; later times of the year are not counted"
    zone = found["zone"]
    terminal.console().print(f"{plural(runs, 'run')} in {found['year']}{some}, in {zone}{more}")


def show_lateness(found: Document, *, as_json: bool) -> None:
    """Show how late the newest runs of a schedule started."""
    if as_json:
        terminal.print_json(found)
        return
    text = "no run of its rule has ended yet"
    if found["median_s"] is not None:
        median, longest = duration(found["median_s"]), duration(found["longest_s"])
        text = f"the newest {plural(found['runs'], 'run')} started {median} late (median), "
        text += f"{longest} at most"
    terminal.console().print(text)


def show_edited(before: Document, edited: Document) -> None:
    """Show an edit: the settings that differ from `before`, and the next runs before and after."""
    found = edited["schedule"]
    console = terminal.console()
    console.print(found["schedule_id"], "is", state(found["state"]))
    was, now = _settings(before), _settings(found)
    changes = [
        (name, f"{was[name] or 'none'} → {now[name] or 'none'}")
        for name in now
        if now[name] != was[name]
    ]
    if changes:
        console.print(tables.key_values(changes))
    if edited["next_runs_before"] == edited["next_runs_after"]:
        console.print(f"its next runs are unchanged; {next_run_text(found)}", markup=False)
        return
    runs = (
        [zoned_time(each["local"], before["zone"]) for each in edited["next_runs_before"]],
        [zoned_time(each["local"], found["zone"]) for each in edited["next_runs_after"]],
    )
    section("Next runs", ("!before", "!after"), list(zip_longest(*runs, fillvalue="-")))
    if not found["next_run_at"]:
        console.print(next_run_text(found), markup=False)


def _settings(found: Document) -> dict[str, str]:
    """The settings that an edit can change, as labelled text."""
    named = {"title": found["title"], "Recurrence pattern": found["description"]}
    return named | _policy(found)


def _policy(found: Document) -> dict[str, str]:
    return {
        "when clocks change": ", ".join(found["dst"]),
        "missed runs": _catch_up_text(found["missed"]),
        "overlap": found["overlap"],
        "calendar": found["calendar"],
        "parameters": json.dumps(found["parameters"]) if found["parameters"] else "",
    }
