"""A client of Jobyard's API: submits a manifest, waits for the batch and lists its jobs.

It needs only httpx. Copy what you need. README.md explains each part.
"""

import argparse
import os
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx

TRIES = 5
ENDED = {"completed", "failed", "cancelled", "deleted"}


class Problem(Exception):
    """The API refused a request. `type` is for programs, the message for people."""

    def __init__(self, status: int, document: dict[str, Any]) -> None:
        super().__init__(document.get("detail") or document.get("message") or f"HTTP {status}")
        self.status = status
        self.type = str(document.get("type", "")).rpartition("#")[2]
        self.document = document


class Client:
    """The API at `url`. `token` returns an access token; it is called again after a 401."""

    def __init__(
        self,
        url: str,
        token: Callable[[], str],
        http: httpx.Client | None = None,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._url = url.rstrip("/")
        self._new_token = token
        self._token = ""
        self._http = http or httpx.Client(timeout=35)
        self._pause = pause

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def get(self, path: str, **query: Any) -> Any:
        """GET a document."""
        return self._request("GET", path, params=query).json()

    def post(self, path: str, body: dict[str, Any], key: str) -> Any:
        """POST a change. However often it is sent with the same `key`, it is made once."""
        return self._request("POST", path, json=body, headers={"Idempotency-Key": key}).json()

    def items(self, path: str, **query: Any) -> Iterator[dict[str, Any]]:
        """All items of a list, following the cursor from page to page."""
        cursor: str | None = ""
        while cursor is not None:
            page = self.get(path, **query, **({"cursor": cursor} if cursor else {}))
            yield from page["items"]
            cursor = page["next_cursor"]

    def submit(self, manifest: bytes, filename: str, collection: str, key: str = "") -> str:
        """Submit a manifest and upload it. Returns the batch id.

        `key` is the idempotency key: use an id of your own system, or none for a random one.
        """
        body = {"collection": collection, "filename": filename}
        submitted = self.post("/batches", body, key or str(uuid.uuid4()))
        upload = submitted["upload"]
        # A form for S3, valid for one key and 15 minutes. It needs no token, and is not retried:
        # two uploads would be two versions of the manifest.
        answer = self._http.post(
            upload["url"], data=upload["fields"], files={"file": (filename, manifest)}
        )
        answer.raise_for_status()
        return str(submitted["batch_id"])

    def wait(self, batch_id: str, every_s: float = 1.0) -> dict[str, Any]:
        """Poll a batch until it has ended. With an ETag, a response without changes is empty."""
        batch: dict[str, Any] = {}
        etag = ""
        while True:
            headers = {"If-None-Match": etag} if etag else {}
            answer = self._request("GET", f"/batches/{batch_id}", headers=headers)
            if answer.status_code != httpx.codes.NOT_MODIFIED:
                batch, etag = answer.json(), answer.headers["ETag"]
            if batch["state"] in ENDED:
                return batch
            self._pause(every_s)

    def _request(
        self, method: str, path: str, headers: dict[str, str] | None = None, **content: Any
    ) -> httpx.Response:
        """Send a request. Retries connection errors, 429 and server errors.

        Raises:
            Problem: the API refused the request, or still fails after the last try.
        """
        for attempt in range(1, TRIES + 1):
            authorization = {"Authorization": f"Bearer {self._current_token()}"}
            try:
                answer = self._http.request(
                    method,
                    f"{self._url}/api{path}",
                    headers={**(headers or {}), **authorization},
                    **content,
                )
            except httpx.TransportError:
                if attempt == TRIES:
                    raise
                self._pause(2.0**attempt / 4)
                continue
            if answer.status_code == httpx.codes.UNAUTHORIZED and attempt == 1:
                self._token = ""  # it has expired
                continue
            busy = answer.status_code == httpx.codes.TOO_MANY_REQUESTS or answer.is_server_error
            if not busy or attempt == TRIES:
                break
            self._pause(float(answer.headers.get("Retry-After", 2.0**attempt / 4)))
        if answer.is_error:
            raise Problem(answer.status_code, _json(answer))
        return answer

    def _current_token(self) -> str:
        self._token = self._token or self._new_token()
        return self._token


def _json(answer: httpx.Response) -> dict[str, Any]:
    try:
        document = answer.json()
    except ValueError:
        return {}  # from a proxy or the gateway
    return document if isinstance(document, dict) else {}


def sign_in(cognito_url: str, client_id: str, username: str, password: str) -> str:
    """An access token from Cognito. The request needs no AWS credentials and no AWS SDK.

    `cognito_url` is https://cognito-idp.REGION.amazonaws.com; on the local stack it is the AWS
    endpoint. `client_id` is the stack's output UserPoolClient.
    """
    answer = httpx.post(
        cognito_url,
        headers={
            "Content-Type": "application/x-amz-json-1.1",
            "X-Amz-Target": "AWSCognitoIdentityProviderService.InitiateAuth",
        },
        json={
            "ClientId": client_id,
            "AuthFlow": "USER_PASSWORD_AUTH",
            "AuthParameters": {"USERNAME": username, "PASSWORD": password},
        },
    )
    answer.raise_for_status()
    return str(answer.json()["AuthenticationResult"]["AccessToken"])


def main(arguments: list[str]) -> int:
    """Submit a manifest and print the result. Returns 0 if the batch completed."""
    parser = argparse.ArgumentParser(description="Submit a manifest to Jobyard and wait for it.")
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--collection", default="demo")
    parser.add_argument("--key", default="", help="idempotency key  [default: a random one]")
    given = parser.parse_args(arguments)
    client = Client(os.environ["JOBYARD_API"], lambda: os.environ["JOBYARD_TOKEN"])
    try:
        batch_id = client.submit(
            given.manifest.read_bytes(), given.manifest.name, given.collection, given.key
        )
        print(f"batch {batch_id}")
        batch = client.wait(batch_id)
        for job in client.items(f"/batches/{batch_id}/jobs"):
            print(f"{job['job_id']} {job['state']}: {job['name']} {job.get('failure_code') or ''}")
        print(f"{batch['state']}: {batch['counts']}")
    except Problem as problem:
        print(f"refused ({problem.type}): {problem}", file=sys.stderr)
        return 1
    finally:
        client.close()
    return 0 if batch["state"] == "completed" else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
