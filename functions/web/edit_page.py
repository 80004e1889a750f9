"""What the pages of one edit job or child show."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from markupsafe import Markup

from jobyard.domain.datasets.changes import FeatureChange
from jobyard.domain.datasets.feature import GEOMETRY, Feature, Geometry
from jobyard.domain.datasets.geometry import positions
from jobyard.domain.edits.child import ChildJob
from jobyard.domain.edits.edit_job import EditJob, EditState
from jobyard.domain.edits.upload import Choice
from jobyard.domain.errors import Gone, JobyardError, NotFound
from jobyard.domain.plurals import plural
from jobyard.services.context import QueryContext
from jobyard.services.queries import edit_details
from jobyard.services.queries import edits as queries
from jobyard.services.queries.edit_details import ChildFindings
from jobyard.services.queries.edits import EditJobView
from web.edit_map import MAX_CHANGES, conflict_maps, job_map
from web.edit_words import (
    Job,
    address_of_job,
    buttons_of,
    form_links,
    id_of,
    is_conflict,
    metadata,
    not_possible,
    step_of,
    tile_of,
)
from web.event_buttons import EventButton
from web.filters import cut
from web.forms import refusal_values
from web.lazy import Lazy
from web.request import PageRequest

_DECISIONS = ("approve", "require_corrections", "discard")
_VALUE_LENGTH = 300  # of a property
_VALUES_SHOWN = 1_000  # of all features of a page
_FAILURES_SHOWN = 200
_MAX_CONFLICTS = 200  # that a page shows and decides
_TEAMS_WITH_MEMBERS = 8  # whose members are offered for an allocation


def page_values(
    view: EditJobView, tab: str, request: PageRequest, refusal: JobyardError | None = None
) -> dict[str, Any]:
    """The values of edit_layout.html. `tab` is the current one, "" for none."""
    job = view.job
    parent = parent_of(view, request)
    child = _open_child(view)
    return {
        **metadata(view),
        "view": view,
        "address": address_of_job(job),
        "parent": parent,
        "open_child": tile_of(EditJobView(child)) if child else None,
        "tabs_of_job": _tabs(view, tab, request),
        "buttons": buttons_of(view) + _copy_button(job, request),
        "form_links": form_links(view),
        "not_possible": not_possible(view),
        "may_see_planner": request.may("edit", "view"),
        **refusal_values(request, refusal),
    }


def _copy_button(job: Job, request: PageRequest) -> list[EventButton]:
    """The button that proposes another edit job like this one; none for a child."""
    if isinstance(job, ChildJob) or not request.may("edit", "propose"):
        return []
    effect = "Another proposal like this one, which you may change."
    address = f"{address_of_job(job)}/copy"
    return [EventButton("copy", address, "Copy", "copy", effect, is_at_once=True)]


def parent_of(view: EditJobView, request: PageRequest) -> EditJob | None:
    """The edit job of a child, and an edit job itself; None if the person may not see it."""
    if isinstance(view.job, EditJob):
        return view.job
    try:
        found = queries.edit_job(view.job.parent_id, request.query_context).job
    except (Gone, NotFound):
        return None
    return found if isinstance(found, EditJob) else None


def _open_child(view: EditJobView) -> ChildJob | None:
    if not isinstance(view.job, EditJob) or not view.job.open_child:
        return None
    return next((each for each in view.children if each.child_id == view.job.open_child), None)


def _tabs(view: EditJobView, tab: str, request: PageRequest) -> list[dict[str, Any]]:
    job = view.job
    address = address_of_job(job)
    stored = edit_details.change_set_of(job)
    tabs: list[dict[str, Any]] = [
        {"label": "Overview", "address": address, "is_current": tab == "overview"},
        {
            "label": "Changes",
            "address": f"{address}/changes",
            "count": stored.count if stored else None,
            "is_current": tab == "changes",
        },
    ]
    if is_conflict(job):
        tabs.append(
            {
                "label": "Conflicts",
                "address": f"{address}/conflicts",
                "is_current": tab == "conflicts",
            }
        )
    tabs.append(
        {"label": "Late uploads", "address": f"{address}/uploads", "is_current": tab == "uploads"}
    )
    if isinstance(job, EditJob) and request.may("edit", "view"):
        tabs.append({"label": "Cost", "address": f"{address}/cost", "is_current": tab == "cost"})
    if isinstance(job, EditJob) and request.may("edit", "view_log"):
        tabs.append(
            {"label": "Process log", "address": f"{address}/log", "is_current": tab == "log"}
        )
    return tabs


def overview_values(
    view: EditJobView, request: PageRequest, refusal: JobyardError | None = None
) -> dict[str, Any]:
    """The values of the page of one edit job or child."""
    job, context = view.job, request.query_context
    values = page_values(view, "overview", request, refusal)
    parent: EditJob | None = values["parent"]
    child = job if isinstance(job, ChildJob) else _open_child(view)
    dataset = edit_details.dataset_of(job)
    revision = dataset.head_version if dataset else 0
    versions = repr((id_of(job), job.version, child and (child.child_id, child.version)))
    found = Lazy(versions, lambda: edit_details.findings(child, context) if child else None)
    return {
        **values,
        "dataset": dataset,
        "rows": [_child_row(each) for each in reversed(view.children)],
        "earlier": job.earlier_children if isinstance(job, EditJob) else 0,
        "found": found,
        "findings": Lazy(f"findings {versions}", lambda: finding_values(found.value)),
        "drawn": Lazy(
            f"map {versions}",
            lambda: _map_of(job, child, parent, found.value, context) if parent else None,
        ),
        "forecast": Lazy(
            f"forecast {versions} {revision}",
            lambda: edit_details.forecast(job, context) if isinstance(job, EditJob) else None,
        ),
        "attachments": _attachment_rows(job, request),
        "allocation": _allocation(view, request),
        "is_review": isinstance(job, ChildJob) and job.failure_type.is_review,
        "decisions": [each for each in view.actions if each in _DECISIONS],
        "may_request": isinstance(job, EditJob)
        and job.state is EditState.PROPOSED
        and request.may("attachment", "request"),
    }


def _map_of(
    job: Job,
    child: ChildJob | None,
    parent: EditJob,
    found: ChildFindings | None,
    context: QueryContext,
) -> Any:
    """The map of a job. What was found is at the address of the `child` that is about it."""
    changes = edit_details.changes(job, context, limit=MAX_CHANGES).items
    address = address_of_job(child or job)
    return job_map(parent, changes, found, address, context)


def _child_row(child: ChildJob) -> dict[str, Any]:
    view = EditJobView(child)
    return {"tile": tile_of(view), "step": step_of(view), "comment": child.comment}


def _attachment_rows(job: Job, request: PageRequest) -> list[dict[str, Any]]:
    if not isinstance(job, EditJob):
        return []
    is_waiting = job.state is EditState.BLOCKED
    return [
        {
            "attachment": each,
            "address": f"{address_of_job(job)}/attachments/{each.index}",
            "may_download": bool(each.key) and request.may("attachment", "download"),
            "may_answer": each.is_open and is_waiting and request.may("attachment", "answer"),
            "may_resend": each.is_open and is_waiting and request.may("attachment", "resend"),
        }
        for each in job.attachments
    ]


def _allocation(view: EditJobView, request: PageRequest) -> dict[str, Any] | None:
    """What the form of an allocation offers; None if the person may not allocate now."""
    if "allocate" not in view.actions:
        return None
    context = request.query_context
    job = view.job
    if isinstance(job, ChildJob):
        team = queries.team(job.team, context) if job.team else None
        members = (team.reviewers if job.failure_type.is_review else team.workers) if team else ()
        return {"teams": [], "members": sorted({each.name for each in members}), "team": job.team}
    names = queries.list_teams(context, after="", limit=100).names
    people: set[str] = set()
    for name in names[:_TEAMS_WITH_MEMBERS]:
        people |= {each.name for each in queries.team(name, context).workers}
    return {"teams": [(each, each) for each in names], "members": sorted(people), "team": job.team}


def finding_values(found: ChildFindings | None) -> dict[str, Any] | None:
    """What is wrong, as lists of the page; None if the file was removed."""
    if found is None:
        return None
    report = found.report
    return {
        "failures": report.failures[:_FAILURES_SHOWN] if report else (),
        "inherited": report.inherited[:_FAILURES_SHOWN] if report else (),
        "failure_count": len(report.failures) if report else 0,
        "inherited_count": len(report.inherited) if report else 0,
        "more": report.more if report else 0,
        "skipped": report.skipped if report else (),
        "rules_version": report.rules_version if report else "",
        "conflicts": found.conflicts[:_FAILURES_SHOWN],
        "conflict_count": len(found.conflicts),
        "feedback": found.feedback,
        "reviewer": found.reviewer,
    }


def change_rows(changes: Iterable[FeatureChange], first: int = 1) -> list[dict[str, Any]]:
    """Changes as a page lists them, each with its values before and after."""
    changes = [*changes]
    return [
        {
            "number": number,
            "change": each,
            "kind": each.kind.value,
            "names": each.difference.names,
            **_values((each.before, each.after), each.difference.names, len(changes)),
        }
        for number, each in enumerate(changes, start=first)
    ]


def conflict_rows(found: ChildFindings | None) -> list[dict[str, Any]]:
    """The first conflicts, as a page lists them: with what both began with, mine and theirs."""
    rows = []
    conflicts = found.conflicts[:_MAX_CONFLICTS] if found else ()
    pairs = zip(conflicts, conflict_maps(conflicts), strict=True)
    for number, (each, maps) in enumerate(pairs, start=1):
        conflict = each.conflict
        rows.append(
            {
                "number": number,
                "feature_id": each.feature_id,
                "kind": conflict.document()["kind"],
                "names": conflict.document()["properties"],
                "may_renumber": Choice.RENUMBER in each.choices,
                "mine_deletes": each.mine is None,
                "theirs_deletes": each.theirs is None,
                **_values(
                    (each.base, each.mine, each.theirs),
                    conflict.document()["properties"],
                    len(conflicts),
                    maps,
                ),
            }
        )
    return rows


def _values(
    versions: Sequence[Feature | None],
    differing: Sequence[str],
    features: int,
    maps: Sequence[Markup | None] = (),
) -> dict[str, Any]:
    """The values of one of so many features of a page, and how many more it has. `maps` are of the
    geometries.
    """
    rows = version_rows(versions, differing)
    if maps:
        (places,) = (row for row in rows if row["name"] == GEOMETRY)
        cells = zip(places["cells"], maps, strict=True)
        places["cells"] = [{**cell, "picture": picture} for cell, picture in cells]
    shown = max(_VALUES_SHOWN // features, 1)
    return {"values": rows[:shown], "more_values": max(len(rows) - shown, 0)}


def version_rows(
    versions: Sequence[Feature | None], differing: Sequence[str]
) -> list[dict[str, Any]]:
    """The values of versions of a feature: a row for each property, and one for the geometry. What
    differs comes first.
    """
    names = dict.fromkeys(each for each in differing if each != GEOMETRY)
    for version in versions:
        names |= dict.fromkeys(version.properties if version else ())
    is_new = versions[0] is None or versions[-1] is None
    rows = [
        {
            "name": name,
            "differs": name in differing or is_new,
            "cells": [_cell(version, name) for version in versions],
        }
        for name in names
    ]
    rows.append(
        {
            "name": GEOMETRY,
            "differs": GEOMETRY in differing or is_new,
            "cells": [_geometry_cell(version) for version in versions],
        }
    )
    return sorted(rows, key=lambda row: not row["differs"])


def _cell(version: Feature | None, name: str) -> dict[str, Any]:
    """A value as a table shows it. `is_absent` if there is none."""
    if version is None:
        return {"text": "no feature", "is_absent": True}
    if name not in version.properties:
        return {"text": "missing", "is_absent": True}
    value = version.properties[name]
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return {"text": cut(text, _VALUE_LENGTH), "is_absent": False}


def _geometry_cell(version: Feature | None) -> dict[str, Any]:
    if version is None:
        return {"text": "no feature", "is_absent": True}
    return {"text": geometry_words(version.geometry), "is_absent": version.geometry is None}


def geometry_words(geometry: Geometry | None) -> str:
    """A geometry in words."""
    if geometry is None:
        return "no place"
    count = sum(1 for _ in positions(geometry))
    return f"{geometry['type']}, {plural(count, 'position')}"


def storage_origins(request: PageRequest) -> str:
    """The origins that forms of these pages are sent to, and that their answers lead to."""
    context = request.query_context
    s3, settings = context.s3, context.settings
    found: dict[str, None] = {}
    for bucket in (settings.intake_bucket, settings.work_bucket):
        parts = urlsplit(s3.generate_presigned_post(bucket, "edits/")["url"])
        found[f"{parts.scheme}://{parts.netloc}"] = None
    return " ".join(found)


def typed_choices(form: Mapping[str, Sequence[str]], ids: Sequence[str]) -> dict[str, str]:
    """The decisions of a form, by the ids of features. The fields are numbered from 1."""
    return {
        feature_id: values[-1]
        for number, feature_id in enumerate(ids, start=1)
        if (values := form.get(f"choice-{number}"))
    }
