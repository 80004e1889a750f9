"""`jobyard campaign`: check the targets of a campaign.

It needs no stack: it applies the rules of the domain.
"""

from typing import Annotated

import typer
from rich.text import Text

from cli.findings import EXIT_ERRORS, blocks, opened, print_document, print_listing
from cli.terminal import printable_path
from jobyard.domain.campaigns.targets import TargetReader
from jobyard.domain.plurals import plural

app = typer.Typer(no_args_is_help=True, help="Check the targets of a campaign, or simulate one.")


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
