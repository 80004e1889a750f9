"""What the maps of edit jobs show."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from markupsafe import Markup

from jobyard.domain.datasets.changes import FeatureChange
from jobyard.domain.datasets.dataset import Dataset
from jobyard.domain.datasets.extent import Box, Boxes, Extent, boxes_around, boxes_of
from jobyard.domain.datasets.feature import Feature
from jobyard.domain.datasets.validation_report import RuleFailure
from jobyard.domain.edits.conflict import ConflictVersions
from jobyard.domain.edits.edit_job import EditJob
from jobyard.services.context import QueryContext
from jobyard.services.queries import edit_details
from jobyard.services.queries.edit_details import AreaView, ChildFindings
from web.pictures.map import MARK_OF_CHANGE, Map, Mark, Shape, draw_map, extent_shape, shown_box

MAX_CHANGES = 300  # that a map shows
_CONFLICT_MAPS_BYTES = 300_000  # of a page; then no further ones are drawn
_NUMBERS_SHOWN = 3  # of jobs with the same extent


def change_shapes(changes: Iterable[FeatureChange]) -> Iterator[Shape]:
    """The shapes of changes, with the outline before where the geometry changed."""
    for each in changes:
        before, after = each.before, each.after
        if before and after and before.geometry is not None and each.difference.in_geometry:
            yield Shape(before.geometry, Mark.BEFORE)
        shown = after if after is not None and after.geometry is not None else before
        if shown is not None and shown.geometry is not None:
            yield Shape(
                shown.geometry, MARK_OF_CHANGE[each.kind], f"{each.feature_id}: {each.kind}"
            )


def feature_shapes(
    features: Iterable[Feature], mark: Mark = Mark.FEATURE, without: frozenset[str] = frozenset()
) -> Iterator[Shape]:
    """The shapes of features that have a place."""
    for each in features:
        if each.geometry is not None and each.feature_id not in without:
            label = each.feature_id if mark is Mark.FEATURE else ""
            yield Shape(each.geometry, mark, label)


def block_shapes(blocks: Boxes) -> Iterator[Shape]:
    """Where features are roughly, if they are too many."""
    return extent_shape(Extent(boxes=blocks), mark=Mark.CONTEXT)


def finding_shapes(
    found: ChildFindings, places: dict[str, Feature], address: str
) -> Iterator[Shape]:
    """The shapes of what a child is about: features that break rules, and conflicts."""
    report = found.report
    for failures, mark in (
        (report.inherited if report else (), Mark.INHERITED),
        (report.failures if report else (), Mark.FAILURE),
    ):
        for each in failures[:MAX_CHANGES]:
            yield from _failure_shape(each, mark, places)
    for number, conflict in enumerate(found.conflicts[:MAX_CHANGES], start=1):
        shown = conflict.mine or conflict.theirs or conflict.base
        if shown is not None and shown.geometry is not None:
            place = f"{address}/conflicts#conflict-{number}"
            yield Shape(shown.geometry, Mark.CONFLICT, f"{conflict.feature_id}: conflict", place)


def conflict_maps(conflicts: Iterable[ConflictVersions]) -> Iterator[list[Markup | None]]:
    """Of each conflict the maps of what both began with, mine and theirs, in the same frame. There
    are none if the geometry is no part of it, or if the page has enough.
    """
    size = 0
    for each in conflicts:
        maps: list[Markup | None] = []
        if each.conflict.difference.in_geometry and size < _CONFLICT_MAPS_BYTES:
            maps = _version_maps(each)
            size += sum(len(picture) for picture in maps if picture)
        yield maps


def _version_maps(conflict: ConflictVersions) -> list[Markup | None]:
    versions = {"before": conflict.base, "mine": conflict.mine, "theirs": conflict.theirs}
    places = {
        name: version.geometry
        for name, version in versions.items()
        if version is not None and version.geometry is not None
    }
    frame = boxes_around(box for geometry in places.values() for box in boxes_of(geometry))
    before = places.get("before")
    maps: list[Markup | None] = []
    for name in versions:
        geometry = places.get(name)
        if geometry is None:
            maps.append(None)
            continue
        shapes = [Shape(geometry, Mark.FEATURE if name == "before" else Mark.UPDATED)]
        if before is not None and name != "before":
            shapes = [Shape(before, Mark.BEFORE), *shapes]
        maps.append(draw_map(shapes, f"{conflict.feature_id}, {name}", frame).picture)
    return maps


def _failure_shape(failure: RuleFailure, mark: Mark, places: dict[str, Feature]) -> Iterator[Shape]:
    label = f"{failure.feature_id}: {failure.message}"
    feature = places.get(failure.feature_id)
    if feature is not None and feature.geometry is not None:
        yield Shape(feature.geometry, mark, label)
    elif failure.position is not None:
        yield Shape({"type": "Point", "coordinates": [*failure.position]}, mark, label)


def job_map(
    job: EditJob,
    changes: Sequence[FeatureChange],
    found: ChildFindings | None,
    address: str,
    context: QueryContext,
) -> Map:
    """The map of an edit job: the features in its extent, its changes, and what is wrong."""
    view = edit_details.features_of(job, context)
    changed = frozenset(each.feature_id for each in changes)
    places = {each.feature_id: each for each in view.features}
    places |= {each.feature_id: each.after for each in changes if each.after is not None}
    shapes = chain(
        block_shapes(view.blocks),
        feature_shapes(view.features, without=changed),
        change_shapes(changes[:MAX_CHANGES]),
        finding_shapes(found, places, address) if found else (),
        extent_shape(job.extent, "the extent"),
    )
    return draw_map([*shapes], f"Map of {job.name or job.edit_id}")


def dataset_map(
    dataset: Dataset,
    jobs: Sequence[tuple[int, EditJob]],
    frame: Boxes,
    context: QueryContext,
    mark: Mark = Mark.CONTEXT,
) -> Map:
    """The map of a dataset in `frame`, of all without one, with the extents of numbered jobs."""
    shown = shown_box(frame or dataset.boxes).grown(0.0)
    view = edit_details.view_of(dataset, shown, context)
    together: dict[tuple[str, Mark], list[tuple[int, EditJob]]] = {}
    for number, job in jobs:
        kind = Mark.EXTENT if job.is_open else Mark.DONE
        together.setdefault((repr(job.extent.document()), kind), []).append((number, job))
    shapes = [
        *background_shapes(view, mark),
        *chain.from_iterable(
            _numbered(some, kind, view.features) for (_, kind), some in together.items()
        ),
    ]
    return draw_map(shapes, f"Map of {dataset.title or dataset.name}", frame or dataset.boxes)


def background_shapes(view: AreaView, mark: Mark = Mark.CONTEXT) -> Iterator[Shape]:
    """The shapes of what a dataset has: its features, or where they are if they are too many."""
    yield from block_shapes(view.blocks)
    yield from feature_shapes(view.features, mark)


def _numbered(
    jobs: Sequence[tuple[int, EditJob]], mark: Mark, features: Sequence[Feature]
) -> Iterator[Shape]:
    """The extent of jobs, or their features, with their numbers in the list. Several jobs with the
    same extent are one shape, which leads to the first of them in the list.
    """
    (first, job), *others = jobs
    number, address = str(first), f"/edits/{job.edit_id}"
    label = f"{number}: {job.name or job.edit_id}, {job.state}"
    if others:
        numbers = ", ".join(str(each) for each, _ in jobs)
        number = numbers if len(jobs) <= _NUMBERS_SHOWN else f"{first}, … ({len(jobs)})"
        label, address = f"{numbers}: {len(jobs)} edit jobs with this extent", f"#{job.edit_id}"
    if not job.extent.feature_ids:
        yield from extent_shape(job.extent, label, mark, address, number)
        return
    wanted = set(job.extent.feature_ids)
    for each in features:
        if each.feature_id in wanted and each.geometry is not None:
            yield Shape(each.geometry, mark, label, address, number)


def frame_of(text: str) -> Boxes:
    """The boxes of a frame as an address has it, "west,south,east,north"; none if it is not one."""
    try:
        west, south, east, north = (float(each) for each in text.split(",", 4))
    except ValueError:
        return ()
    is_sound = all(-540 <= each <= 540 for each in (west, east)) and -90 <= south < north <= 90
    if not is_sound or west >= east:
        return ()
    return (Box(west, south, east, north),)


def frame_text(box: Box) -> str:
    """A frame as an address and a form have it, which `frame_of` reads."""
    west, south, east, north = box
    sides = (max(west, -200.0), max(south, -90.0), min(east, 340.0), min(north, 90.0))
    return ",".join(f"{each:.5f}".rstrip("0").rstrip(".") for each in sides)


def zooms(drawn: Map) -> list[tuple[str, str, str]]:
    """The frames around the one of a map, as (label, icon, frame)."""
    west, south, east, north = drawn.frame
    x, y = (east - west) / 4, (north - south) / 4
    return [
        (label, icon, frame_text(box))
        for label, icon, box in (
            ("Zoom in", "zoom-in", Box(west + x, south + y, east - x, north - y)),
            ("Zoom out", "zoom-out", Box(west - 2 * x, south - 2 * y, east + 2 * x, north + 2 * y)),
            ("West", "", Box(west - x, south, east - x, north)),
            ("East", "", Box(west + x, south, east + x, north)),
            ("North", "", Box(west, south + y, east, north + y)),
            ("South", "", Box(west, south - y, east, north - y)),
        )
    ]
