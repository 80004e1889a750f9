"""Watching batches: lines in a log, a live table in a terminal, and when a batch is over."""

import io
from collections.abc import Iterator

import httpx
import pytest
from rich.console import Console

from cli import progress
from cli.client import ApiClient, ApiError
from cli.progress import WatchedBatch
from tests.cli.fake_api import BATCH, NOW, FakeApi, batch


def screen(width: int = 80) -> Console:
    """A terminal that records its output."""
    return Console(file=io.StringIO(), force_terminal=True, width=width, color_system=None)


def log() -> Console:
    """A file as standard output."""
    return Console(file=io.StringIO(), width=200)


def drawn(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def versions(*found: dict[str, object]) -> Iterator[httpx.Response]:
    """Answers, each with an ETag."""
    for number, document in enumerate(found):
        yield httpx.Response(200, json=document, headers={"ETag": f'"{number}"'})


def test_on_a_terminal_a_bar_shows_jobs_by_state(api: FakeApi, client: ApiClient) -> None:
    console = screen()
    going = batch(
        running=2, scheduled=5, succeeded=3, waiting_reason="waits for its jobs", waiting_until=NOW
    )
    api.answers(f"GET /batches/{BATCH}", going, batch("completed", succeeded=10))

    ended = progress.watch(client, [BATCH], console, api.paused.append)

    assert [each["state"] for each in ended] == ["completed"]
    assert "maps.checkm" in drawn(console)
    assert "10/10" in drawn(console)
    assert "10 succeeded" in drawn(console)
    assert "\x1b[" in drawn(console)


def test_without_a_terminal_each_change_of_state_is_a_line(api: FakeApi, client: ApiClient) -> None:
    console = log()
    api.answers(
        f"GET /batches/{BATCH}",
        *versions(
            batch("pending", waiting_reason="waits for the machine to open it"),
            batch(running=2, scheduled=1),
            batch("failed", succeeded=2, failed=1),
        ),
    )

    progress.watch(client, [BATCH], console, api.paused.append)

    first, second, third = drawn(console).splitlines()
    assert first.endswith(f"{BATCH} pending; waits for the machine to open it")
    assert second.endswith("processing; 0 of 3 jobs: 1 scheduled, 2 running")
    assert "failed; 3 of 3 jobs: 2 succeeded, 1 failed" in third
    assert "\x1b[" not in drawn(console)


def test_the_last_line_shows_the_end_even_if_the_state_is_unchanged(
    api: FakeApi, client: ApiClient
) -> None:
    console = log()
    api.answers(
        f"GET /batches/{BATCH}",
        *versions(batch("failed", running=1), batch("failed", succeeded=1)),
    )

    progress.watch(client, [BATCH], console, api.paused.append)

    assert "1 of 1 job: 1 succeeded" in drawn(console).splitlines()[-1]


def test_without_a_console_nothing_is_shown(
    api: FakeApi, client: ApiClient, capsys: pytest.CaptureFixture[str]
) -> None:
    api.answers(f"GET /batches/{BATCH}", batch(running=1), batch("completed", succeeded=1))

    progress.watch(client, [BATCH], None, api.paused.append)

    assert capsys.readouterr() == ("", "")


def test_that_the_jobs_were_counted_again_is_no_news(
    api: FakeApi, client: ApiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "LINE_EVERY_S", 0)  # a line for every change
    console = log()
    waiting = batch(held=1, running=1)
    api.answers(
        f"GET /batches/{BATCH}",
        *versions(
            waiting | {"counted_at": NOW},
            waiting | {"counted_at": "2030-01-31T12:00:02+00:00"},
            batch("completed", succeeded=2),
        ),
    )

    progress.watch(client, [BATCH], console, api.paused.append)

    assert len(drawn(console).splitlines()) == 2


def test_a_batch_is_over_only_as_fetched_after_its_operation_was_done(
    api: FakeApi, client: ApiClient
) -> None:
    """Fetched before, it may look as it did before the operation began."""
    fetched_before = batch("failed", failed=2)
    api.answers(f"GET /batches/{BATCH}", fetched_before, batch("failed", succeeded=2))
    api.answers(f"GET /batches/{BATCH}/operations/r1", {"state": "done"})
    is_over = progress.is_over_with_operation(client, BATCH, "r1")

    (ended,) = progress.watch(client, [BATCH], None, api.paused.append, is_over)

    assert ended["counts"]["succeeded"] == 2
    assert api.calls().count(f"GET /batches/{BATCH}/operations/r1") == 1


def test_watching_polls_with_the_etag_and_slows_to_once_a_second(
    api: FakeApi, client: ApiClient
) -> None:
    known = next(versions(batch(running=1)))
    unchanged = [httpx.Response(304)] * 30
    over = httpx.Response(200, json=batch("completed", succeeded=1), headers={"ETag": '"9"'})
    api.answers(f"GET /batches/{BATCH}", known, *unchanged, over)

    progress.watch(client, [BATCH], log(), api.paused.append)

    etags = [request.headers.get("If-None-Match") for request in api.requests]
    assert etags == [None, *['"0"'] * 31]
    assert set(api.paused[-10:]) == {1.0}
    assert sum(pause for pause in api.paused if pause < 1) < progress.FAST_FOR_S + 1


def test_an_api_error_while_watching_ends_the_command(api: FakeApi, client: ApiClient) -> None:
    with pytest.raises(ApiError, match="there is no such thing"):
        progress.watch(client, [BATCH], screen(), api.paused.append)


@pytest.mark.parametrize("width", [10, 33, 100])
def test_a_bar_fills_its_width_and_shows_even_a_single_job(width: int) -> None:
    counts = {"succeeded": 999_998, "failed": 1, "running": 1, "scheduled": 0, "total": 1_000_000}

    bar = progress.bar(counts, width)

    styles = {str(span.style) for span in bar.spans}
    assert len(bar.plain) == width
    assert styles == {"green", "red", "cyan"}


def test_a_bar_of_no_jobs_is_an_empty_line_and_ascii_where_unicode_cannot_be_shown() -> None:
    assert progress.bar({}, 4).plain == "────"
    assert progress.bar({"succeeded": 1, "scheduled": 1}, 4, ascii_only=True).plain == "##--"


def test_the_pace_shows_jobs_per_second_and_the_time_left(client: ApiClient) -> None:
    watched = WatchedBatch(client, BATCH, batch(succeeded=40, scheduled=60))
    watched.samples.extend([(100.0, 0), (110.0, 40)])

    assert watched.pace == "4.0 jobs/s, about 15 s left"


def test_without_progress_no_time_left_is_shown(client: ApiClient) -> None:
    watched = WatchedBatch(client, BATCH, batch(scheduled=60))
    watched.samples.extend([(100.0, 0), (110.0, 0)])

    assert watched.pace == ""


@pytest.mark.parametrize(
    ("seen", "over"),
    [
        (batch("pending"), False),
        (batch("held"), False),
        (batch("processing", succeeded=1), False),
        (batch("reporting"), False),
        (batch("update_reporting"), False),
        (batch("completed"), True),
        (batch("cancelled"), True),
        (batch("deleted"), True),
        (batch("failed", failed=1), True),
        (batch("failed", scheduled=1), False),
        (batch("failed", running=1), False),
        (batch("failed", held=1), True),
    ],
)
def test_a_batch_is_over_when_it_ended_or_a_failed_one_has_no_active_job(
    seen: dict[str, object], over: bool
) -> None:
    assert progress.is_over(seen) is over
