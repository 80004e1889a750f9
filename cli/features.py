"""Reads the features of a file of GeoJSON for commands that compare whole files."""

from collections.abc import Mapping
from typing import Annotated

import typer
from rich.text import Text

from cli.findings import EXIT_UNREADABLE, blocks, line_of, opened
from cli.terminal import SafeConsole, printable_path
from jobyard.domain.datasets.changes import FeatureChange
from jobyard.domain.datasets.feature import Feature
from jobyard.domain.datasets.geojson import FeatureReader
from jobyard.domain.datasets.geometry import DEFAULT_PRECISION, MAX_PRECISION
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
DEFAULT = DEFAULT_PRECISION


def features_in(file: str, precision: int) -> dict[str, Feature]:
    """The features of a file by their ids. Exits with 2 if it has errors, and prints these."""
    console = SafeConsole(stderr=True, highlight=False, soft_wrap=True)
    name = printable_path(file)
    features: dict[str, Feature] = {}
    with opened(file) as stream:
        reading = FeatureReader(blocks(stream), precision)
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


def change_findings(changes: list[FeatureChange]) -> list[Mapping[str, object]]:
    """Findings about changes that are probably not meant."""
    return [
        {
            "level": "warning",
            "code": "HEIGHTS_DROPPED",
            "feature_id": change.feature_id,
            "message": "its positions had heights, and have none now",
        }
        for change in changes
        if change.drops_heights
    ]
