"""The demo's collections are created if they are missing."""

from collections.abc import Callable
from dataclasses import fields
from typing import Any

import httpx
import pytest

from cli.client import ApiError
from cli.local import demo_collections
from cli.local.stack import Stack
from tests.cli.fake_api import URL, FakeApi, problem


class _Cognito:
    def initiate_auth(self, **_: Any) -> dict[str, Any]:
        return {"AuthenticationResult": {"AccessToken": "a-token"}}


@pytest.fixture
def make(api: FakeApi) -> Callable[[], None]:
    """`ensure` on the fake API."""
    stack = Stack(**{each.name: each.name for each in fields(Stack)} | {"api_url": URL})
    network = httpx.MockTransport(api)
    return lambda: demo_collections.ensure(_Cognito(), stack, transport=network)


def test_missing_collections_are_created_for_the_demo(
    api: FakeApi, make: Callable[[], None]
) -> None:
    api.answers("GET /collections", {"items": [{"name": "maps"}], "next_cursor": None})
    api.answers("POST /collections", {})

    make()

    made = api.bodies("POST")
    assert [each["name"] for each in made] == ["demo", "tests", "cases", "default"]
    assert all(each["accepts_drops"] and "99999" in each["naans"] for each in made)
    assert [each["name"] for each in made if "13030" in each["naans"]] == ["cases"]
    assert all({"depositor", "operator"} <= {*each["groups"]} for each in made)


def test_a_collection_that_another_process_created_is_accepted(
    api: FakeApi, make: Callable[[], None]
) -> None:
    api.answers("GET /collections", {"items": [], "next_cursor": None})
    api.answers("POST /collections", problem(409, "there is one"))
    make()

    api.answers("POST /collections", problem(403, "for admin"))
    with pytest.raises(ApiError):
        make()
