"""The links of responses: from a batch, job, schedule or campaign to what belongs to it."""

from urllib.parse import quote

from api.context import RequestContext
from jobyard.domain.activity import Subject
from jobyard.domain.arks import object_id_of
from jobyard.domain.edits.child import ChildJob
from jobyard.domain.edits.edit_job import EditJob
from jobyard.domain.ids import is_batch_id, origin_of

Links = dict[str, str]
_PATHS = {  # by the kind in the access table
    "batch": "batches/{}",
    "job": "jobs/{}",
    "schedule job": "jobs/{}",
    "task": "jobs/{}",
    "schedule": "schedules/{}",
    "calendar": "calendars/{}",
    "campaign": "campaigns/{}",
    "collection": "collections/{}",
    "hold": "holds/{}",
    "dataset": "datasets/{}",
    "edit": "edits/{}",
    "fixup": "edits/{}",
    "review": "edits/{}",
    "team": "teams/{}",
    "webhook": "webhooks/{}",
    "edit settings": "edit-settings/{}",
}


def batch_links(batch_id: str, request: RequestContext) -> Links:
    own = request.link(f"batches/{batch_id}")
    parts = ("jobs", "findings", "reports", "cost")
    return {"self": own, **{part: f"{own}/{part}" for part in parts}}


def operation_links(batch_id: str, operation_id: str, request: RequestContext) -> Links:
    """The links of an operation. `operation_id` is "" for a preview, which has no URL."""
    batch = request.link(f"batches/{batch_id}")
    own = {"self": f"{batch}/operations/{operation_id}"} if operation_id else {}
    return own | {"batch": batch}


def job_links(job_id: str, request: RequestContext) -> Links:
    origin_id = job_id.partition(".")[0]
    origin = origin_of(origin_id)
    origin_url = request.link(f"{origin.path}/{origin_id}")
    return {"self": request.link(f"jobs/{job_id}"), origin: origin_url}


def schedule_links(schedule_id: str, request: RequestContext) -> Links:
    own = request.link(f"schedules/{schedule_id}")
    parts = ("occurrences", "reports", "cost")
    return {"self": own, **{part: f"{own}/{part}" for part in parts}}


def campaign_links(campaign_id: str, request: RequestContext) -> Links:
    own = request.link(f"campaigns/{campaign_id}")
    return {"self": own, **{part: f"{own}/{part}" for part in ("tasks", "reports", "cost")}}


def edit_links(job: EditJob | ChildJob, request: RequestContext) -> Links:
    if isinstance(job, ChildJob):
        own = {"self": request.link(f"edits/{job.child_id}")}
        return own | {"edit": request.link(f"edits/{job.parent_id}")}
    own = {"self": request.link(f"edits/{job.edit_id}")}
    return own | {"dataset": request.link(f"datasets/{job.dataset}")}


def occurrence_links(schedule_id: str, job_id: str, request: RequestContext) -> Links:
    """The links of an occurrence. `job_id` is "" when it has no job."""
    job = {"job": request.link(f"jobs/{job_id}")} if job_id else {}
    return {"schedule": request.link(f"schedules/{schedule_id}")} | job


def collection_links(name: str, request: RequestContext) -> Links:
    return {
        "self": request.link(f"collections/{name}"),
        "batches": request.link(f"batches?collection={name}"),
    }


def cost_links(origin_id: str, request: RequestContext) -> Links:
    """The links of the cost of a batch, a schedule or a campaign."""
    origin = origin_of(origin_id)
    origin_url = request.link(f"{origin.path}/{origin_id}")
    return {"self": f"{origin_url}/cost", origin: origin_url}


def subject_links(subject: Subject, request: RequestContext) -> Links:
    """The link of what a person changed. What was deleted has one too; a dead letter has none."""
    # An operation on jobs has the id of their batch.
    is_of_many = subject.kind == "job" and is_batch_id(subject.subject_id)
    kind = "batch" if is_of_many else subject.kind
    link = _link_to(kind, subject.subject_id, request)
    return {"subject": link} if link else {}


def _link_to(kind: str, thing_id: str, request: RequestContext) -> str:
    """The link of an entity; "" for a kind without a path."""
    path = _PATHS.get(kind, "")
    return request.link(path.format(quote(thing_id, safe=""))) if path else ""


def object_links(ark: str, request: RequestContext) -> Links:
    """The link of an object."""
    return {"self": request.link(f"objects/{quote(object_id_of(ark), safe='')}")}


def match_links(kind: str, found_id: str, request: RequestContext) -> Links:
    """The link of what a search found."""
    if kind == "object":
        return object_links(found_id, request)
    return {"self": _link_to(kind, found_id, request)}
