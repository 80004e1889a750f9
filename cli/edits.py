"""`jobyard edit`: merge what two people changed in the same version of a dataset.

That needs no stack: it applies the rules of the domain. The other commands do.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from cli import edit_requests
from cli.features import Precision, change_findings, features_in, print_changes
from cli.findings import EXIT_ERRORS
from cli.terminal import SafeConsole, print_error
from jobyard.domain.datasets.feature import Feature
from jobyard.domain.datasets.geometry import DEFAULT_PRECISION
from jobyard.domain.edits.merge import Merge, merge
from jobyard.domain.plurals import plural

app = typer.Typer(no_args_is_help=True, help="Plan, do and review edit jobs.")
app.add_typer(edit_requests.app)


@app.callback()
def edit() -> None:
    """Plan, do and review edit jobs."""


@app.command(name="merge")
def merge_files(
    base: Annotated[str, typer.Option(metavar="FILE", help="What both began with.")],
    mine: Annotated[str, typer.Option(metavar="FILE", help="What I made of it.")],
    theirs: Annotated[str, typer.Option(metavar="FILE", help="What others made of it.")],
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Where to write the result, if there is no conflict."),
    ] = None,
    precision: Precision = DEFAULT_PRECISION,
    latest: Annotated[
        list[str] | None,
        typer.Option(metavar="PROPERTY", help="A property whose latest value counts: mine."),
    ] = None,
    renumber: Annotated[
        bool,
        typer.Option(help="Keep features that both inserted under one id: mine get new ids."),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document, and nothing else.")
    ] = False,
) -> None:
    """Merge my changes into theirs, property by property.

    Exits with 0 if there is no conflict, 1 if a person has to decide, 2 if a file cannot be read.
    """
    files = [features_in(file, precision) for file in (base, mine, theirs)]
    merged = merge(*files, precision=precision, latest=latest or (), renumbers=renumber)
    if as_json:
        typer.echo(json.dumps(_document(merged)))
    else:
        _print(merged)
    if merged.conflicts:
        raise typer.Exit(EXIT_ERRORS)
    if out is not None:
        _write(out, merged.applied_to(files[2]).values())


def _document(merged: Merge) -> dict[str, object]:
    document: dict[str, object] = {
        "changes": [change.document() for change in merged.changes],
        "conflicts": [conflict.document() for conflict in merged.conflicts],
        "same": [*merged.same],
        "findings": change_findings(merged.changes),
    }
    if merged.resolutions:
        document["resolutions"] = [each.document() for each in merged.resolutions]
    if merged.new_ids:
        document["new_ids"] = dict(merged.new_ids)
    return document


def _print(merged: Merge) -> None:
    console = SafeConsole(highlight=False, soft_wrap=True)
    print_changes(console, merged.changes)
    for old, new in (merged.new_ids or {}).items():
        console.print(f"renumbered {old}: {new}")
    for each in merged.resolutions:
        console.print(
            f"resolved {each.feature_id}: {each.name} is mine, {json.dumps(each.mine)}, "
            f"instead of {json.dumps(each.theirs)}"
        )
    for conflict in merged.conflicts:
        names = ", ".join(conflict.difference.names)
        where = f" {conflict.feature_id}: {conflict.mine.value} here, {conflict.theirs.value} there"
        console.print(
            Text.assemble(("conflict", "bold red"), where, f" ({names})" if names else "")
        )
    counts = (
        plural(len(merged.changes), "change"),
        plural(len(merged.conflicts), "conflict"),
        f"{len(merged.same):,} the same",
    )
    console.print(", ".join(counts))


def _write(file: Path, features: Iterable[Feature]) -> None:
    """Write a FeatureCollection, a feature on each line."""
    try:
        with file.open("w", encoding="utf-8", newline="\n") as stream:
            stream.write('{"type": "FeatureCollection", "features": [')
            for index, feature in enumerate(features):
                stream.write(",\n" if index else "\n")
                stream.write(json.dumps(feature.document(), ensure_ascii=False))
            stream.write("\n]}\n")
    except OSError as error:
        print_error(f"{file} cannot be written: {error.strerror or error}")
        raise typer.Exit(EXIT_ERRORS) from error
