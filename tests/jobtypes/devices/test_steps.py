"""The steps of device-update and device-info, against the simulated devices of examples/."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from threading import Thread
from typing import Any

import pytest

from examples.devices.simulator import MODEL, NEW, OLD, Simulator
from jobyard.domain.errors import InvalidParameters
from jobyard.domain.jobs.failures import Failure
from jobyard.domain.jobs.job_type import (
    Continue,
    Done,
    Fail,
    JobType,
    Skipped,
    Snooze,
    StepInput,
    StepResult,
)
from jobyard.jobtypes.device_info import DEVICE_INFO
from jobyard.jobtypes.device_update import DEVICE_UPDATE, steps
from jobyard.jobtypes.device_update.plan import UpdatePlan
from jobyard.jobtypes.http_client import BLOCK, HttpClient, Timeouts
from jobyard.jobtypes.step_context import DeviceContext

IMAGE = bytes(range(256)) * 12_000  # three blocks
DIGEST = hashlib.sha256(IMAGE).hexdigest()
NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)
PATIENT = Timeouts(connect_s=60.0, response_s=60.0, silence_s=60.0, window_s=60.0)
SECRETS = {"gateways": {"token": "t"}, "basic": {"username": "u", "password": "p"}, "empty": {}}


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with Simulator() as server:
        server.images["/image.bin"] = IMAGE
        thread = Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@dataclass
class Bench:
    """Runs the steps of a job type on a device, as attempts do. The clock moves only if asked."""

    simulator: Simulator
    at: datetime = NOON
    seconds_per_look: float = 0.0
    results: list[tuple[str, StepResult]] = field(default_factory=list)

    def __post_init__(self) -> None:
        allowed = frozenset({self.simulator.host})
        client = HttpClient(allowed, self.now, timeouts=PATIENT)
        self.context = DeviceContext(
            self.now, lambda: 600.0, http=client, devices=client, credentials=SECRETS.get
        )
        self.data: dict[str, Any] = {}
        self.done: set[str] = set()

    def now(self) -> datetime:
        self.at += timedelta(seconds=self.seconds_per_look)
        return self.at

    def parameters(self) -> dict[str, Any]:
        url = f"http://{self.simulator.host}/image.bin"
        return {"version": NEW, "image": url, "sha256": DIGEST, "models": [MODEL]}

    def attempt(
        self,
        device_id: str,
        job_type: JobType[DeviceContext] = DEVICE_UPDATE,
        secret: str = "",
        **changes: object,
    ) -> StepResult:
        """One attempt: the steps that are not done, up to one that does not succeed."""
        entry = {"id": device_id, "address": f"http://{self.simulator.host}/{device_id}"}
        entry |= {"secret": secret} if secret else {}
        result: StepResult = Done()
        for name, step in job_type.steps:
            if name in self.done:
                continue
            parameters = {**self.parameters(), **changes}
            step_input = StepInput("", "c.0.0", "", entry, parameters, dict(self.data), 1)
            result = step(step_input, self.context)
            self.results.append((name, result))
            if not isinstance(result, Done | Skipped):
                return result
            if isinstance(result, Done):
                self.data |= result.result
            self.done.add(name)
        return result

    def step_names(self) -> list[str]:
        return [name for name, _ in self.results]


@pytest.fixture
def bench(simulator: Simulator) -> Iterator[Bench]:
    bench = Bench(simulator)
    yield bench
    bench.context.http.close()


def test_a_device_is_updated_once_with_exactly_the_image(bench: Bench) -> None:
    assert bench.attempt("ok-1") == Done({"version": NEW})

    device = bench.simulator.device("ok-1")
    assert (bytes(device.content), device.applied, device.version) == (IMAGE, [DIGEST], NEW)
    assert bench.step_names() == ["reach", "compare", "upload", "apply", "verify"]
    assert (bench.data["model"], bench.data["version_before"]) == (MODEL, OLD)


def test_a_device_with_the_version_is_left_alone(bench: Bench) -> None:
    bench.attempt("current-1")

    assert [type(result) for _, result in bench.results] == [Done, Done, Skipped, Skipped, Skipped]
    assert set(bench.simulator.device("current-1").requests) == {"GET /device"}


@pytest.mark.parametrize(
    ("device_id", "code", "is_retryable"),
    [
        ("offline-1", Failure.DEVICE_OFFLINE, True),
        ("incompatible-1", Failure.INCOMPATIBLE, False),
        ("old-1", Failure.VERIFY_FAILED, True),
        ("locked-1", Failure.DEVICE_FORBIDDEN, False),
    ],
)
def test_each_failure_has_its_code(
    device_id: str, code: Failure, is_retryable: bool, bench: Bench
) -> None:
    result = bench.attempt(device_id)

    assert isinstance(result, Fail)
    assert (result.code, result.retryable) == (code, is_retryable)


def test_a_busy_device_is_waited_for_as_long_as_it_says(bench: Bench) -> None:
    waits = [bench.attempt("busy-1") for _ in range(3)]

    assert [(type(each), each.seconds) for each in waits if isinstance(each, Snooze)] == [
        (Snooze, 1.0)
    ] * 3
    assert isinstance(bench.attempt("busy-1"), Done)


def test_a_device_that_restarts_during_the_upload_continues_where_it_was(bench: Bench) -> None:
    first = bench.attempt("reboots-1")
    assert isinstance(first, Fail)
    assert (first.code, bench.step_names()[-1]) == (Failure.DEVICE_OFFLINE, "upload")
    received = len(bench.simulator.device("reboots-1").content)
    assert 0 < received < len(IMAGE)
    puts = bench.simulator.device("reboots-1").requests["PUT /update"]

    assert isinstance(bench.attempt("reboots-1"), Done)

    device = bench.simulator.device("reboots-1")
    assert (bytes(device.content), device.applied) == (IMAGE, [DIGEST])
    assert device.requests["PUT /update"] - puts == 2  # the first of three blocks is not sent again
    assert bench.step_names()[3:] == ["upload", "apply", "verify"]


def test_a_device_that_lost_a_part_gets_it_again(bench: Bench) -> None:
    results = [bench.attempt("forgets-1") for _ in range(2)]

    assert [type(each) for each in results] == [Fail, Done]
    assert bytes(bench.simulator.device("forgets-1").content) == IMAGE


def test_a_device_that_received_another_image_gets_it_again_from_the_first_byte(
    bench: Bench,
) -> None:
    first = bench.attempt("garbles-1")

    assert isinstance(first, Fail)
    assert (first.code, first.retryable) == (Failure.DEVICE_ERROR, True)
    assert first.message == (
        "the device received another image than was sent (the image has another digest)"
    )
    assert bench.attempt("garbles-1") == Done({"version": NEW})
    device = bench.simulator.device("garbles-1")
    assert (bytes(device.content), device.requests["PUT /update"]) == (IMAGE, 6)


def test_a_device_that_refuses_an_image_before_its_end_is_incompatible(bench: Bench) -> None:
    device = bench.simulator.device("ok-8")
    bench.context = replace(bench.context, devices=_Refusing(bench.context.devices))

    result = bench.attempt("ok-8")

    assert isinstance(result, Fail)
    assert (result.code, result.retryable) == (Failure.INCOMPATIBLE, False)
    assert device.applied == []


class _Refusing:
    """Answers each PUT with 422."""

    def __init__(self, client: Any) -> None:
        self.client = client

    def send(self, method: str, *values: Any, **named: Any) -> Any:
        answer = self.client.send("GET" if method == "PUT" else method, *values, **named)
        return replace(answer, status=422) if method == "PUT" else answer


def test_a_flaky_device_is_updated_in_the_end(bench: Bench) -> None:
    results = [bench.attempt("flaky-1") for _ in range(12)]

    assert isinstance(results[-1], Done)
    assert bench.simulator.device("flaky-1").applied == [DIGEST]


def test_a_slow_device_is_updated(bench: Bench) -> None:
    device = bench.simulator.device("slow-1")
    device.slow_s = 0.02

    assert bench.attempt("slow-1") == Done({"version": NEW})
    assert device.applied == [DIGEST]


def test_a_long_upload_is_done_in_parts(bench: Bench) -> None:
    bench.seconds_per_look = 50.0
    percents: list[float] = []
    bench.context = replace(bench.context, progress=percents.append)

    results = [bench.attempt("ok-2") for _ in range(3)]

    assert [each.message for each in results if isinstance(each, Continue)] == [
        "34 % of the image is uploaded",
        "68 % of the image is uploaded",
    ]
    assert isinstance(results[-1], Done)
    assert bench.simulator.device("ok-2").requests["PUT /update"] == 3
    assert [int(each) for each in percents] == [34, 68, 100]


def test_the_parts_of_an_upload_read_the_image_once(bench: Bench) -> None:
    bench.context = replace(bench.context, must_stop=lambda: True)
    for device_id in ("ok-20", "ok-21"):
        parts = [bench.attempt(device_id) for _ in range(3)]

        assert [type(each) for each in parts] == [Continue, Continue, Done]
        device = bench.simulator.device(device_id)
        assert (bytes(device.content), device.requests["PUT /update"]) == (IMAGE, 3)
        bench.done, bench.data = set(), {}
    # Each request is for the rest of the image: all of it, two thirds, and one third.
    assert bench.simulator.image_bytes == 2 * (len(IMAGE) * 3 - 3 * BLOCK)


def test_a_worker_that_has_not_read_the_image_reads_it_in_parts_too(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, device = bench.context, bench.simulator.device("ok-23")
    bench.context = replace(context, must_stop=lambda: True)
    for _ in range(2):
        bench.attempt("ok-23")
    monkeypatch.setattr(steps, "_digests", {})

    bench.context, bench.seconds_per_look = context, 50.0
    results = [bench.attempt("ok-23") for _ in range(3)]

    assert [type(each) for each in results] == [Continue, Continue, Done]
    assert (bytes(device.content), device.requests["PUT /update"]) == (IMAGE, 3)


def test_an_image_that_changes_between_two_parts_is_not_sent_whole(bench: Bench) -> None:
    bench.context = replace(bench.context, must_stop=lambda: True)
    bench.attempt("ok-22")
    bench.simulator.images["/image.bin"] = IMAGE[:-1] + b"?"

    results = [bench.attempt("ok-22") for _ in range(2)]

    assert isinstance(results[-1], Fail)
    assert results[-1].code is Failure.DIGEST_MISMATCH
    assert bench.simulator.device("ok-22").state == "receiving"


def test_an_upload_stops_after_a_part_when_it_must_and_continues_there(bench: Bench) -> None:
    context, device = bench.context, bench.simulator.device("ok-7")
    bench.context = replace(context, must_stop=lambda: True)

    stopped = bench.attempt("ok-7")

    assert stopped == Continue(0, "34 % of the image is uploaded")
    bench.context = context
    assert isinstance(bench.attempt("ok-7"), Done)
    assert (bytes(device.content), device.requests["PUT /update"]) == (IMAGE, 3)


def test_an_image_with_another_digest_never_becomes_complete(bench: Bench) -> None:
    result = bench.attempt("ok-3", sha256="0" * 64)

    assert isinstance(result, Fail)
    assert (result.code, result.retryable) == (Failure.DIGEST_MISMATCH, False)
    assert bench.simulator.device("ok-3").state == "receiving"


def test_an_image_that_cannot_be_fetched_names_the_image(bench: Bench) -> None:
    del bench.simulator.images["/image.bin"]
    bench.simulator.device("image.bin").version = OLD  # the path is that of a device now

    result = bench.attempt("ok-4")

    assert isinstance(result, Fail)
    assert result.code is Failure.PAYLOAD_NOT_FOUND
    assert result.message.startswith("the image cannot be fetched")


def test_an_image_that_the_device_lost_before_it_was_applied_is_no_success(bench: Bench) -> None:
    bench.attempt("old-2")
    device = bench.simulator.device("old-2")
    device.state, device.applied = "receiving", []
    bench.done -= {"apply"}

    result = bench.attempt("old-2")

    assert isinstance(result, Fail)
    assert (result.code, device.applied) == (Failure.DEVICE_ERROR, [])


def test_a_device_that_a_person_has_updated_needs_no_image_any_more(bench: Bench) -> None:
    bench.attempt("old-5")
    device = bench.simulator.device("old-5")
    device.sha256, device.version, device.applied = "", NEW, []
    bench.done -= {"apply"}

    assert bench.attempt("old-5") == Done({"version": NEW})
    assert (bench.results[-2][0], bench.results[-2][1].message) == (  # type: ignore[union-attr]
        "apply",
        f"the device has version {NEW} already",
    )
    assert device.applied == []


@pytest.mark.parametrize("state", ["received", "applied", "failed"])
def test_a_new_job_applies_the_image_again_to_a_device_that_does_not_run_it(
    state: str, bench: Bench
) -> None:
    assert isinstance(bench.attempt("old-6"), Fail)
    device = bench.simulator.device("old-6")
    device.state, device.kind = state, "ok"
    bench.done, bench.data = set(), {}

    assert bench.attempt("old-6") == Done({"version": NEW})
    assert device.applied == [DIGEST, DIGEST]
    assert device.requests["PUT /update"] == 3  # it has the image already


def test_a_retry_after_the_check_reads_the_version_and_applies_nothing(bench: Bench) -> None:
    results = [bench.attempt("old-7") for _ in range(3)]

    assert {each.code for each in results if isinstance(each, Fail)} == {Failure.VERIFY_FAILED}
    assert bench.step_names()[-2:] == ["verify", "verify"]
    assert bench.simulator.device("old-7").applied == [DIGEST]


def test_a_device_has_time_to_restart(bench: Bench) -> None:
    bench.attempt("old-3")
    device, waits = bench.simulator.device("old-3"), []
    device.state = "applying"
    for _ in range(3):
        waits.append(bench.attempt("old-3"))
        bench.at += timedelta(seconds=250)

    assert [type(each) for each in waits] == [Continue, Continue, Continue]
    late = bench.attempt("old-3")
    assert isinstance(late, Fail)
    assert late.code is Failure.VERIFY_FAILED
    device.version = NEW
    assert isinstance(bench.attempt("old-3"), Done)


def test_an_update_needs_the_time_that_a_device_has_to_restart() -> None:
    assert DEVICE_UPDATE.needs_min * 60 == steps.RESTART_S


def test_a_device_that_does_not_answer_after_the_update_is_waited_for(bench: Bench) -> None:
    bench.attempt("old-4")
    bench.simulator.device("old-4").kind = "offline"

    assert isinstance(bench.attempt("old-4"), Continue)
    bench.at += timedelta(seconds=600)
    late = bench.attempt("old-4")
    assert isinstance(late, Fail)
    assert late.code is Failure.DEVICE_OFFLINE


@pytest.mark.parametrize(
    ("secret", "header"), [("gateways", "Bearer t"), ("basic", "Basic dTpw"), ("", "")]
)
def test_the_credentials_of_the_secret_are_sent(secret: str, header: str, bench: Bench) -> None:
    sent: list[Mapping[str, str]] = []
    send: Callable[..., Any] = bench.context.devices.send

    class Recorder:
        def send(self, *values: Any, headers: Mapping[str, str], **named: Any) -> Any:
            sent.append(headers)
            return send(*values, headers=headers, **named)

    bench.context = replace(bench.context, devices=Recorder())  # type: ignore[arg-type]
    bench.attempt("ok-5", secret=secret)

    assert {each.get("Authorization", "") for each in sent} == {header}


@pytest.mark.parametrize("secret", ["empty", "missing"])
def test_a_secret_without_credentials_is_named_but_not_shown(secret: str, bench: Bench) -> None:
    result = bench.attempt("ok-6", secret=secret)

    assert isinstance(result, Fail)
    assert (result.code, secret in result.message) == (Failure.BAD_PARAMETERS, True)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"<html>", "is not a JSON object"),
        (b"[]", "is not a JSON object"),
        (b"{}", "no text model"),
        (b'{"model": 7, "version": "1"}', "no text model"),
        (b'{"model": "x", "version": ""}', "no text version"),
    ],
)
def test_an_answer_that_is_not_the_devices_is_a_failure(
    answer: bytes, message: str, bench: Bench
) -> None:
    bench.simulator.images["/strange-1/device"] = answer

    result = bench.attempt("strange-1")

    assert isinstance(result, Fail)
    assert (result.code, message in result.message) == (Failure.DEVICE_ERROR, True)


def test_device_info_reads_what_a_device_is(bench: Bench) -> None:
    result = bench.attempt("ok-7", DEVICE_INFO)

    assert result == Done({"model": MODEL, "version": OLD, "serial": "ok-7"})


@pytest.mark.parametrize(
    ("field_name", "value"),
    [
        ("version", None),
        ("version", 7),
        ("version", "x" * 129),
        ("image", "ftp://files.example/x"),
        ("image", ""),
        ("sha256", "abc"),
        ("models", "GW-100"),
        ("models", []),
        ("models", [7]),
        ("models", ["x"] * 51),
    ],
)
def test_a_wrong_parameter_is_named(field_name: str, value: object) -> None:
    parameters = {"version": NEW, "image": "https://files.example/x", "sha256": DIGEST}

    assert UpdatePlan.of(parameters).models == ()
    with pytest.raises(InvalidParameters, match=field_name):
        UpdatePlan.of({**parameters, field_name: value})
