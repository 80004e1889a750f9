"""Reads the features of a file of GeoJSON for commands that compare whole files."""

from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Annotated

import typer
from rich.text import Text

from cli.findings import EXIT_UNREADABLE, blocks, line_of, opened
from cli.terminal import SafeConsole, print_error, printable_path
from jobyard.domain.datasets.changes import FeatureChange
from jobyard.domain.datasets.compression import DamagedFile, decompressed
from jobyard.domain.datasets.feature import Feature
from jobyard.domain.datasets.geojson import FeatureReader
from jobyard.domain.datasets.geometry import MAX_PRECISION
from jobyard.domain.manifests.findings import quoted_all
from jobyard.domain.plurals import plural

SHOWN_ERRORS = 20  # of a file that cannot be compared

Precision = Annotated[
    int,
    typer.Option(
        min=0,
        max=MAX_PRECISION,
        metavar="DECIMALS",
        help="Decimals of a degree at which two positions are the same.",
    ),
]


def content_of(stream: IO[bytes], file: str) -> Iterator[bytes]:
    """The content of a stream, decompressed if it is gzip. Exits with 2 if that is damaged."""
    try:
        yield from decompressed(blocks(stream))
    except DamagedFile as error:
        print_error(f"{file} cannot be read: {error}")
        raise typer.Exit(EXIT_UNREADABLE) from error


def features_in(file: str, precision: int) -> dict[str, Feature]:
    """The features of a file by their ids. Exits with 2 if it has errors, and prints these."""
    console = SafeConsole(stderr=True, highlight=False, soft_wrap=True)
    name = printable_path(file)
    features: dict[str, Feature] = {}
    with opened(file) as stream:
        reading = FeatureReader(content_of(stream, name), precision)
        shown = 0
        for found, findings in reading:
            features.update({feature.feature_id: feature for feature in found})
            for finding in findings:
                if finding.level == "error" and shown < SHOWN_ERRORS:
                    console.print(line_of(finding, name))
                    shown += 1
    if reading.errors:
        console.print(
            Text.assemble(
                f"{name}: ",
                ("it cannot be compared", "bold red"),
                f": {plural(reading.errors, 'error')}",
            )
        )
        raise typer.Exit(EXIT_UNREADABLE)
    return features


def change_line(change: FeatureChange) -> Text:
    """A change on one line."""
    styles = {"insert": "green", "delete": "red", "update": "yellow"}
    kind = change.kind.value
    names = ", ".join(change.difference.names)
    return Text.assemble(
        (kind, styles[kind]), f" {change.feature_id}", f": {names}" if names else ""
    )


def print_changes(console: SafeConsole, changes: Sequence[FeatureChange]) -> None:
    """Print a line for each change, then what is probably not meant."""
    for change in changes:
        console.print(change_line(change))
    for finding in change_findings(changes):
        console.print(f"warning {finding['feature_id']}: {finding['message']}")


def change_findings(changes: Sequence[FeatureChange]) -> list[Mapping[str, object]]:
    """Findings about changes that are probably not meant."""
    findings: list[Mapping[str, object]] = []
    for change in changes:
        found = {}
        if change.dropped_properties:
            names = quoted_all(change.dropped_properties)
            found["PROPERTY_DROPPED"] = f"it had {names} before, which null would have kept"
        if change.drops_heights:
            found["HEIGHTS_DROPPED"] = "its positions had heights, and have none now"
        findings += [
            {"level": "warning", "code": code, "feature_id": change.feature_id, "message": message}
            for code, message in found.items()
        ]
    return findings
