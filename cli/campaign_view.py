"""How campaigns and their tasks are printed."""

from rich.text import Text

from cli import tables, terminal
from cli.client import Document


def show_started(found: Document, *, is_preview: bool) -> None:
    """Print a campaign that was started or previewed: its openings, forecast and warnings."""
    out = terminal.console()
    if not is_preview:
        out.print(f"campaign [bold]{found['campaign_id']}[/]")
    out.print(found["schedule"], markup=False)
    forecast = found["forecast"] or {"description": "", "openings": [], "warnings": []}
    out.print(forecast["description"], markup=False)
    _show_openings(forecast["openings"])
    for each in found["overlaps"]:
        out.print(_overlap(each, is_replaced=found["replace_overlapping"]), markup=False)
    for warning in (*found["warnings"], *forecast["warnings"]):
        out.print(Text.assemble(("warning", "yellow"), f" {warning}"))
    if not is_preview:
        shown = f"jobyard campaign show {found['campaign_id']}"
        out.print(tables.next_commands([(shown, "show the campaign")]))


def _overlap(found: Document, *, is_replaced: bool) -> str:
    older = f"{found['name']} ({found['campaign_id']})"
    if found["targets"] is None:
        return f"{older} may have the same targets: they could not be compared"
    count = found["targets"]
    verb, tasks = ("is", "its task") if count == 1 else ("are", "their tasks")
    effect = f", and {tasks} there would be replaced" if is_replaced else ""
    return f"{count:,} of the {found['tasks']:,} targets of {older} {verb} also in this one{effect}"


def _show_openings(openings: list[Document]) -> None:
    if openings:
        rows = [
            (terminal.local_time(each["start"]), terminal.local_time(each["end"]), each["starts"])
            for each in openings
        ]
        cells = [(opens, closes, f"{starts:,}") for opens, closes, starts in rows]
        tables.show_table(("opens", "closes", "tasks"), cells)


def show_list(found: Document) -> None:
    """Print campaigns, newest first."""
    rows = [
        (
            each["campaign_id"],
            each["name"],
            Text(each["label"]),
            f"{each['done']:,} of {each['tasks']:,}",
            terminal.local_time(each["created_at"]),
            _waiting(each),
        )
        for each in found["items"]
    ]
    rows += [
        (
            each["campaign_id"],
            "-",
            Text(each["label"]),
            "-",
            terminal.local_time(each["created_at"]),
            "its record cannot be read",
        )
        for each in found.get("unknown", ())
    ]
    tables.show_table(("campaign", "name", "state", "done", "started", "waits for"), rows)


def show_one(found: Document) -> None:
    """Print a campaign with its forecast."""
    counts = ", ".join(f"{number:,} {state}" for state, number in found["counts"].items())
    facts = [
        ("campaign", found["campaign_id"]),
        ("name", Text(found["name"])),
        ("job type", found["job_type"]),
        ("state", Text(found["label"])),
        ("tasks", f"{found['done']:,} of {found['tasks']:,} done; {counts}"),
        ("schedule", Text(found["schedule"])),
        ("started by", Text(f"{found['creator']}, {terminal.local_time(found['created_at'])}")),
        ("ended", terminal.local_time(found["ended_at"]))
        if found["ended_at"]
        else ("ends", terminal.local_time(found["expires_at"])),
    ]
    links = (("retry of", "retry_of"), ("replaces", "replaces"), ("replaced by", "replaced_by"))
    facts += [(name, found[field]) for name, field in links if found[field]]
    facts.append(("reports to", ", ".join(found["notify"]) or "nobody"))
    if found["waiting_reason"]:
        facts.append(("waits for", Text(_waiting(found))))
    out = terminal.console()
    out.print(tables.key_values(facts))
    if found["forecast"]:
        out.print(found["forecast"]["description"], markup=False)
        _show_openings(found["forecast"]["openings"])
    commands = [(f"jobyard campaign tasks {found['campaign_id']}", "list its tasks")]
    if found["ended_at"]:
        download = f"jobyard reports {found['campaign_id']} --download ."
        commands.append((download, "download its report"))
    for event in found["actions"]:
        reason = "" if event == "retry" else " --reason …"
        commands.append((f"jobyard campaign {event} {found['campaign_id']}{reason}", f"{event} it"))
    out.print(tables.next_commands(commands))


def show_tasks(found: Document) -> None:
    """Print the tasks of a campaign."""
    rows = [
        (
            each["target"],
            each["job_id"],
            Text(each["label"]),
            _step(each),
            f"{each['steps_done']} of {each['step_count']}",
            terminal.local_time(each["last_triggered"]),
            _waiting(each) or each["failure_message"],
        )
        for each in found["items"]
    ]
    columns = ("target", "!task", "state", "step", "steps", "last triggered", "why")
    tables.show_table(columns, rows)
    if failed := next((each for each in found["items"] if "requeue" in each["actions"]), None):
        again = f'jobyard requeue {failed["job_id"]} --reason "…"'
        terminal.console().print(tables.next_commands([(again, "try a failed task again")]))


def _step(task: Document) -> str:
    """The current step of a task, and its progress."""
    percent = task.get("step_percent")
    return (task["step"] or "-") + ("" if percent is None else f" {percent} %")


def show_state(found: Document) -> None:
    """Print the state of a campaign after an event."""
    waiting = _waiting(found)
    line = f"{found['campaign_id']} is {found['label']}" + (f": {waiting}" if waiting else "")
    terminal.console().print(line, markup=False)


def _waiting(found: Document) -> str:
    """What a campaign or a task waits for, and until when."""
    return terminal.waiting_for(found["waiting_reason"], found["waiting_until"])
