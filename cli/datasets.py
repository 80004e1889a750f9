"""`jobyard dataset`: check the GeoJSON of a dataset, and show what differs between two files.

Neither needs a stack: they apply the rules of the domain. The other commands do.
"""

import json
from typing import Annotated

import typer
from rich.text import Text

from cli import dataset_requests
from cli.dataset_rules import RuledReading, rules_in
from cli.features import (
    Precision,
    change_findings,
    content_of,
    features_in,
    print_changes,
)
from cli.findings import EXIT_ERRORS, blocks, opened, print_document, print_listing
from cli.terminal import SafeConsole, printable_path
from jobyard.domain.datasets.changes import changes_between
from jobyard.domain.datasets.geojson import FeatureReader
from jobyard.domain.datasets.geometry import DEFAULT_PRECISION
from jobyard.domain.plurals import plural

app = typer.Typer(no_args_is_help=True, help="Check, load, show and export datasets.")
app.add_typer(dataset_requests.app)

JsonDocument = Annotated[
    bool, typer.Option("--json", help="Print one JSON document, and nothing else.")
]


@app.callback()
def dataset() -> None:
    """Check, load, show and export datasets."""


@app.command()
def check(
    file: Annotated[str, typer.Argument(help="GeoJSON, or gzip of it; - for stdin.")],
    rules: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Rules that the features must keep, as a JSON list."),
    ] = None,
    precision: Precision = DEFAULT_PRECISION,
    as_json: JsonDocument = False,
) -> None:
    """Check the GeoJSON of a dataset, and with --rules whether its features keep them.

    Exits with 0 if there are no errors, 1 if there are, 2 if a file cannot be read.
    """
    checked = None if rules is None else rules_in(rules)
    with opened(file) as stream:
        name = printable_path(file)
        reading = RuledReading(
            FeatureReader(content_of(blocks(stream), name), precision), checked, precision
        )
        if as_json:
            print_document(reading, lambda: {"features": reading.count})
        else:
            print_listing(reading, name, lambda: _verdict_of(reading))
    if reading.errors:
        raise typer.Exit(EXIT_ERRORS)


def _verdict_of(reading: RuledReading) -> Text:
    if reading.failures:
        verdict = f"{plural(reading.count, 'feature')} can be loaded, and "
        return Text.assemble(verdict, ("rules are broken", "bold red"))
    if reading.errors:
        return Text("it cannot be loaded", style="bold red")
    return Text(f"{plural(reading.count, 'feature')} can be loaded", style="green")


@app.command()
def diff(
    before: Annotated[str, typer.Argument(help="The GeoJSON before.")],
    after: Annotated[str, typer.Argument(help="The GeoJSON after.")],
    precision: Precision = DEFAULT_PRECISION,
    as_json: JsonDocument = False,
) -> None:
    """Show which features differ between two files, and in what.

    How rings are wound and where they begin, the order of features and of parts, and digits beyond
    the precision do not count. Exits with 0, or with 2 if a file cannot be read.
    """
    changes = changes_between(
        features_in(before, precision), features_in(after, precision), precision
    )
    if as_json:
        documents = [change.document() for change in changes]
        typer.echo(json.dumps({"changes": documents, "findings": change_findings(changes)}))
        return
    console = SafeConsole(highlight=False, soft_wrap=True)
    print_changes(console, changes)
    console.print(plural(len(changes), "change"))
