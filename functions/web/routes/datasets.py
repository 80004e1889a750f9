"""Datasets: a list, loading one, one with its rules, revisions and exports, what a revision
changed, and a feature with its history."""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.api_gateway import Router

from gateway.errors import ValidationFailed
from jobyard.domain.datasets.changes import ChangeKind
from jobyard.domain.datasets.commit import Commit, CommittedChange
from jobyard.domain.datasets.dataset import TITLE_BYTES, check_name
from jobyard.domain.datasets.export import ExportState
from jobyard.domain.datasets.extent import extent_around
from jobyard.domain.datasets.feature import Feature, is_same
from jobyard.domain.datasets.geometry import DEFAULT_PRECISION, MAX_PRECISION
from jobyard.domain.datasets.load import UPLOAD_BYTES, LoadState
from jobyard.domain.errors import BadRequest, JobyardError, NotFound
from jobyard.domain.json_objects import RepeatedKey, object_of
from jobyard.services.access import authorize
from jobyard.services.datasets import commands
from jobyard.services.datasets.commands import start_export
from jobyard.services.queries import datasets as queries
from jobyard.services.queries import edit_details
from jobyard.services.queries.datasets import ListedChange
from web.batch_page import finding_rows
from web.dataset_check import check_features
from web.edit_map import background_shapes
from web.edit_page import storage_origins
from web.event_buttons import EventButton
from web.filters import cut
from web.forms import (
    handle_form,
    number_in,
    refusal_values,
    seen_version,
    status_of,
    version_to_send,
)
from web.pictures.map import MARK_OF_CHANGE, Mark, Shape, draw_map, extent_shape
from web.request import PageRequest, current_request, page_links
from web.responses import page

router = Router()  # type: ignore[no-untyped-call]

_PAGE_SIZE = 50
_COMMITS_SHOWN = 20
_CHANGES_SHOWN = 100  # in a table, and so on a map
_HISTORY_SHOWN = 10
_VALUE_LENGTH = 200
_POLL_S = 3  # of the page of a load or an export, until it has ended
_KEY_BYTES = 1024  # of a key of S3
_FILENAME_BYTES = 200
_CHECK_TIME_S = 10  # the gateway times out after 30 seconds
_LOAD_FIELDS = ("name", "title", "precision", "missing_is_null")


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
    values = {"datasets": found, "may_load": request.may("dataset", "load"), **links}
    return page("datasets.html", request, values)


@router.get("/datasets/new")
def new_dataset() -> Response[str]:
    """The form to choose a file; after it was sent, the form that says what to load from it."""
    return _new_page(current_request(router))


def _new_page(request: PageRequest, refusal: JobyardError | None = None) -> Response[str]:
    authorize(request.actor, "dataset", "load")
    key = request.query.get("key", "") or request.field("key_of_file")
    fields = {each: request.field(each) for each in _LOAD_FIELDS}
    if refusal is None:
        name = _name_from(PurePosixPath(key).name)
        fields |= {"name": name, "precision": str(DEFAULT_PRECISION)}
    values = {
        "key_of_file": key[:_KEY_BYTES],
        "filename": PurePosixPath(key).name,
        "fields": fields,
        "max_precision": MAX_PRECISION,
        "max_bytes": UPLOAD_BYTES,
        **refusal_values(request, refusal),
    }
    origins = storage_origins(request)
    status = status_of(refusal)
    return page("dataset_new.html", request, values, status=status, upload_origin=origins)


def _name_from(filename: str) -> str:
    """A name for the dataset of a file, such as counties for counties.geojson.gz."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", filename.partition(".")[0]).strip("-_")[:64].lower()


@router.post("/datasets/new")
def send_file() -> Response[str]:
    """The form that sends the chosen file to S3, which leads back with its key."""
    request = current_request(router)
    try:
        filename = PurePosixPath(request.field("file").replace("\\", "/")).name
        # S3 would replace "${filename}" by the name of the uploaded file.
        is_bad = filename in {"", ".."} or "${" in filename or not filename.isprintable()
        if is_bad or len(filename.encode(errors="replace")) > _FILENAME_BYTES:
            message = f"Choose a file whose name has up to {_FILENAME_BYTES} bytes and no ${{."
            raise ValidationFailed([("file", message)])
        back = {"success_action_redirect": f"{request.site.settings.url}/datasets/new"}
        _, form = commands.file_form(filename, request.command_context(), back)
    except ValidationFailed as refusal:
        return _new_page(request, refusal)
    values = {
        "list": {"label": "Datasets", "address": "/datasets"},
        "back": "/datasets/new",
        "form": form,
        "filename": filename,
    }
    return page("upload_send.html", request, values, upload_origin=storage_origins(request))


@router.post("/datasets/check")
def check_file() -> Response[str]:
    """What is wrong with a file of features. The page's script sends its beginning, compressed with
    gzip.
    """
    request = current_request(router)
    authorize(request.actor, "dataset", "load")
    is_cut = request.query.get("bytes") != request.query.get("size")
    clock = request.query_context.clock
    started = clock()
    checked = check_features(
        request.body, is_cut=is_cut, is_late=lambda: clock() - started > _CHECK_TIME_S
    )
    values = {"checked": checked, "findings": _finding_rows([*checked.findings])}
    return page("dataset_check.html", request, values)


def _finding_rows(findings: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Findings of a file as a page lists them, each with its line and its feature."""
    rows = finding_rows(findings, "The file")
    for row, each in zip(rows, findings, strict=True):
        if each.get("feature_id"):
            row["position"] += f", feature {cut(each['feature_id'], 40)}"
    return rows


@router.post("/datasets")
def load_dataset() -> Response[str]:
    """Have the machine load a dataset from a file that was sent, then show how far it is."""
    request = current_request(router)

    def act() -> str:
        name = request.field("name")
        precision = number_in(request.field("precision"))
        if not isinstance(precision, int):
            raise ValidationFailed([("precision", f"Give a number, 0 to {MAX_PRECISION}.")])
        check_name(name)
        new = commands.NewDataset(
            name,
            request.text("key_of_file", _KEY_BYTES),
            request.text("title", TITLE_BYTES),
            precision,
            request.field("missing_is_null") == "1",
        )
        asked = commands.start_load(new, request.command_context())
        return f"/datasets/{name}/loads/{asked.load_id}"

    return handle_form(act, lambda refusal: _new_page(request, refusal))


@router.get("/datasets/<name>/loads/<load_id>")
def show_load(name: str, load_id: str) -> Response[str]:
    """How far the load of a dataset is, with what is wrong with its file."""
    request = current_request(router)
    result = queries.load_result(name, load_id, request.query_context, request.site.machines)
    values = {
        "name": name,
        "result": result,
        "findings": _finding_rows([*map(dict, result.findings)]),
    }
    is_waiting = result.state is LoadState.LOADING
    return page("dataset_load.html", request, values, poll_s=_POLL_S if is_waiting else 0)


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
    view = edit_details.view_of(found, found.boxes, context)
    shapes = [*background_shapes(view), *_commit_shapes(name, made)]
    rules = json.dumps([dict(each) for each in found.rules], indent=2, ensure_ascii=False)
    is_edit = request.is_post_to(f"/datasets/{name}/edit")
    values = {
        "dataset": found,
        "rules": request.field("rules") if is_edit else rules,
        "stored_rules": rules,
        "title": request.field("title") if is_edit else found.title,
        "seen": version_to_send(request, found.version, refusal),
        "may_edit": request.may("dataset", "edit"),
        "deletion": _deletion(name) if request.may("dataset", "delete") else None,
        "commits": made,
        "drawn": draw_map(shapes, "Map of the dataset and its latest changes") if shapes else None,
        **page_links(request, pagination.next_cursor(following or None)),
        **refusal_values(request, refusal),
    }
    return page("dataset.html", request, values, status=status_of(refusal))


def _deletion(name: str) -> EventButton:
    return EventButton(
        name="delete",
        address=f"/datasets/{name}/delete",
        label="Delete",
        icon="trash-2",
        effect="Nobody sees the dataset any more, and its files are removed in one of the next "
        "nights. Refused while edit jobs of it are open.",
        is_dangerous=True,
    )


@router.post("/datasets/<name>/edit")
def edit_dataset(name: str) -> Response[str]:
    """Set the title and the rules of a dataset, unless somebody else did since they were seen."""
    request = current_request(router)

    def act() -> str:
        try:
            rules = json.loads(request.field("rules"), object_pairs_hook=object_of)
        except (ValueError, RecursionError, RepeatedKey) as error:
            raise BadRequest(f"rules: no JSON: {error}") from error
        if not isinstance(rules, list):
            raise BadRequest('rules: a list of rules, such as [{"rule": "geometry"}]')
        title = request.text("title", TITLE_BYTES)
        wanted = commands.DatasetEdit(title, rules, seen_version(request))
        commands.edit(name, wanted, request.command_context())
        return f"/datasets/{name}#rules"

    return handle_form(act, lambda refusal: _dataset_page(request, name, refusal))


@router.post("/datasets/<name>/delete")
def delete_dataset(name: str) -> Response[str]:
    """Delete a dataset of which no edit job is open."""
    request = current_request(router)

    def act() -> str:
        commands.delete(name, request.command_context())
        return "/datasets"

    return handle_form(act, lambda refusal: _dataset_page(request, name, refusal))


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
