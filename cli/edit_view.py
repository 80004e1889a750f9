"""Edit jobs, the worklist and settings as a terminal shows them."""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from rich.text import Text

from cli import tables, terminal
from cli.client import Document
from cli.show import Rows, section
from cli.terminal import local_time
from jobyard.domain.edits.work import UploadOutcome
from jobyard.domain.plurals import plural

COLUMNS = ("!id", "!state", "!priority", "!planned end", "name", "team", "worker")
# The commands that send events of another name.
_COMMANDS = {
    "edit": "change",
    "approve": "review",
    "require_corrections": "review",
    "discard": "review",
}
_SHOWN_FINDINGS = 20
_VALUE_LENGTH = 60  # of a property in conflict
_CLOCKS = {"yellow": "bold yellow", "red": "bold red"}


def rows(jobs: Iterable[Document]) -> Rows:
    """Edit jobs as the rows of a table with `COLUMNS`."""
    return [
        (
            each["id"],
            terminal.state(each["state"]),
            each["priority"],
            _planned_end(each),
            each["name"],
            each["team"],
            _name(each["worker"]),
        )
        for each in jobs
    ]


def _planned_end(job: Document) -> Text:
    return Text(local_time(job["planned_end"]), style=_CLOCKS.get(job["clock"] or "", ""))


def _name(person: Document | None) -> str:
    return str(person["name"]) if person else ""


def print_job(job: Document, *, as_json: bool) -> None:
    """Print an edit job or a child with all that belongs to it."""
    if as_json:
        terminal.print_json(job)
        return
    state = terminal.state(job["state"])
    if job["is_idle"]:
        state.append(", idle", style="yellow")
    if job["is_stuck"]:
        state.append(", for too long", style="red")
    package = job["package"]
    facts: list[tuple[str, Any]] = [
        ("edit job" if job["kind"] == "edit" else job["kind"], job["id"]),
        ("name", job["name"]),
        ("state", state),
        ("failure type", job["failure_type"] or ""),
        ("edit job", job["parent_id"]),
        ("dataset", job["dataset"]),
        ("type", job["type"]),
        ("priority", job["priority"]),
        ("planned end", _planned_end(job) if job["planned_end"] else ""),
        ("team", job["team"]),
        ("assigned to", _name(job["assignee"])),
        ("worker", _name(job["worker"])),
        ("package", f"{package['package_id']}, {package['size']:,} bytes" if package else ""),
        ("changes", plural(job["changes"], "feature") if job["changes"] else ""),
        ("approved by", job["approval"]["reviewer"] if job["approval"] else ""),
        ("revision", str(job["revision"] or "")),
        ("comment", job["comment"]),
        ("problem", Text(job["problem"], style="red")),
        ("you may", _commands(job["actions"]) or "nothing now"),
    ]
    terminal.console().print(tables.key_values(facts))
    if job["attachments"]:
        section(
            "Attachments",
            ("!number", "custodian", "!state", "what", "file"),
            [
                (
                    str(each["index"]),
                    each["custodian"],
                    each["state"],
                    each["description"],
                    each["filename"] or each["reason"],
                )
                for each in job["attachments"]
            ],
        )
    if job["children"]:
        section("Children", COLUMNS, rows(job["children"]))
    if job["history"]:
        section("History", ("!at", "!event", "!to", "by", "reason"), _history(job["history"]))


def print_state(job: Document, *, as_json: bool) -> None:
    """Print in one line what has become of a job, after an event; `show` has the rest."""
    if as_json:
        terminal.print_json(job)
        return
    line = Text.assemble((job["id"], "bold"), " is ", terminal.state(job["state"]))
    line.append(f": {job['name']}" if job["name"] else "")
    if following := _commands(job["actions"]):
        line.append(f"; you may {following}", style="dim")
    terminal.console().print(line, soft_wrap=True)


def _commands(events: Iterable[str]) -> str:
    """The commands that send `events`."""
    names = dict.fromkeys(_COMMANDS.get(each, each) for each in events)
    return terminal.commands_for(names)


def _history(entries: Sequence[Document]) -> Rows:
    return [
        (local_time(each["at"]), each["event"], each["to"], each["actor"], each["reason"])
        for each in entries
    ]


def print_log(log: Document) -> None:
    """Print the process log of an edit job."""
    if log["problem"]:
        terminal.console().print(Text(log["problem"], style="red"))
    entries = [each["entry"] for each in log["entries"]]
    found: Rows = [
        (each["job_id"], *row) for each, row in zip(log["entries"], _history(entries), strict=True)
    ]
    tables.show_table(("!job", "!at", "!event", "!to", "by", "reason"), found)
    if log["report"]:
        _print_report(log["report"])
    if log["conflicts"]:
        terminal.console().print(f"in conflict: {', '.join(log['conflicts'])}")


def print_archived(found: Document) -> None:
    """Print what became of each edit job that was to be archived."""
    if not found["items"]:
        terminal.console().print("no edit job to archive")
        return
    outcomes: Rows = [
        (each["edit_id"], "archived" if each["archived"] else each["refusal"])
        for each in found["items"]
    ]
    tables.show_table(("!edit job", "outcome"), outcomes)


def print_settings(found: Document) -> None:
    """Print the settings of a dataset's types of edit jobs."""
    if not found["types"]:
        terminal.console().print("no type is set: every type is accepted, with all settings off")
        return
    found_rows: Rows = [
        (name, ", ".join(_settings(each)) or "all off") for name, each in found["types"].items()
    ]
    tables.show_table(("!type", "settings"), found_rows)


def _settings(settings: Document) -> Iterable[str]:
    for name, value in settings.items():
        if name == "mails":
            if not value:
                yield "no mails"
        elif value is True:
            yield name.replace("_", " ")
        elif value:
            yield f"{name} {', '.join(value) if isinstance(value, list) else value}"


def print_changes(changes: Sequence[Document]) -> None:
    """Print changes of features."""
    found: Rows = [(each["op"], each["id"], ", ".join(each["properties"])) for each in changes]
    if found:
        tables.show_table(("!change", "!feature", "in"), found)
    else:
        terminal.console().print("no change")


def print_findings(found: Document) -> None:
    """Print what a fix-up is about."""
    console = terminal.console()
    if not found["is_kept"]:
        console.print("it was removed with the workspace")
    if found["report"]:
        _print_report(found["report"])
    if found["conflicts"]:
        names = ("!feature", "!in", "both began with", "mine", "theirs, live now")
        section("Conflicts", names, [*_conflict_rows(found["conflicts"])])
        if found["conflict_count"] > len(found["conflicts"]):
            total = plural(found["conflict_count"], "conflict")
            console.print(f"[dim]of {total}: findings.json in the package has all[/]")
    if found["feedback"]:
        console.print(f"{found['reviewer']}: {found['feedback']}")


def _conflict_rows(conflicts: Sequence[Document]) -> Iterator[tuple[str, ...]]:
    """Of each property in conflict the three values; of a feature that one deleted, that."""
    for each in conflicts:
        versions = [each[side] for side in ("base", "mine", "theirs")]
        is_whole = each["is_cut"] or "insert" in each["kind"] or "delete" in each["kind"]
        for name in ("feature",) if is_whole else each["properties"]:
            values = [_value(name, version, is_cut=each["is_cut"]) for version in versions]
            yield each["id"], name, *values


def _value(name: str, feature: Document | None, *, is_cut: bool) -> str:
    """What a version of a feature has as a property, its geometry, or in all."""
    if is_cut:
        return "too large to show"
    if feature is None:
        return "no feature"
    if name == "geometry":
        return str((feature["geometry"] or {}).get("type", "no place"))
    wanted = feature["properties"]
    if name != "feature":
        if name not in wanted:
            return "missing"
        wanted = wanted[name]
    text = wanted if isinstance(wanted, str) else json.dumps(wanted, ensure_ascii=False)
    return text if len(text) <= _VALUE_LENGTH else f"{text[:_VALUE_LENGTH]}…"


def _print_report(report: Document) -> None:
    """Print the report of a validation."""
    for title in ("failures", "inherited"):
        if report[title]:
            found: Rows = [
                (each["feature_id"], each["rule"], each["message"]) for each in report[title]
            ]
            section(title.capitalize(), ("!feature", "!rule", "message"), found)


def print_rescued(uploads: Sequence[Document]) -> None:
    """Print the uploads that came when their claims were over."""
    found: Rows = [
        (local_time(each["at"]), str(each["attempt"]), f"{each['size']:,}", each["name"])
        for each in uploads
    ]
    if found:
        tables.show_table(("!uploaded", "!attempt", "!bytes", "name"), found)
    else:
        terminal.console().print("no upload came too late")


def print_upload(job_id: str, found: Document) -> None:
    """Print what became of a file that was uploaded, and what was found in it."""
    console = terminal.console()
    for each in found["findings"][:_SHOWN_FINDINGS]:
        where = f"line {each['line']}: " if each["line"] else ""
        feature = f"{each['feature_id']}: " if each["feature_id"] else ""
        console.print(f"{each['level']}: {where}{feature}{each['message']}")
    if found["found"] > _SHOWN_FINDINGS:
        console.print(f"and {found['found'] - _SHOWN_FINDINGS:,} more")
    if found["outcome"] == UploadOutcome.REFUSED:
        terminal.print_error(f"the file was refused: {found['problem']}")
        return
    for before, new in list(found["new_ids"].items())[:_SHOWN_FINDINGS]:
        console.print(f"{before} has the new id {new}")
    ids = f"; {plural(len(found['new_ids']), 'new id')}" if found["new_ids"] else ""
    console.print(f"{job_id}: accepted, {plural(found['changes'], 'change')}{ids}")
