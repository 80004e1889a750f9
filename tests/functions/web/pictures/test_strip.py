"""The strip: all jobs of a batch by state, in at most 70 KB however many they are."""

import re
import xml.etree.ElementTree as ElementTree
from random import Random

from jobyard.domain.batches.tally import COLUMN_SHARES, StripSegment
from jobyard.domain.jobs.job import PROGRESS_ORDER, JobState, labels_for
from web.pictures.strip import HEIGHT, MAX_LINKS, strip

S, F, R, W = JobState.SUCCEEDED, JobState.FAILED, JobState.RUNNING, JobState.SCHEDULED
JOBS = "/batches/b7k3qa5xw2mnpd4rt6uj/jobs?from="
LABELS = labels_for("deposit")
DONE = StripSegment(400, ((S, COLUMN_SHARES),))
WAITING = StripSegment(100, ((W, COLUMN_SHARES),))


def typical() -> list[StripSegment]:
    """The strip of a running batch with failures in a few places."""
    failing = StripSegment(1, ((S, 14), (F, 1)))
    at_work = StripSegment(3, ((S, 9), (R, 6)))
    return [StripSegment(49, ((S, 15),)), failing] * 7 + [at_work, StripSegment(147, ((W, 15),))]


def worst() -> list[StripSegment]:
    """Each of the 500 columns differs from the one before, with four states."""
    random = Random(7)
    segments = []
    for _ in range(500):
        states = sorted(random.sample(PROGRESS_ORDER, 4), key=PROGRESS_ORDER.index)
        cuts = sorted(random.sample(range(1, COLUMN_SHARES), 3))
        shares = [b - a for a, b in zip([0, *cuts], [*cuts, COLUMN_SHARES], strict=True)]
        segments.append(StripSegment(1, tuple(zip(states, shares, strict=True))))
    return segments


def links(picture: str) -> list[tuple[str, str]]:
    """The address and the title of each link."""
    return re.findall(r'<a href="([^"]*)"[^>]*><title>(.*?)</title>', picture)


def test_a_batch_without_jobs_has_no_strip() -> None:
    assert strip([], 0, JOBS, LABELS) == ""


def test_each_run_of_columns_links_to_its_first_job() -> None:
    picture = strip([DONE, WAITING], 100_000, JOBS, LABELS)

    assert links(picture) == [
        (f"{JOBS}1", "Jobs 1–80,000: completed"),  # noqa: RUF001
        (f"{JOBS}80001", "Jobs 80,001–100,000: pending"),  # noqa: RUF001
    ]


def test_a_column_of_one_job_names_that_job() -> None:
    picture = strip([StripSegment(1, ((S, 15),)), StripSegment(1, ((F, 15),))], 2, JOBS, LABELS)

    assert [title for _, title in links(picture)] == ["Job 1: completed", "Job 2: failed"]


def test_its_label_says_what_it_shows() -> None:
    picture = strip([DONE, WAITING], 100_000, JOBS, LABELS)

    assert "All 100,000 jobs in the order of the manifest: about 80 % completed, 20 %" in picture


def test_the_areas_of_the_states_cover_all_columns() -> None:
    picture = strip([DONE, WAITING], 100_000, JOBS, LABELS)

    assert 'class="s-succeeded" d="M0 15V0h400V15h100V15z"' in picture
    assert 'class="s-scheduled" d="M0 15V15h400V0h100V15z"' in picture
    assert "s-failed" not in picture


def test_one_failed_job_among_many_is_seen() -> None:
    picture = strip([StripSegment(1, ((S, 14), (F, 1)))], 200, JOBS, LABELS)

    assert 'class="s-failed" d="M0 15V0h1V15z"' in picture
    assert 'class="s-succeeded" d="M0 15V4h1V15z"' in picture


def test_a_typical_strip_has_at_most_5_kilobytes() -> None:
    assert len(strip(typical(), 100_000, JOBS, LABELS).encode()) <= 5_000


def test_the_worst_strip_has_at_most_70_kilobytes() -> None:
    assert len(strip(worst(), 1_000_000, JOBS, LABELS).encode()) <= 70_000


def test_links_too_narrow_to_hit_are_joined_and_are_no_tab_stops() -> None:
    picture = strip(worst(), 1_000_000, JOBS, LABELS)

    assert len(links(picture)) == MAX_LINKS
    assert picture.count('tabindex="-1"') == MAX_LINKS
    assert links(picture)[-1][0] == f"{JOBS}996001"


def test_it_is_well_formed_and_has_no_style_of_its_own() -> None:
    picture = strip(worst(), 1_000_000, '/x?state="&from=', LABELS)

    root = ElementTree.fromstring(picture)
    assert root.attrib["height"] == str(HEIGHT)
    assert "style=" not in picture
