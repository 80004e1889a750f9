"""How schedules look on a terminal, in VoteCal's words: Job Management and Job Details."""

import json
from collections.abc import Iterable
from datetime import datetime

from cli import printing
from cli.client import Document
from cli.printing import how_long, records, state, waiting, when
from cli.showing import Rows, history, section, show_list

_NEXT = "Next Scheduled Run Time"
_SHOWN = "%a %Y-%m-%d %H:%M"


def there(found: Document) -> str:
    """When a schedule runs next, as clocks of its zone show it."""
    if not found["next_run"]:
        return "never, as things are"
    runs = found.get("next_runs")
    local = f"{_local(runs[0]['local'])} in {found['zone']}, " if runs else ""
    return f"{local}{when(found['next_run'])} here"


def _local(iso: str) -> str:
    """A time with an offset, as its own clocks show it."""
    at = datetime.fromisoformat(iso)
    return f"{at.strftime(_SHOWN)} {at.strftime('%z')[:3]}:{at.strftime('%z')[3:5]}"


def show_all(found: Document, *, as_json: bool) -> None:
    """Job Management: a row for each schedule."""
    rows: Rows = [
        (
            each["schedule_id"],
            f"{each['title']} ({each['job_type']})",
            state(each["word"]),
            when(each["next_run"]),
            when(each["latest"]["ended_at"]) if each["latest"] else "-",
            waiting(each["why"], each["until"]),
        )
        for each in found["items"]
    ]
    columns = ("!schedule", "Job Type", "!Status", f"!{_NEXT}", "!last ended", "why")
    show_list(found, columns, rows, "schedule", as_json=as_json)


def show_one(found: Document, newest: list[Document]) -> None:
    """Job Details: the schedule, its next runs, and the `newest` of what became of its times."""
    console = printing.console()
    console.print(
        printing.facts(
            (
                ("Job Type", f"{found['title']} ({found['job_type']})"),
                ("Status", state(found["word"])),
                ("Scheduled Time", there(found)),
                ("Recurrence pattern", found["sentence"]),
                ("schedule", found["schedule_id"]),
                ("state", state(found["state"])),
                ("why", waiting(found["why"], found["until"])),
                ("running", ", ".join(found["running"])),
                ("when clocks change", ", ".join(found["dst"])),
                ("missed", _made_up_for(found["missed"])),
                ("overlap", found["overlap"]),
                ("calendar", found["calendar"]),
                ("parameters", json.dumps(found["parameters"]) if found["parameters"] else ""),
                ("made", f"{when(found['created_at'])} by {found['owner']}"),
                ("you may", ", ".join(found["actions"])),
            )
        )
    )
    completed = found["completed"]
    if completed:
        console.print("\n[bold underline]Completed Job Details[/]")
        console.print(
            printing.facts(
                (
                    ("Status", state(completed["word"])),
                    ("Time of completion", when(completed["ended_at"])),
                    ("Duration", _length(completed["duration_s"])),
                    ("Failure codes", ", ".join(completed["failure_codes"])),
                    ("Records processed", records(completed)),
                    ("message", completed["message"]),
                    ("job", completed["job_id"]),
                )
            )
        )
    section("Next runs", ("!there", "!UTC", "note"), _runs(found["next_runs"]))
    section("Last runs", *_occurrences(newest))
    section("History", *history(found))


def _made_up_for(missed: Document) -> str:
    if missed["which"] == "none":
        return "nothing is made up for"
    most = f"up to {missed['most']}" if missed["which"] == "all" else "the latest"
    return f"{most} made up for, none older than {missed['oldest_h']} h"


def _runs(runs: Iterable[Document]) -> Rows:
    return [(_local(each["local"]), each["utc"], each["note"]) for each in runs]


def _length(seconds: float | None) -> str:
    return "" if seconds is None else how_long(seconds)


def _occurrences(items: Iterable[Document]) -> tuple[tuple[str, ...], Rows]:
    rows: Rows = [
        (
            _local(each["local"]),
            state(each["word"]),
            _length(each["lateness_s"]),
            _length(each["duration_s"]),
            records(each),
            _about(each),
            each["job_id"],
        )
        for each in items
    ]
    columns = ("!there", "!Status", "!late", "!took", "records", "about it", "!job")
    return columns, rows


def _about(each: Document) -> str:
    """Why there is no job, why it failed or who stopped it, and who wanted it."""
    if each["reason"]:
        return ": ".join(part for part in (each["sentence"], each["words"]) if part)
    codes = each["failure_codes"]
    parts = [each["sentence"], ", ".join(codes) if codes else each["message"]]
    if each["actor"]:
        parts.append(f"run now by {each['actor']}: {each['words']}")
    if each["trigger"] == "catch_up":
        parts.append("made up for")
    return "; ".join(part for part in parts if part)


def show_history(found: Document, *, as_json: bool) -> None:
    """What became of a schedule's times."""
    show_list(found, *_occurrences(found["items"]), "occurrence", as_json=as_json)


def show_edited(edited: Document) -> None:
    """A schedule after a change, its next runs side by side with those there would have been."""
    found = edited["schedule"]
    console = printing.console()
    console.print(found["schedule_id"], "is", state(found["state"]))
    console.print(found["sentence"], markup=False)
    before, after = edited["runs_before"], edited["runs_after"]
    if before == after:
        console.print(f"its next runs stay as they were; it runs next {there(found)}", markup=False)
        return
    rows: Rows = [
        tuple(_local(runs[row]["local"]) if row < len(runs) else "-" for runs in (before, after))
        for row in range(max(len(before), len(after)))
    ]
    section("Next runs", ("!before", "!now"), rows)
