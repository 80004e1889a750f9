"""HTTP client of the API: JSON documents in and out, problems as ApiError, safe retries.

Every change carries an Idempotency-Key. A retry after a broken connection or a server error sends
the same key, so the change is made once.
"""

import re
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

import httpx

from jobyard.domain.errors import JobyardError

Document = dict[str, Any]  # a JSON document of the API, as docs/api.md names its fields

MAX_TRIES = 5
FIRST_DELAY_S = 0.25
LONGEST_DELAY_S = 10.0
TIMEOUT = httpx.Timeout(35.0, connect=5.0)  # the gateway gives up after 30 s: aws.md, 59
PAGE_SIZE = 100


class ApiError(JobyardError):
    """The API answered with an error. `problem` is its RFC 9457 document, {} if there is none."""

    def __init__(self, message: str, status: int, problem: Document) -> None:
        super().__init__(message)
        self.status = status
        self.problem = problem


class ApiUnreachable(JobyardError):
    """The API does not answer."""


class UploadUncertain(JobyardError):
    """The upload was sent, but its success is unknown."""


# Paths of fields in the API's messages. The user typed options, so they are removed.
_BODY_FIELD = re.compile(r"(^|; )body\.(?:rule\.)?(?=[\w.\[\]]+: )")

# Errors after which the server may have received the whole request.
_MAYBE_DELIVERED = (httpx.ReadTimeout, httpx.ReadError, httpx.RemoteProtocolError)


class TokenSource(Protocol):
    """Supplies access tokens."""

    def token(self) -> str:
        """A valid access token."""

    def renew(self) -> str:
        """A new access token, because the API rejected the last one."""


@dataclass(frozen=True)
class VersionedDocument:
    """A document and its ETag. `document` is None if it has not changed."""

    document: Document | None
    etag: str


class ApiClient:
    """A client of one stack's API for one user.

    `who` describes the user, for the message of a 403. `transport` is the network and `pause` waits
    between retries; tests replace both.
    """

    def __init__(
        self,
        url: str,
        bearer: TokenSource,
        *,
        who: str = "",
        transport: httpx.BaseTransport | None = None,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._url = url
        self._bearer = bearer
        self._who = who
        self._pause = pause
        # A proxy cannot reach the loopback address of this machine.
        self._http = httpx.Client(
            transport=transport, mounts={"all://127.0.0.1": transport}, timeout=TIMEOUT
        )

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def get(self, path: str, **query: Any) -> Document:
        """GET a document. Empty `query` parameters are left out.

        Raises:
            ApiError, ApiUnreachable: like all methods of this class.
        """
        return _document(self._request("GET", path, query=query))

    def get_if_changed(self, path: str, etag: str = "") -> VersionedDocument:
        """GET a document if it has changed since `etag`."""
        headers = {"If-None-Match": etag} if etag else {}
        response = self._request("GET", path, headers=headers)
        if response.status_code == httpx.codes.NOT_MODIFIED:
            return VersionedDocument(None, etag)
        return VersionedDocument(_document(response), response.headers.get("ETag", ""))

    def list_items(
        self, path: str, limit: int | None = None, *, page_size: int = PAGE_SIZE, **query: Any
    ) -> Document:
        """GET a list, following its pages of up to `page_size` items up to `limit` items.

        `next_cursor` of the result continues the list; None means that it is complete. `unknown`
        are those that cannot be read, of all pages, if the list has such a field.
        """
        items: list[Document] = []
        unknown: list[Document] = []
        cursor: str | None = query.pop("cursor", None)
        while True:
            wanted = page_size if limit is None else min(page_size, limit - len(items))
            page = self.get(path, **query, cursor=cursor, limit=wanted)
            items += page["items"]
            unknown += page.get("unknown", ())
            cursor = page.get("next_cursor")
            if not cursor or (limit is not None and len(items) >= limit):
                more = {"unknown": unknown} if "unknown" in page else {}
                return {**page, "items": items, **more, "next_cursor": cursor}

    def parts(self, path: str, **query: Any) -> Iterator[str]:
        """GET a text, part by part: each names the next one in its header `Link`."""
        cursor: str | None = None
        while True:
            response = self._request("GET", path, query={**query, "cursor": cursor})
            yield response.text
            following = response.links.get("next")
            if following is None:
                return
            cursor = httpx.URL(following["url"]).params["cursor"]

    def post(self, path: str, body: Document) -> Document:
        """POST a document."""
        return _document(self._request("POST", path, body=body))

    def put(self, path: str, body: Document) -> Document:
        """PUT a document."""
        return _document(self._request("PUT", path, body=body))

    def patch(self, path: str, body: Document) -> Document:
        """PATCH a document."""
        return _document(self._request("PATCH", path, body=body))

    def delete(self, path: str, **query: Any) -> Document:
        """DELETE a resource."""
        return _document(self._request("DELETE", path, query=query))

    def start_delete(self, path: str, **query: Any) -> tuple[Document, bool]:
        """DELETE a resource. The second value is True if the deletion continues (202)."""
        response = self._request("DELETE", path, query=query)
        return _document(response), response.status_code == httpx.codes.ACCEPTED

    def upload(self, upload: Document, content: IO[bytes], *, is_repeatable: bool = False) -> None:
        """Upload content with the presigned form that the API returned.

        Raises:
            UploadUncertain: everything was sent, but no response came. Unless it `is_repeatable`,
                it is not sent again, because S3 might count it as two manifests.
        """

        def build() -> httpx.Request:
            content.seek(0)
            form = {"file": ("manifest", content)}  # the file's own name may not be UTF-8
            return self._http.build_request(
                "POST", upload["url"], data=upload["fields"], files=form
            )

        try:
            response = self._send(build, not_retried=() if is_repeatable else _MAYBE_DELIVERED)
        except _MAYBE_DELIVERED as error:
            raise UploadUncertain(
                f"it is not known whether the manifest arrived ({type(error).__name__}); "
                "check the batch before you submit it again"
            ) from error
        if response.is_error:
            raise ApiError(_s3_error(response), response.status_code, {})

    def download(self, url: str, target: Path) -> None:
        """Download a presigned link of the API to `target`."""
        try:
            with self._http.stream("GET", url) as response:
                if response.is_error:
                    response.read()
                    raise ApiError(_s3_error(response), response.status_code, {})
                with target.open("wb") as file:
                    for block in response.iter_bytes():
                        file.write(block)
        except httpx.TransportError as error:
            raise ApiUnreachable(
                f"{target.name} could not be downloaded ({type(error).__name__})"
            ) from error

    def _request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Document | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        params = {name: value for name, value in (query or {}).items() if value not in (None, "")}
        sent = dict(headers or {})
        if method != "GET":
            sent["Idempotency-Key"] = str(uuid.uuid4())
        token = self._bearer.token()

        def build() -> httpx.Request:
            return self._http.build_request(
                method,
                f"{self._url}/api{path}",
                params=params,
                json=body,
                headers={**sent, "Authorization": f"Bearer {token}"},
            )

        response = self._send(build)
        if response.status_code == httpx.codes.UNAUTHORIZED:
            token = self._bearer.renew()
            response = self._send(build)
        if response.is_error:
            raise _error_of(response, self._who)
        return response

    def _send(
        self,
        build: Callable[[], httpx.Request],
        not_retried: tuple[type[httpx.TransportError], ...] = (),
    ) -> httpx.Response:
        """Send a request and retry it while the connection fails or the server is unavailable.

        `build` makes a new request each time. Errors in `not_retried` are raised at once.
        """
        for pause_s in _delays():
            try:
                response = self._http.send(build())
            except not_retried:
                raise
            except httpx.TransportError:
                self._pause(pause_s)
                continue
            if not _is_retryable(response):
                return response
            self._pause(min(max(pause_s, _retry_after(response)), LONGEST_DELAY_S))
        try:
            return self._http.send(build())
        except not_retried:
            raise
        except httpx.TransportError as error:
            host = httpx.URL(self._url).netloc.decode()
            raise ApiUnreachable(
                f"{host} does not answer ({type(error).__name__}), tried {MAX_TRIES} times"
            ) from error


def _delays() -> Iterator[float]:
    """Seconds to wait after each try except the last."""
    for number in range(MAX_TRIES - 1):
        yield FIRST_DELAY_S * 3**number


def _is_retryable(response: httpx.Response) -> bool:
    """Whether a retry may help: throttled, a server error, or the first request still runs."""
    is_refusal = "problem+json" in response.headers.get("Content-Type", "")  # such as of a quota
    throttled = response.status_code == httpx.codes.TOO_MANY_REQUESTS and not is_refusal
    in_progress = response.status_code == httpx.codes.CONFLICT and "Retry-After" in response.headers
    return throttled or in_progress or response.is_server_error


def _retry_after(response: httpx.Response) -> float:
    """Seconds in Retry-After; 0 if it is missing or a date."""
    seconds = response.headers.get("Retry-After", "")
    return float(seconds) if seconds.isdecimal() else 0.0


def _document(response: httpx.Response) -> Document:
    try:
        document = response.json() if response.content else {}
    except ValueError:
        document = None
    if not isinstance(document, dict):
        where = response.request.url.copy_with(query=None)
        raise ApiError(
            f"{where} returned no JSON document: is this Jobyard's API?", response.status_code, {}
        )
    return document


def _error_of(response: httpx.Response, who: str) -> ApiError:
    try:
        problem = response.json()
    except ValueError:
        problem = None
    if not isinstance(problem, dict):
        problem = {}
    message = problem.get("detail") or problem.get("title") or problem.get("message")
    if not message:
        message = f"HTTP {response.status_code}: {response.reason_phrase or 'no reason given'}"
    message = _BODY_FIELD.sub(r"\1", str(message))
    if response.status_code == httpx.codes.FORBIDDEN and who:
        message = f"{message}; {who}"
    if response.is_server_error and "request_id" in problem:
        message = (
            f"{message} (request {problem['request_id']})"  # an operator searches the logs for it
        )
    return ApiError(message, response.status_code, problem)


def _s3_error(response: httpx.Response) -> str:
    """The message of an S3 error document."""
    code = _between(response.text, "<Code>", "</Code>")
    message = _between(response.text, "<Message>", "</Message>")
    if code == "EntityTooLarge":
        return "the file is larger than this stack accepts"
    return f"S3 answered {response.status_code} {code}: {message}"


def _between(text: str, before: str, after: str) -> str:
    return text.partition(before)[2].partition(after)[0]
