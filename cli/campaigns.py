"""`jobyard campaign`: start campaigns and watch them.

`check` and `simulate` need no stack: they apply the rules of the domain.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from tempfile import TemporaryFile
from typing import Annotated, Any

import typer
from rich.text import Text

from cli import campaign_view, options, terminal
from cli.client import ApiClient, Document
from cli.findings import (
    EXIT_ERRORS,
    EXIT_UNREADABLE,
    blocks,
    line_of,
    opened,
    print_document,
    print_listing,
    tee_blocks,
)
from cli.options import Json, Limit, Reason, StackName
from cli.terminal import SafeConsole, print_error, printable_path
from jobyard.domain.campaigns.simulation import CampaignTimeline, simulate
from jobyard.domain.campaigns.simulation_input import SimulationInput, simulation_input_of
from jobyard.domain.campaigns.simulation_text import timeline_text
from jobyard.domain.campaigns.targets import (
    MAX_INLINE_TARGETS,
    CampaignTarget,
    TargetReader,
    has_json_ending,
)
from jobyard.domain.campaigns.targets_file import TARGETS_BYTES
from jobyard.domain.datasets.geojson_checks import GeoJsonCheck
from jobyard.domain.datasets.json_stream import JsonError, JsonStream
from jobyard.domain.errors import InvalidCampaign
from jobyard.domain.jobs.task import TaskState
from jobyard.domain.manifests.findings import Check, Finding, FindingCheck
from jobyard.domain.plurals import plural

app = typer.Typer(no_args_is_help=True, help="Start campaigns and watch them.")

FIELD_CODE = "FIELD_INVALID"  # of a finding about a field of a campaign
MAX_INPUT_BYTES = 64 * 1024**2
# Codes of what is not JSON that have a name of their own; the others are JSON_BAD.
_JSON_CHECKS: Mapping[FindingCheck, Check] = {
    Check.INVALID_UTF8: Check.INVALID_UTF8,
    GeoJsonCheck.KEY_REPEATED: Check.FIELD_REPEATED,
}

Preview = Annotated[
    bool,
    typer.Option(
        "--preview", help="Show openings, forecast, overlaps and warnings; start nothing."
    ),
]
CampaignId = Annotated[str, typer.Argument(parser=options.campaign_id, metavar="CAMPAIGN")]


@app.callback()
def campaign() -> None:
    """Start campaigns and watch them."""


@app.command()
def check(
    file: Annotated[
        str, typer.Argument(help="The targets, in CSV or JSON Lines; - is standard input.")
    ],
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document, and nothing else.")
    ] = False,
) -> None:
    """Check the targets of a campaign.

    Exits with 0 if a campaign can be started for them, 1 if there are errors, 2 if the file cannot
    be read.
    """
    with opened(file) as stream:
        name = printable_path(file)
        reading = TargetReader(blocks(stream), filename=name)
        if as_json:
            print_document(reading, lambda: {"targets": _task_count(reading)})
        else:
            print_listing(reading, name, lambda: _verdict_of(reading))
    if reading.worst_level == "error":
        raise typer.Exit(EXIT_ERRORS)


def _task_count(reading: TargetReader) -> int:
    return 0 if reading.errors else reading.count


def _verdict_of(reading: TargetReader) -> Text:
    if reading.errors:
        return Text("no campaign can be started", style="bold red")
    return Text(f"{plural(reading.count, 'task')} will be created", style="green")


@app.command(name="simulate")
def simulate_campaign(
    file: Annotated[
        str,
        typer.Argument(help="A campaign, what its targets do, and acts, in JSON; - for stdin."),
    ],
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document, and nothing else.")
    ] = False,
    as_text: Annotated[bool, typer.Option("--text", help="Draw it; this is the default.")] = False,
) -> None:
    """Simulate a campaign, from its creation to its end, without a stack.

    Exits with 0 if it can be started, whatever becomes of it, with 1 if it is refused, with 2 if
    the file cannot be read.
    """
    if as_json and as_text:
        raise typer.BadParameter("it excludes --text", param_hint="--json")
    with opened(file) as stream:
        data = stream.read(MAX_INPUT_BYTES + 1)
    name = printable_path(file)
    if len(data) > MAX_INPUT_BYTES:
        print_error(f"{name} cannot be read: it is larger than {MAX_INPUT_BYTES:,} bytes")
        raise typer.Exit(EXIT_UNREADABLE)
    document = _document_in(data)
    if isinstance(document, Finding):
        _refuse([_finding_document(document, "")], [line_of(document, name)], name, as_json)
    try:
        simulated = simulation_input_of(document)
        timeline = simulate(simulated)
    except InvalidCampaign as error:
        findings = [
            (Finding("error", FIELD_CODE, 0, 0, f"{each.where}: {each.allowed}"), each.where)
            for each in error.problems
        ]
        documents = [_finding_document(finding, where) for finding, where in findings]
        _refuse(documents, [line_of(finding, name) for finding, _ in findings], name, as_json)
    _print_timeline(simulated, timeline, as_json)


def _document_in(data: bytes) -> Any:
    """The JSON object in a file, or a finding that says why there is none."""
    stream = JsonStream([data])
    try:
        stream.skip_byte_order_mark()
        if stream.peek() != "{":
            return Check.JSON_BAD.at(*stream.here(), "not JSON: an object, {…}, is expected")
        document = stream.value()
        if stream.peek():
            return Check.JSON_BAD.at(*stream.here(), "not JSON: something follows the object")
    except JsonError as error:
        check = _JSON_CHECKS.get(error.check, Check.JSON_BAD)
        return check.at(error.line, error.column, error.message)
    return document


def _finding_document(finding: Finding, field: str) -> dict[str, Any]:
    return {**finding.document(), "field": field or None}


def _refuse(
    documents: list[dict[str, Any]], lines: Iterable[Text], file: str, as_json: bool
) -> None:
    """Print why a campaign is refused, and exit."""
    if as_json:
        typer.echo(json.dumps({"verdict": "error", "findings": documents}))
    else:
        console = SafeConsole(highlight=False, soft_wrap=True)
        for line in lines:
            console.print(line)
        verdict = Text("no campaign can be started", style="bold red")
        console.print(Text.assemble(f"{file}: ", verdict, f": {plural(len(documents), 'error')}"))
    raise typer.Exit(EXIT_ERRORS)


def _print_timeline(simulated: SimulationInput, timeline: CampaignTimeline, as_json: bool) -> None:
    if as_json:
        warnings = {"warnings": [*simulated.warnings]} if simulated.warnings else {}
        typer.echo(json.dumps({**timeline.document(), **warnings}))
        return
    console = SafeConsole(highlight=False, soft_wrap=True)
    console.print(Text(timeline_text(timeline)), end="")
    for warning in simulated.warnings:
        console.print(Text.assemble(("warning", "yellow"), f" {warning}"))


@app.command()
def start(
    ctx: typer.Context,
    fields: Annotated[
        str, typer.Argument(metavar="JSON|@FILE", help="The fields of docs/campaigns.md.")
    ],
    targets: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="The targets, in CSV or JSON Lines, at most 100,000."),
    ] = None,
    replace_overlapping: Annotated[
        bool,
        typer.Option(
            "--replace-overlapping",
            help="Replace the tasks that older campaigns of the job type have on the same targets.",
        ),
    ] = False,
    preview: Preview = False,
    stack: StackName = "",
    as_json: Json = False,
) -> None:
    """Start a campaign, or preview it."""
    body = options.read_json("JSON|@FILE", fields)
    if not isinstance(body, dict):
        raise typer.BadParameter("a JSON object is expected", param_hint="JSON|@FILE")
    api = ctx.obj.api(stack)
    if targets is not None:
        body |= _targets_of(targets, api)
    if replace_overlapping:
        body["replace_overlapping"] = True
    path = "/campaigns/preview" if preview else "/campaigns"
    found = api.post(path, body)
    if as_json:
        terminal.print_json(found)
    else:
        campaign_view.show_started(found, is_preview=preview)


def _targets_of(file: str, api: ApiClient) -> Document:
    """The field of a request with the targets in a file. More than are allowed inline are uploaded.

    Errors are listed as `check` lists them, and end the program.
    """
    found: list[Document] = []
    with opened(file) as stream, TemporaryFile() as copy:
        content = tee_blocks(stream, copy, TARGETS_BYTES, "--targets")
        for target in _checked_targets(content, printable_path(file)):
            if len(found) <= MAX_INLINE_TARGETS:
                found.append(target.document())
        if len(found) <= MAX_INLINE_TARGETS:
            return {"targets": found}
        filename = "targets.jsonl" if has_json_ending(file) else "targets.csv"
        created = api.post("/campaigns/targets", {"filename": filename})
        api.upload(created["upload"], copy, is_repeatable=True)
        return {"targets_file": created["targets_file"]}


def _checked_targets(content: Iterable[bytes], name: str) -> Iterator[CampaignTarget]:
    findings: list[Finding] = []
    reading = TargetReader(content, filename=name)
    for part, noted in reading:
        findings += noted
        yield from part
    if reading.worst_level == "error":
        documents = [_finding_document(each, "") for each in findings]
        _refuse(documents, [line_of(each, name) for each in findings], name, as_json=False)


@app.command("list")
def show_list(
    ctx: typer.Context,
    system: Annotated[
        bool, typer.Option("--system", help="List the campaigns of job types such as device-info.")
    ] = False,
    state: Annotated[
        str | None,
        typer.Option(metavar="STATE", help="Only those, for example paused or unknown."),
    ] = None,
    limit: Limit = 100,
    stack: StackName = "",
    as_json: Json = False,
) -> None:
    """List campaigns, newest first."""
    system_only = "true" if system else None
    found = ctx.obj.api(stack).list_items("/campaigns", limit, system=system_only, state=state)
    if as_json:
        terminal.print_json(found)
    else:
        campaign_view.show_list(found)


@app.command()
def show(
    ctx: typer.Context, campaign_id: CampaignId, stack: StackName = "", as_json: Json = False
) -> None:
    """Show a campaign, with its next openings and the forecast."""
    found = ctx.obj.api(stack).get(f"/campaigns/{campaign_id}")
    if as_json:
        terminal.print_json(found)
    else:
        campaign_view.show_one(found)


@app.command()
def tasks(
    ctx: typer.Context,
    campaign_id: CampaignId,
    state: Annotated[
        TaskState | None,
        typer.Option(
            parser=options.one_of(TaskState),
            metavar="STATE",
            help=f"Only those: {', '.join(TaskState)}.",
        ),
    ] = None,
    limit: Limit = 100,
    stack: StackName = "",
    as_json: Json = False,
) -> None:
    """List the tasks of a campaign: the step of each, and why it waits."""
    path = f"/campaigns/{campaign_id}/tasks"
    found = ctx.obj.api(stack).list_items(path, limit, state=state)
    if as_json:
        terminal.print_json(found)
    else:
        campaign_view.show_tasks(found)


@app.command()
def pause(
    ctx: typer.Context,
    campaign_id: CampaignId,
    reason: Reason,
    until: Annotated[
        str | None,
        typer.Option(
            parser=options.future_time,
            metavar="TIME",
            help="When it continues: 30m, 2h, 1d, 18:00 or 2030-01-31T18:00.  "
            "[default: when it is resumed]",
        ),
    ] = None,
    stack: StackName = "",
    as_json: Json = False,
) -> None:
    """Pause a campaign: no task starts, and what runs stops after its step or part."""
    body: Document = {"reason": reason} | ({"until": until} if until else {})
    _send(ctx, campaign_id, "pause", body, stack, as_json)


@app.command()
def resume(
    ctx: typer.Context,
    campaign_id: CampaignId,
    reason: Reason,
    stack: StackName = "",
    as_json: Json = False,
) -> None:
    """Resume a paused campaign."""
    _send(ctx, campaign_id, "resume", {"reason": reason}, stack, as_json)


@app.command()
def cancel(
    ctx: typer.Context,
    campaign_id: CampaignId,
    reason: Reason,
    stack: StackName = "",
    as_json: Json = False,
) -> None:
    """Cancel a campaign: what waits ends, what runs ends after its step or part."""
    _send(ctx, campaign_id, "cancel", {"reason": reason}, stack, as_json)


@app.command()
def force(
    ctx: typer.Context,
    campaign_id: CampaignId,
    reason: Reason,
    stack: StackName = "",
    as_json: Json = False,
) -> None:
    """Cancel a campaign without waiting for what runs: a device may be left half done."""
    _send(ctx, campaign_id, "force", {"reason": reason}, stack, as_json)


@app.command()
def change(
    ctx: typer.Context,
    campaign_id: CampaignId,
    reason: Reason,
    to: Annotated[str | None, typer.Option(metavar="DATE", help="A later end.")] = None,
    at_once: Annotated[
        int | None,
        typer.Option(parser=options.whole_number(1), metavar="N", help="Tasks that run at once."),
    ] = None,
    per_minute: Annotated[
        int | None,
        typer.Option(
            parser=options.whole_number(1), metavar="N", help="Attempts that may start a minute."
        ),
    ] = None,
    factor: Annotated[
        float | None,
        typer.Option(metavar="N", help="How much faster, for each --every tasks that succeed."),
    ] = None,
    every: Annotated[
        int | None,
        typer.Option(parser=options.whole_number(1), metavar="N", help="Tasks that succeed."),
    ] = None,
    no_rate: Annotated[bool, typer.Option("--no-rate", help="Remove the rate.")] = False,
    stack: StackName = "",
    as_json: Json = False,
) -> None:
    """Change a campaign while it runs. What is left out stays as it is."""
    rate = _given(per_minute=per_minute, factor=factor, every=every)
    if rate and no_rate:
        raise typer.BadParameter("a rate is either given or removed", param_hint="--no-rate")
    changes = _given(to=to, at_once=at_once, rollout=rate or None)
    if no_rate:
        changes["rollout"] = None
    if not changes:
        names = "--to, --at-once, --per-minute, --factor, --every or --no-rate"
        raise typer.BadParameter(f"nothing to change: give {names}")
    _send(ctx, campaign_id, "change", {"reason": reason, **changes}, stack, as_json)


@app.command()
def retry(
    ctx: typer.Context,
    campaign_id: CampaignId,
    fields: Annotated[
        str, typer.Argument(metavar="[JSON|@FILE]", help="Fields of the new campaign that differ.")
    ] = "{}",
    preview: Preview = False,
    stack: StackName = "",
    as_json: Json = False,
) -> None:
    """Start a new campaign for the tasks of an ended one that have not succeeded, or preview it."""
    body = options.read_json("JSON|@FILE", fields)
    if not isinstance(body, dict):
        raise typer.BadParameter("a JSON object is expected", param_hint="JSON|@FILE")
    path = f"/campaigns/{campaign_id}/retry"
    found = ctx.obj.api(stack).post(f"{path}/preview" if preview else path, body)
    if as_json:
        terminal.print_json(found)
    else:
        campaign_view.show_started(found, is_preview=preview)


def _given(**fields: object) -> Document:
    """The fields that have a value."""
    return {name: value for name, value in fields.items() if value is not None}


def _send(
    ctx: typer.Context, campaign_id: str, event: str, body: Document, stack: str, as_json: bool
) -> None:
    found = ctx.obj.api(stack).post(f"/campaigns/{campaign_id}/{event}", body)
    if as_json:
        terminal.print_json(found)
    else:
        campaign_view.show_state(found)
