"""Datasets: a list, one with its revisions and exports, what a revision changed, and a feature with
its history."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.api_gateway import Router

from jobyard.domain.datasets.changes import ChangeKind
from jobyard.domain.datasets.commit import Commit, CommittedChange
from jobyard.domain.datasets.export import ExportState
from jobyard.domain.datasets.extent import Boxes, extent_around
from jobyard.domain.datasets.feature import Feature, is_same
from jobyard.domain.errors import JobyardError, NotFound
from jobyard.services.datasets.commands import start_export
from jobyard.services.queries import datasets as queries
from jobyard.services.queries.datasets import ListedChange
from web.filters import cut
from web.forms import handle_form, refusal_values, status_of
from web.pictures.map import MARK_OF_CHANGE, Mark, Shape, draw_map, extent_shape
from web.request import PageRequest, current_request, page_links
from web.responses import page

router = Router()  # type: ignore[no-untyped-call]

_PAGE_SIZE = 50
_COMMITS_SHOWN = 20
_CHANGES_SHOWN = 100  # in a table, and so on a map
_HISTORY_SHOWN = 10
_VALUE_LENGTH = 200
_POLL_S = 3  # of the page of an export, until it is ready


@router.get("/datasets")
def list_datasets() -> Response[str]:
    """The datasets, by name."""
    request = current_request(router)
    pagination = request.pagination("datasets")
    found, after = queries.list_datasets(
        request.query_context,
        after=pagination.start(request.query.get("cursor", ""), ""),
        limit=_PAGE_SIZE,
    )
    links = page_links(request, pagination.next_cursor(after or None))
    return page("datasets.html", request, {"datasets": found, **links})


@router.get("/datasets/<name>")
def show_dataset(name: str) -> Response[str]:
    """One dataset with a map, and its commits, the last one first."""
    return _dataset_page(current_request(router), name)


def _dataset_page(
    request: PageRequest, name: str, refusal: JobyardError | None = None
) -> Response[str]:
    context = request.query_context
    found = queries.dataset(name, context)
    pagination = request.pagination("commits", name)
    before = pagination.start(request.query.get("cursor", ""), None)
    made, following = queries.list_commits(name, context, before=before, limit=_COMMITS_SHOWN)
    shapes = [*_extent_shapes(found.boxes, found.name), *_commit_shapes(name, made)]
    values = {
        "dataset": found,
        "commits": made,
        "drawn": draw_map(shapes, "Map of the dataset and its latest changes") if shapes else None,
        **page_links(request, pagination.next_cursor(following or None)),
        **refusal_values(request, refusal),
    }
    return page("dataset.html", request, values, status=status_of(refusal))


def _extent_shapes(boxes: Boxes, label: str) -> Iterator[Shape]:
    if boxes:
        yield from extent_shape(extent_around(boxes), label)


def _commit_shapes(name: str, made: Sequence[Commit]) -> Iterator[Shape]:
    """The boxes of commits, oldest first, each with a link to what it changed."""
    for each in reversed(made):
        if each.boxes:
            yield from extent_shape(
                extent_around(each.boxes),
                f"Revision {each.revision}",
                mark=Mark.UPDATED,
                address=f"/datasets/{name}/revisions/{each.revision}",
                number=str(each.revision),
            )


@router.post("/datasets/<name>/export")
def export_dataset(name: str) -> Response[str]:
    """Have the machine write a file: of a revision, or of the changes that made it."""
    request = current_request(router)

    def act() -> str:
        revision = _whole_number(request.field("revision"))
        since = revision - 1 if request.field("what") == "changes" else None
        asked = start_export(name, request.command_context(), revision=revision, since=since)
        return f"/datasets/{name}/exports/{asked.export_id}"

    return handle_form(act, lambda refusal: _dataset_page(request, name, refusal))


@router.get("/datasets/<name>/exports/<export_id>")
def show_export(name: str, export_id: str) -> Response[str]:
    """How far an export is; with the link to its file once it is ready."""
    request = current_request(router)
    context = request.query_context
    view = queries.export_result(name, export_id, context, request.site.machines)
    values = {"dataset": queries.dataset(name, context), "view": view}
    is_waiting = view.state is ExportState.EXPORTING
    return page("dataset_export.html", request, values, poll_s=_POLL_S if is_waiting else 0)


@router.get("/datasets/<name>/revisions/<revision>")
def show_revision(name: str, revision: str) -> Response[str]:
    """What a commit changed, with a map."""
    request = current_request(router)
    context = request.query_context
    made = queries.find_commit(name, _whole_number(revision), context)
    pagination = request.pagination("changes", name, revision)
    skip = pagination.start(request.query.get("cursor", ""), 0)
    found = queries.list_changes(
        name,
        context,
        since=made.revision - 1,
        until=made.revision,
        skip=skip,
        limit=_CHANGES_SHOWN,
    )
    shapes = [*_changed_shapes(found.changes)]
    values = {
        "dataset": queries.dataset(name, context),
        "commit": made,
        "changes": found.changes,
        "drawn": draw_map(shapes, "Map of the changes") if shapes else None,
        **page_links(request, pagination.next_cursor(found.skip if found.revision else None)),
    }
    return page("dataset_revision.html", request, values)


def _whole_number(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise NotFound(f"a revision is a whole number, not {text!r:.40}")
    return int(text)


def _changed_shapes(changes: Sequence[ListedChange]) -> Iterator[Shape]:
    """Outlines before, then the features as they are after, or were before they were deleted."""
    for change in changes:
        if change.kind is ChangeKind.UPDATE and "geometry" in change.properties:
            yield from _shape(change.before, Mark.BEFORE)
    for change in changes:
        yield from _shape(change.after or change.before, MARK_OF_CHANGE[change.kind])


def _shape(feature: Feature | None, mark: Mark) -> Iterator[Shape]:
    if feature is not None and feature.geometry is not None:
        yield Shape(feature.geometry, mark, feature.feature_id)


@router.get("/datasets/<name>/feature")
def show_feature(name: str) -> Response[str]:
    """One feature, by its id in the query, and what commits did to it."""
    request = current_request(router)
    context = request.query_context
    feature_id = request.query.get("id", "")
    pagination = request.pagination("history", name, feature_id)
    before = pagination.start(request.query.get("cursor", ""), None)
    made, following = queries.history(
        name, feature_id, context, before=before, limit=_HISTORY_SHOWN
    )
    try:
        found = queries.feature(name, feature_id, context)
    except NotFound:
        if not made:
            raise
        found = None  # it was deleted
    shown = found or next((each.before for each in made if each.before), None)
    shapes = [*_shape(shown, Mark.FEATURE if found else Mark.DELETED)]
    values = {
        "dataset": queries.dataset(name, context),
        "feature_id": feature_id,
        "feature": found,
        "properties": _texts(shown),
        "changes": [(each, _differing(each)) for each in made],
        "drawn": draw_map(shapes, "Map of the feature") if shapes else None,
        **page_links(request, pagination.next_cursor(following or None)),
    }
    return page("dataset_feature.html", request, values)


def _texts(feature: Feature | None) -> list[tuple[str, str]]:
    """The properties of a feature as names and texts."""
    properties = feature.properties if feature else {}
    return [(name, _text(value)) for name, value in sorted(properties.items())]


def _differing(change: CommittedChange) -> list[tuple[str, str, str]]:
    """The properties that differ: name, text before, text after; "" if there was no such one."""
    old: Any = change.before.properties if change.before else {}
    new: Any = change.after.properties if change.after else {}
    return [
        (name, _text(old[name]) if name in old else "", _text(new[name]) if name in new else "")
        for name in sorted({*old, *new})
        if not (name in old and name in new and is_same(old[name], new[name]))
    ]


def _text(value: Any) -> str:
    """A value as JSON, cut to a length that a table takes."""
    return cut(json.dumps(value, ensure_ascii=False), _VALUE_LENGTH)
