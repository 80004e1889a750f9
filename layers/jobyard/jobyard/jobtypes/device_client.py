"""The client of a device's API; docs/devices.md describes the API.

Each request may be repeated. A device that cannot be reached, is busy or refuses a request raises
`DeviceRefused`, whose `result` ends the step.
"""

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from jobyard.domain.errors import JobyardError
from jobyard.domain.jobs.failures import RETRYABLE, Failure
from jobyard.domain.jobs.job_type import Fail, Snooze, StepInput, StepResult
from jobyard.jobtypes.http_client import Answer, FetchRefused
from jobyard.jobtypes.step_context import DeviceContext

MAX_ANSWER_BYTES = 64 * 1024  # of JSON
_BUSY_S = 60.0  # to wait for a busy device that does not say how long
_OFFLINE = frozenset(
    {Failure.PAYLOAD_UNREACHABLE, Failure.PAYLOAD_TIMEOUT, Failure.PAYLOAD_TRUNCATED}
)
_QUOTED = 200  # characters of an error that a device sends


class DeviceRefused(JobyardError):
    """A request to a device did not succeed. `result` ends the step."""

    def __init__(self, result: Fail | Snooze) -> None:
        super().__init__(result.message)
        self.result = result


@dataclass(frozen=True)
class DeviceInfo:
    """What a device is. `free_bytes` is its free space, None if it does not say."""

    model: str
    version: str
    serial: str = ""
    free_bytes: int | None = None


@dataclass(frozen=True)
class UpdateStatus:
    """How far an update of a device is. `received` counts the bytes of its image.

    `state` is "receiving", "received", "applying", "applied" or "failed".
    """

    sha256: str
    received: int
    state: str
    message: str = ""


@dataclass(frozen=True)
class Device:
    """A device at a base URL, and the header with its credentials."""

    url: str
    send: Callable[..., Answer]
    remaining: Callable[[], float]
    authorization: str = ""

    @classmethod
    def of(cls, step_input: StepInput, context: DeviceContext) -> "Device":
        """The device that is the target of a task.

        Raises:
            DeviceRefused: the target has no address, or its secret cannot be used.
        """
        address, secret = step_input.entry.get("address", ""), step_input.entry.get("secret", "")
        if not address:
            raise _failed(Failure.BAD_PARAMETERS, "the target has no address")
        url = address if "://" in address else f"https://{address}"
        authorization = _authorization(secret, context) if secret else ""
        return cls(url.rstrip("/"), context.devices.send, context.remaining, authorization)

    def info(self) -> DeviceInfo:
        """What the device is."""
        found = self._json(self._request("GET", "/device"))
        free_bytes = found.get("free_bytes")
        return DeviceInfo(
            _text(found, "model"),
            _text(found, "version"),
            str(found.get("serial", "")),
            free_bytes if isinstance(free_bytes, int) else None,
        )

    def update(self) -> UpdateStatus | None:
        """The update that the device has received, or a part of it; None if it has none."""
        answer = self._request("GET", "/update", allowed=(404,))
        return None if answer.status == 404 else self._update(answer)

    def put(self, sha256: str, block: bytes, start: int, size: int) -> UpdateStatus:
        """Send bytes of an image of `size` bytes, from `start` on. Returns what the device has
        then, which is not this block if an earlier one is missing.

        A device that refuses the whole for its digest has dropped it, so a retry sends it again.
        """
        digest = base64.b64encode(bytes.fromhex(sha256)).decode()
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Range": f"bytes {start}-{start + len(block) - 1}/{size}",
            "Repr-Digest": f"sha-256=:{digest}:",
        }
        is_last = start + len(block) == size
        allowed = (409, 422) if is_last else (409,)
        answer = self._request("PUT", "/update", headers=headers, body=block, allowed=allowed)
        if answer.status == 422:
            reason = f"the device received another image than was sent{_quoted(answer.body)}"
            raise DeviceRefused(Fail(Failure.DEVICE_ERROR, reason, retryable=True))
        return self._update(answer)

    def apply(self, sha256: str) -> None:
        """Ask the device to apply the image that it has received."""
        body = json.dumps({"sha256": sha256}).encode()
        headers = {"Content-Type": "application/json"}
        self._request("POST", "/update/apply", headers=headers, body=body)

    def _request(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        allowed: tuple[int, ...] = (),
    ) -> Answer:
        fields = {**(headers or {}), "Accept": "application/json"}
        if self.authorization:
            fields["Authorization"] = self.authorization
        try:
            answer: Answer = self.send(
                method,
                self.url + path,
                self.remaining,
                headers=fields,
                body=body,
                max_bytes=MAX_ANSWER_BYTES,
            )
        except FetchRefused as refusal:
            is_offline = refusal.code in _OFFLINE
            code = Failure.DEVICE_OFFLINE if is_offline else refusal.code
            raise DeviceRefused(Fail(code, refusal.message, code in RETRYABLE)) from refusal
        if 200 <= answer.status < 300 or answer.status in allowed:
            return answer
        raise DeviceRefused(_refusal(answer, f"{method} {path}"))

    def _json(self, answer: Answer) -> Mapping[str, Any]:
        try:
            found = json.loads(answer.body)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise _failed(Failure.DEVICE_ERROR, "the device's answer is not a JSON object")
        return found

    def _update(self, answer: Answer) -> UpdateStatus:
        found = self._json(answer)
        received = found.get("received")
        if not isinstance(received, int) or isinstance(received, bool) or received < 0:
            raise _failed(Failure.DEVICE_ERROR, "the device's answer has no number received")
        return UpdateStatus(
            _text(found, "sha256").lower(),
            received,
            _text(found, "state"),
            str(found.get("message", ""))[:_QUOTED],
        )


def _text(found: Mapping[str, Any], name: str) -> str:
    value = found.get(name)
    if not isinstance(value, str) or not value:
        raise _failed(Failure.DEVICE_ERROR, f"the device's answer has no text {name}")
    return value[:_QUOTED]


def _authorization(secret: str, context: DeviceContext) -> str:
    """The header with the credentials in a secret: a `token`, or a `username` and `password`."""
    found = context.credentials(secret)
    match found:
        case {"token": str(token)} if token:
            return f"Bearer {token}"
        case {"username": str(username), "password": str(password)}:
            return f"Basic {base64.b64encode(f'{username}:{password}'.encode()).decode()}"
        case None:
            raise _failed(Failure.BAD_PARAMETERS, f"there is no secret {secret} that may be used")
    reason = "it needs a token, or a username and a password"
    raise _failed(Failure.BAD_PARAMETERS, f"the secret {secret} has no credentials: {reason}")


def _refusal(answer: Answer, request: str) -> Fail | Snooze:
    """What an answer means that is no success."""
    said = f"the device answered {request} with {answer.status}{_quoted(answer.body)}"
    if answer.status == 429 or (answer.status == 503 and answer.retry_after is not None):
        wait_s = _BUSY_S if answer.retry_after is None else answer.retry_after
        return Snooze(wait_s, said, exhausted_code=Failure.DEVICE_BUSY)
    if answer.status == 503:
        return Fail(Failure.DEVICE_BUSY, said, retryable=True)
    if answer.status in {401, 403}:
        return Fail(Failure.DEVICE_FORBIDDEN, f"{said}: check the credentials in its secret")
    if answer.status == 422:
        return Fail(Failure.INCOMPATIBLE, said)
    return Fail(Failure.DEVICE_ERROR, said, retryable=answer.status >= 500)


def _quoted(body: bytes) -> str:
    """The `message` in an error of a device, to add to a sentence; "" if it has none."""
    try:
        message = json.loads(body)["message"]
    except (ValueError, TypeError, KeyError):
        return ""
    return f" ({message[:_QUOTED]})" if isinstance(message, str) and message else ""


def _failed(code: Failure, message: str) -> DeviceRefused:
    return DeviceRefused(Fail(code, message, code in RETRYABLE))


def or_refusal(
    step: Callable[[StepInput, DeviceContext], StepResult],
) -> Callable[[StepInput, DeviceContext], StepResult]:
    """The step, which ends with the `result` if a request to its device is refused."""

    def run(step_input: StepInput, context: DeviceContext) -> StepResult:
        try:
            return step(step_input, context)
        except DeviceRefused as refused:
            return refused.result

    return run
