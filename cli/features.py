"""Reads the features of a file of GeoJSON for commands that compare whole files."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated

import typer
from rich.text import Text

from cli.findings import EXIT_UNREADABLE, blocks, line_of, opened
from cli.terminal import SafeConsole, print_error, printable_path
from jobyard.domain.datasets.changes import FeatureChange
from jobyard.domain.datasets.compression import DamagedFile, decompressed
from jobyard.domain.datasets.feature import Feature
from jobyard.domain.datasets.geojson import FeatureReader
from jobyard.domain.datasets.geometry import MAX_PRECISION
from jobyard.domain.manifests.findings import BoundedFindings, quoted_all
from jobyard.domain.plurals import plural

_SHOWN_ERRORS = 20  # of a file that is refused

Precision = Annotated[
    int,
    typer.Option(
        min=0,
        max=MAX_PRECISION,
        metavar="DECIMALS",
        help="Decimals of a degree at which two positions are the same.",
    ),
]


def content_of(parts: Iterable[bytes], file: str) -> Iterator[bytes]:
    """The content of a file, decompressed if it is gzip. Exits with 2 if that is damaged."""
    try:
        yield from decompressed(parts)
    except DamagedFile as error:
        print_error(f"{file} cannot be read: {error}")
        raise typer.Exit(EXIT_UNREADABLE) from error


def features_in(file: str, precision: int) -> dict[str, Feature]:
    """The features of a file by their ids. Exits with 2 if it has errors, and prints these."""
    name = printable_path(file)
    with opened(file) as stream:
        found = checked_features(
            blocks(stream), name, precision, "it cannot be compared", EXIT_UNREADABLE
        )
        return {feature.feature_id: feature for feature in found}


def checked_features(
    parts: Iterable[bytes], file: str, precision: int, refusal: str, exit_code: int
) -> Iterator[Feature]:
    """The features of a file. After the last one, exits with `exit_code` if the file has errors:
    the first of them are printed, then the `refusal`.
    """
    console = SafeConsole(stderr=True, highlight=False, soft_wrap=True)
    reading = FeatureReader(content_of(parts, file), precision)
    kept = BoundedFindings(_SHOWN_ERRORS)
    for features, findings in reading:
        yield from features
        for finding in kept.take(each for each in findings if each.level == "error"):
            console.print(line_of(finding, file))
    if reading.errors:
        count = plural(reading.errors, "error")
        console.print(Text.assemble(f"{file}: ", (refusal, "bold red"), f": {count}"))
        raise typer.Exit(exit_code)


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
