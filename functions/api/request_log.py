"""The log line of a request."""

from collections.abc import Mapping
from typing import Any

from api.auth import claims_of
from jobyard.domain.ids import origin_of


def log_fields(event: Mapping[str, Any], location: str) -> dict[str, Any]:
    """The fields of a request's log line: actor, method, path, and the ids of its batch or job.

    `location` is the URL of what the request created; "" if it created nothing.
    """
    context = event["requestContext"]
    claims = claims_of(event)
    path = f"/{location}".rpartition("/api/")[2] if location else event["rawPath"]
    noun, _, rest = path.removeprefix("/api/").partition("/")
    name = rest.partition("/")[0]
    if noun == "jobs":
        ids = {"origin_id": name.partition(".")[0], "job_id": name}
    else:
        ids = {"origin_id": name if noun == origin_of(name).path else ""}
    return {
        "request_id": context["requestId"],
        "method": context["http"]["method"],
        "path": event["rawPath"],
        "actor": claims.get("username", claims.get("client_id", "")),
        "sub": claims.get("sub", ""),
        **{field: value for field, value in ids.items() if value},
    }
