"""The form of an edit job: its fields as text, and the proposal that they describe."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from gateway.errors import ValidationFailed
from jobyard.domain.datasets.extent import Extent, parse_extent
from jobyard.domain.edits.edit_job import EditJob
from jobyard.domain.edits.work import Priority
from jobyard.domain.errors import BadRequest
from jobyard.services.edits.proposals import AttachmentRequest, Proposal, ProposalEdit
from web.forms import local_time
from web.request import PageRequest

SIDES = ("west", "south", "east", "north")
KINDS = (("box", "A box"), ("polygon", "A polygon"), ("features", "Features"))
QUARANTINE = (("", "As its type says"), ("yes", "Review it"), ("no", "Do not review it"))
ATTACHMENT_ROWS = 3  # of the form; more are requested on the page of the job
MAX_SELECTED = 2_000  # ids of features that are typed
_EXTENT_FIELDS = ("kind", *SIDES, "polygon", "features", "edit_type", "quarantine")


def empty_fields() -> dict[str, str]:
    """The fields of a new edit job."""
    return {
        "name": "",
        "edit_type": "",
        "priority": "normal",
        "buffer": "",
        "planned_start": "",
        "planned_end": "",
        "quarantine": "",
        "kind": "box",
        **dict.fromkeys(SIDES, ""),
        "polygon": "",
        "features": "",
        **{
            f"{field}_{row}": ""
            for row in range(ATTACHMENT_ROWS)
            for field in ("custodian", "email", "description")
        },
    }


def fields_of(job: EditJob, zone: ZoneInfo) -> dict[str, str]:
    """The fields of an edit job, with times in `zone`."""
    extent = job.extent
    kind = "features" if extent.feature_ids else "polygon" if extent.polygon else "box"
    box = extent.document().get("box", [""] * 4)
    return empty_fields() | {
        "name": job.name,
        "edit_type": job.edit_type,
        "priority": job.priority.value,
        "buffer": f"{job.buffer:g}" if job.buffer else "",
        "planned_start": _time(job.planned_start, zone),
        "planned_end": _time(job.planned_end, zone),
        "quarantine": {None: "", True: "yes", False: "no"}[job.quarantine],
        "kind": kind,
        **{side: str(value) for side, value in zip(SIDES, box, strict=True)},
        "polygon": "\n".join(f"{x} {y}" for x, y in extent.polygon),
        "features": "\n".join(extent.feature_ids),
    }


def _time(at: datetime | None, zone: ZoneInfo) -> str:
    return f"{at.astimezone(zone):%Y-%m-%dT%H:%M}" if at else ""


def typed_fields(request: PageRequest, before: Mapping[str, str]) -> dict[str, str]:
    """The fields as they were typed; those that the request lacks are as `before`."""
    return {
        name: request.field(name) if name in request.form else text for name, text in before.items()
    }


def proposal_of(dataset: str, request: PageRequest) -> Proposal:
    """The proposal that a form describes.

    Raises:
        ValidationFailed, BadRequest: a field is wrong; the message says which, and what is allowed.
    """
    return Proposal(
        dataset=dataset,
        extent=_extent_of(request),
        attachments=tuple(_attachments_of(request)),
        **_plan_of(request),
        edit_type=request.field("edit_type"),
        quarantine=_quarantine_of(request),
    )


def changes_of(request: PageRequest, *, is_proposed: bool) -> ProposalEdit:
    """The changes that a form describes. The extent, the type and the quarantine change only while
    the job is proposed.

    Raises:
        ValidationFailed, BadRequest: as for `proposal_of`.
    """
    fields = _plan_of(request)
    if is_proposed:
        fields |= {
            "extent": _extent_of(request),
            "edit_type": request.field("edit_type"),
            "quarantine": _quarantine_of(request),
        }
    return ProposalEdit(fields)


def _plan_of(request: PageRequest) -> dict[str, Any]:
    return {
        "name": request.field("name"),
        "priority": Priority.HIGH if request.field("priority") == "high" else Priority.NORMAL,
        "buffer": _number(request, "buffer") or 0.0,
        "planned_start": local_time(request, "planned_start"),
        "planned_end": local_time(request, "planned_end"),
    }


def _quarantine_of(request: PageRequest) -> bool | None:
    return {"yes": True, "no": False}.get(request.field("quarantine"))


def _number(request: PageRequest, name: str) -> float | None:
    text = request.field(name)
    if not text:
        return None
    try:
        return float(text)
    except ValueError:
        message = f"Give the {name} in degrees, such as -122.25."
        raise ValidationFailed([(name, message)]) from None


def _extent_of(request: PageRequest) -> Extent:
    kind = request.field("kind")
    if kind == "polygon":
        return parse_extent({"polygon": _vertices(request.field("polygon"))})
    if kind == "features":
        ids = [each.strip() for each in request.field("features").splitlines() if each.strip()]
        if not ids:
            raise ValidationFailed([("features", "Give the id of a feature in each line.")])
        if len(ids) > MAX_SELECTED:
            message = f"Give up to {MAX_SELECTED:,} ids, or draw an area."
            raise ValidationFailed([("features", message)])
        return parse_extent({"features": ids})
    sides = [_number(request, side) for side in SIDES]
    missing = [side for side, value in zip(SIDES, sides, strict=True) if value is None]
    if missing:
        message = f"Draw a box on the map, or give its {', '.join(missing)}."
        raise ValidationFailed([(missing[0], message)])
    return parse_extent({"box": sides})


def _vertices(text: str) -> list[list[float]]:
    vertices = []
    for number, line in enumerate(filter(str.strip, text.splitlines()), start=1):
        try:
            x, y = line.replace(",", " ").split()
            vertices.append([float(x), float(y)])
        except ValueError:
            message = f"Vertex {number}: give a longitude and a latitude, such as -122.25 37.8."
            raise ValidationFailed([("polygon", message)]) from None
    return vertices


def _attachments_of(request: PageRequest) -> list[AttachmentRequest]:
    found = []
    for row in range(ATTACHMENT_ROWS):
        custodian, email, description = (
            request.field(f"{field}_{row}") for field in ("custodian", "email", "description")
        )
        if custodian or email or description:
            found.append(AttachmentRequest(custodian, email, description))
    return found


def errors_of(refusal: Exception | None) -> dict[str, str]:
    """What is wrong, by the names of fields. A message that begins with the name of a field is that
    field's.
    """
    if isinstance(refusal, ValidationFailed):
        return dict(refusal.errors)
    if isinstance(refusal, BadRequest):
        name, separator, text = str(refusal).partition(": ")
        if separator and name in {*empty_fields(), "type"}:
            return {"edit_type" if name == "type" else name: text}
    return {}
