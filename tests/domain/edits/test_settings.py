"""Settings of edit jobs: what is left out is off, what is wrong is refused by name."""

from typing import Any

import pytest

from jobyard.domain.edits.settings import EditSettings, settings_of
from jobyard.domain.errors import BadRequest


def test_settings_survive_their_document_and_are_off_by_default() -> None:
    given = EditSettings(
        quarantine=True, latest=("name",), reviewers="checkers", batch="straighten"
    )

    assert settings_of(given.document()) == given
    assert settings_of({}) == EditSettings()


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"quarantin": True}, "'quarantin' is no setting; there are quarantine,"),
        ({"embargo": 1}, "embargo: true or false"),
        ({"latest": "name"}, "latest: a list"),
        ({"batch": "http:/x y"}, "batch: a URL"),
        ({"batch": "straighten", "read_only": True}, "nothing edits"),
        ({"reviewers": "no such/name"}, "reviewers: the name of a team"),
        ({"reviewers": None}, "reviewers: a text"),
    ],
)
def test_wrong_settings_are_refused_by_name(document: dict[str, Any], message: str) -> None:
    with pytest.raises(BadRequest, match=message):
        settings_of(document)
