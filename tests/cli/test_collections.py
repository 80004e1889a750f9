"""`jobyard collection` on a terminal."""

import json
from typing import Any

import pytest

from tests.cli.fake_api import NOW, FakeApi, Run, problem

WHY = ("--reason", "she joins the project")


def collection(**changes: Any) -> dict[str, Any]:
    """A collection as the API shows it."""
    return {
        "name": "maps",
        "owner": "curator",
        "owner_id": "52fbd64e-9749-47f9-869d-ab14df2960a0",
        "people": [{"id": "e2d95d91-8985-4bc4-b76d-55956c02d0a6", "name": "anna"}],
        "groups": ["students"],
        "naans": ["13030"],
        "notify": ["maps@example.org"],
        "accepts_drops": True,
        "hold": {
            "scope": "everything",
            "description": "everything is held by ops: moving",
            "until": NOW,
        },
        "may_deposit": True,
        "may_edit": False,
        "version": 2,
        "history": [
            {
                "event": "allow",
                "changes": "anna",
                "at": NOW,
                "actor": "curator",
                "actor_id": "52fbd64e-9749-47f9-869d-ab14df2960a0",
                "reason": "she joins the project",
                "cause": "r1",
            }
        ],
        "links": {},
        **changes,
    }


PAGE = {"items": [collection()], "next_cursor": None}
COMMANDS: list[tuple[tuple[str, ...], str, dict[str, Any]]] = [
    (("list",), "GET /collections", PAGE),
    (("show", "maps"), "GET /collections/maps", collection()),
    (("create", "maps"), "POST /collections", collection()),
    (("edit", "maps", "--drops", *WHY), "PATCH /collections/maps", collection()),
    (("allow", "maps", "anna", *WHY), "POST /collections/maps/allow", collection()),
    (("deny", "maps", "anna", *WHY), "POST /collections/maps/deny", collection()),
]


@pytest.mark.parametrize(("words", "endpoint", "document"), COMMANDS)
def test_json_is_the_apis_document_and_nothing_else(
    words: tuple[str, ...], endpoint: str, document: dict[str, Any], run: Run, api: FakeApi
) -> None:
    api.answers(endpoint, document)

    shown = run("collection", *words, "--json")

    assert (shown.exit_code, shown.stderr) == (0, "")
    assert json.loads(shown.stdout) == document


@pytest.mark.parametrize(("words", "endpoint", "document"), COMMANDS)
def test_answers_and_errors_are_shown_as_text(
    words: tuple[str, ...], endpoint: str, document: dict[str, Any], run: Run, api: FakeApi
) -> None:
    api.answers(endpoint, document, problem(409, "collection maps has changed since it was read"))

    shown, refused = run("collection", *words), run("collection", *words)

    assert shown.exit_code == 0
    text = " ".join(shown.stdout.split())
    for word in ("maps", "curator", "anna", "group students", "held by ops: moving"):
        assert word in text
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "has changed" in refused.stderr


def test_a_collection_is_created_with_all_its_settings(run: Run, api: FakeApi) -> None:
    api.answers("POST /collections", collection())

    run(
        *("collection", "create", "maps", "--owner", "curator", "--allow", "anna"),
        *("--allow", "bo", "--group", "students", "--naan", "13030", "--drops"),
        *("--notify", "maps@example.org", "--reason", "new"),
    )

    assert api.bodies("POST")[-1] == {
        "name": "maps",
        "owner": "curator",
        "people": ["anna", "bo"],
        "groups": ["students"],
        "naans": ["13030"],
        "notify": ["maps@example.org"],
        "accepts_drops": True,
        "reason": "new",
    }


@pytest.mark.parametrize(
    ("words", "sent"),
    [
        (("--owner", "bo"), {"owner": "bo"}),
        (("--naan", "1", "--naan", "2"), {"naans": ["1", "2"]}),
        (("--no-naans",), {"naans": []}),
        (("--no-notify", "--no-drops"), {"notify": [], "accepts_drops": False}),
    ],
)
def test_an_edit_sends_only_the_changes(
    words: tuple[str, ...], sent: dict[str, Any], run: Run, api: FakeApi
) -> None:
    api.answers("PATCH /collections/maps", collection())

    assert run("collection", "edit", "maps", *words, *WHY).exit_code == 0

    assert api.bodies("PATCH")[-1] == {"reason": WHY[1], **sent}


@pytest.mark.parametrize(
    "words",
    [
        ("edit", "maps", *WHY),
        ("edit", "maps", "--naan", "1", "--no-naans", *WHY),
        ("allow", "maps", *WHY),
        ("allow", "maps", "anna"),
        ("create", "ma ps"),
        ("create", "maps", "--notify", "nobody"),
    ],
)
def test_impossible_arguments_are_refused_before_anything_is_sent(
    words: tuple[str, ...], run: Run, api: FakeApi
) -> None:
    assert run("collection", *words).exit_code == 2
    assert api.calls() == []


def test_other_users_see_no_rights(run: Run, api: FakeApi) -> None:
    bare = collection(
        people=[], groups=[], accepts_drops=False, hold=None, naans=[], may_deposit=False
    )
    api.answers("GET /collections/maps", bare)

    text = " ".join(run("collection", "show", "maps").stdout.split())

    assert "only its owner and admins" in text
    assert "none: objects may not have arks" in text
    assert "you may view" in text
