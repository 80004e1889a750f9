"""A fake API with scripted answers, which records its requests."""

import base64
import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import httpx
from typer.testing import Result

URL = "https://api.example.org"
BATCH = "baaaaaaaaaaaaaaaaaaaa"
JOB = f"{BATCH}.0.2"
NOW = "2030-01-31T12:00:00+00:00"

Answer = httpx.Response | Exception
Run = Callable[..., Result]  # runs `jobyard` with these arguments
Respond = Callable[[httpx.Request], httpx.Response]


class FakeApi:
    """Answers by method and path. The last of several answers repeats."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self._answers: dict[str, list[Answer | Respond]] = defaultdict(list)
        self.paused: list[float] = []

    def answers(self, request: str, *answers: Answer | Respond | dict[str, Any]) -> None:
        """Answer `request`, as "GET /batches", with these in turn; a dict is its JSON."""
        self._answers[request] = [
            httpx.Response(200, json=each) if isinstance(each, dict) else each for each in answers
        ]

    def __call__(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.requests.append(request)
        known = self._answers[f"{request.method} {request.url.path.removeprefix('/api')}"]
        if not known:
            return problem(404, "there is no such thing")
        answer = known.pop(0) if len(known) > 1 else known[0]
        if isinstance(answer, Exception):
            raise answer
        if callable(answer):
            return answer(request)
        return httpx.Response(
            answer.status_code, headers=answer.headers, content=answer.content, request=request
        )

    def bodies(self, method: str) -> list[dict[str, Any]]:
        """The JSON documents that were sent with `method`."""
        return [json.loads(each.content) for each in self.requests if each.method == method]

    def calls(self) -> list[str]:
        """The requests, each like "GET /batches?state=failed"."""
        return [f"{each.method} {_path(each.url)}" for each in self.requests]


def _path(url: httpx.URL) -> str:
    query = f"?{url.query.decode()}" if url.query else ""
    return f"{url.path.removeprefix('/api')}{query}"


def problem(status: int, detail: str, **headers: str) -> httpx.Response:
    """A problem document, as the API returns it."""
    document = {"type": "about:blank", "title": "Refused", "status": status, "detail": detail}
    headers |= {"Content-Type": "application/problem+json"}
    return httpx.Response(status, content=json.dumps(document), headers=headers)


def token(name: str, role: str, expires: int = 4_000_000_000) -> str:
    """An access token with readable claims."""
    claims = {"username": name, "cognito:groups": [role], "exp": expires}
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"e30.{payload}.signature"


def batch(state: str = "processing", **changes: Any) -> dict[str, Any]:
    """A batch as the API shows it; `changes` may be counts, or other fields."""
    states = (
        *("scheduled", "held", "running", "paused", "stopping", "succeeded"),
        *("partially_succeeded", "failed", "cancelled", "replaced", "deleted"),
    )
    counts = {name: changes.pop(name, 0) for name in states}
    counts["total"] = sum(counts.values())
    return {
        "batch_id": BATCH,
        "collection": "maps",
        "state": state,
        "job_type": "deposit",
        "filename": "maps.checkm",
        "profile": "mrt-batch-manifest",
        "submitter": "depositor",
        "submitter_id": "52fbd64e-9749-47f9-869d-ab14df2960a0",
        "submitted_at": NOW,
        "started_at": NOW,
        "ended_at": None,
        "waiting_reason": "",
        "waiting_until": None,
        "counts": counts,
        "failure_groups": [],
        "failure_message": "",
        "notify": ["depositor@example.org"],
        "findings_count": 0,
        "duplicate_of": "",
        "note": "",
        "history": [entry("start", "pending", "processing")],
        "actions": ["cancel"],
        "links": {},
        **changes,
    }


def job(state: str = "failed", **changes: Any) -> dict[str, Any]:
    """A job as the API shows it."""
    return {
        "job_id": JOB,
        "batch_id": BATCH,
        "line": 8,
        "name": "coast.tif",
        "url": "https://files.example.org/coast.tif",
        "state": state,
        "label": state.capitalize(),
        "waiting_reason": "waits for a person to requeue or delete it",
        "waiting_until": None,
        "step": "estimating",
        "steps": [
            {
                "name": "estimating",
                "status": "failed",
                "started_at": NOW,
                "skipped_at": None,
                "completed_at": None,
            }
        ],
        "attempts": [
            {
                "number": 1,
                "times": 1,
                "started_at": NOW,
                "ended_at": NOW,
                "step": "estimating",
                "failure_code": "PAYLOAD_NOT_FOUND",
                "failure_message": "404 from files.example.org",
                "request_id": "8f5a6a2e-0000-4000-8000-000000000000",
            }
        ],
        "failure_code": "PAYLOAD_NOT_FOUND",
        "failure_message": "404 from files.example.org",
        "requeue_count": 0,
        "result": {},
        "history": [entry("fail", "running", "failed")],
        "actions": ["requeue"],
        "links": {},
        **changes,
    }


def entry(event: str, before: str, after: str) -> dict[str, Any]:
    """A history entry."""
    return {
        "event": event,
        "from": before,
        "to": after,
        "at": NOW,
        "actor": "machine",
        "actor_id": "",
        "reason": "",
        "cause": "main.p1.c0.t1",
    }


def report(**changes: Any) -> dict[str, Any]:
    """A report as the API shows it."""
    return {
        "seq": 1,
        "kind": "first",
        "created_at": NOW,
        "to": ["depositor@example.org"],
        "delivery": {"state": "sent", "updated_at": NOW, "message_id": "m-1", "error": ""},
        "counts": {"succeeded": 2, "failed": 1},
        "files": {
            "jobs_csv": f"{URL}/files/jobs.csv",
            "failures_csv": f"{URL}/files/failures.csv",
            "json": f"{URL}/files/report.json",
            "html": f"{URL}/files/report.html",
        },
        **changes,
    }


def pages(*found: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Pages of a list with cursors c1, c2 and so on between them."""
    for number, items in enumerate(found, start=1):
        yield {"items": items, "next_cursor": f"c{number}" if number < len(found) else None}
