"""The addresses of the pages of things, by their kind in the access table."""

from urllib.parse import quote

from jobyard.domain.arks import object_id_of

_PATHS = {
    "batch": "/batches/{}",
    "job": "/jobs/{}",
    "schedule job": "/jobs/{}",
    "schedule": "/schedules/{}",
    "collection": "/collections/{}",
    "campaign": "/campaigns/{}",
    "calendar": "/calendars/{}",
    "hold": "/holds#{}",
    "dead letter": "/system",
    "edit": "/edits/{}",
    "fixup": "/edits/{}",
    "review": "/edits/{}",
    "team": "/teams/{}",
    "webhook": "/webhooks/{}",
    "dataset": "/datasets/{}",
    "edit settings": "/datasets/{}/edit-types",
}


def address_of(kind: str, thing_id: str) -> str:
    """The address of an entity, an object by its ark; "" for a kind without a page."""
    if kind == "object":
        return f"/objects/{object_id_of(thing_id)}"
    return _PATHS.get(kind, "").format(quote(thing_id, safe=":/"))
