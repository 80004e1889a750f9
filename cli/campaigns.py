"""`jobyard campaign`: check the targets of a campaign, or simulate one.

Neither needs a stack: they apply the rules of the domain.
"""

import json
from collections.abc import Iterable
from typing import Annotated, Any

import typer
from rich.text import Text

from cli.findings import (
    EXIT_ERRORS,
    EXIT_UNREADABLE,
    blocks,
    line_of,
    opened,
    print_document,
    print_listing,
)
from cli.terminal import SafeConsole, print_error, printable_path
from jobyard.domain.campaigns.simulation import CampaignTimeline, simulate
from jobyard.domain.campaigns.simulation_input import SimulationInput, simulation_input_of
from jobyard.domain.campaigns.simulation_text import timeline_text
from jobyard.domain.campaigns.targets import TargetReader
from jobyard.domain.errors import InvalidCampaign
from jobyard.domain.manifests.findings import Check, Finding
from jobyard.domain.manifests.json_lines import object_on
from jobyard.domain.plurals import plural

app = typer.Typer(no_args_is_help=True, help="Check the targets of a campaign, or simulate one.")

FIELD_CODE = "FIELD_INVALID"  # of a finding about a field of a campaign
MAX_INPUT_BYTES = 64 * 1024**2


@app.callback()
def campaign() -> None:
    """Check the targets of a campaign, or simulate one."""


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
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return Check.INVALID_UTF8.at(line, 0, "the file is not UTF-8")
    document = object_on(text, 1)
    if isinstance(document, Finding) and document.column:
        offset = document.column - 1
        line = text.count("\n", 0, offset) + 1
        column = offset - (text.rfind("\n", 0, offset) + 1) + 1
        return Finding(document.level, document.code, line, column, document.message)
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
