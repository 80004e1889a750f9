"""Which of two campaigns on the same targets gives way."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from jobyard.domain.campaigns.overlap import gives_way
from jobyard.domain.jobs.job import JobState
from tests.domain.campaigns.test_planning import CREATED, campaign

OLDER = campaign()
NEWER = replace(OLDER, campaign_id="c2", created_at=CREATED + timedelta(seconds=1))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, True),
        ({"state": JobState.PAUSED}, True),
        ({"job_type": "device-info"}, False),
        ({"state": JobState.STOPPING}, False),
        ({"state": JobState.SUCCEEDED}, False),
        ({"created_at": NEWER.created_at}, True),  # the ids decide
        ({"created_at": NEWER.created_at, "campaign_id": "c3"}, False),
        ({"created_at": NEWER.created_at, "campaign_id": "c2"}, False),
    ],
)
def test_the_older_open_campaign_of_a_job_type_gives_way(
    changes: dict[str, Any], expected: bool
) -> None:
    assert gives_way(replace(OLDER, **changes), NEWER) is expected
    assert not gives_way(NEWER, replace(OLDER, **changes)) or not expected
