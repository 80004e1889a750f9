"""Objects through the API: found by ark and local identifier, shown to those who see them."""

from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pytest

from jobyard.domain.arks import ark_of_object_id, object_id_of
from jobyard.services.queries import objects as object_queries
from jobyard.store import collections, objects
from tests.functions.api.api_client import Api
from tests.functions.api.batch_records import a_batch
from tests.functions.api.object_records import a_version
from tests.open_collections import an_open_collection

ARK = "ark:/13030/m5a"
PATH = "/objects/ark-13030-m5a"


@pytest.mark.parametrize("ark", [ARK, "ark:/13030/x/page2", "ark:/99999/j1.tiff"])
def test_an_object_id_stands_for_one_ark(ark: str) -> None:
    assert ark_of_object_id(object_id_of(ark)) == ark


def test_an_object_shows_its_versions_newest_first_by_the_page(api: Api) -> None:
    for version in (1, 2, 4):
        a_version(ARK, version)

    seen, cursor = [], ""
    while cursor is not None:
        page = api.get(PATH, query={"limit": 2, "cursor": cursor}).json
        seen += [each["version"] for each in page["versions"]]
        cursor = page["next_cursor"]

    assert seen == [4, 2, 1]
    assert (page["ark"], page["collection"], page["local_ids"]) == (ARK, "maps", ["box-1"])


def test_an_object_is_found_by_any_spelling_of_its_ark_and_by_its_local_identifier(
    api: Api,
) -> None:
    a_version(ARK)
    objects.identify("maps", ["box/1"], ARK)

    for query in (
        {"ark": "ark:13030/m5-a"},
        {"ark": f"https://n2t.net/{ARK}"},
        {"collection": "maps", "local_id": "box/1"},
    ):
        found = api.get("/objects", query=query).json
        assert found["ark"] == ARK
        assert found["links"]["self"].endswith(PATH)
    for query, status in (
        ({"collection": "maps", "local_id": "box/2"}, 404),
        ({"collection": "maps"}, 400),
        ({"ark": ARK, "local_id": "box/1"}, 400),
        ({"ark": "no ark"}, 400),
        ({"ark": "ark:/13030/other"}, 404),
        ({}, 400),
    ):
        assert api.get("/objects", query=query).status == status


def test_a_version_shows_its_files_and_its_depositor(api: Api) -> None:
    batch = a_batch("completed")
    stored = a_version(ARK, files=3, batch_id=batch.batch_id)

    first = api.get(f"{PATH}/versions/1", query={"limit": 2}).json
    rest = api.get(f"{PATH}/versions/1", query={"cursor": first["next_cursor"], "limit": 2}).json

    assert first["depositor"] == "depositor"
    assert first["manifest_sha256"] == stored.manifest_digest
    assert first["metadata"] == {"title": "Maps"}
    names = [each["name"] for page in (first, rest) for each in page["files"]]
    assert names == ["a.txt", "b.txt", "c.txt"]
    assert rest["next_cursor"] is None
    assert [*first["files"][0]["digests"]] == ["sha256"]
    assert api.get(f"{PATH}/versions/2").status == 404


def test_a_file_is_downloaded_with_its_name_whatever_it_is(api: Api) -> None:
    a_version(ARK)

    link = api.get(f"{PATH}/versions/1/download", query={"name": "b.txt"}).json

    assert link["expires_s"] == 900
    assert "/content/sha256/" in link["url"]
    query = parse_qs(urlsplit(link["url"]).query)
    assert query["response-content-disposition"] == ['attachment; filename="b.txt"']
    assert query["response-content-type"] == ["application/octet-stream"]
    assert api.get(f"{PATH}/versions/1/download", query={"name": "z.txt"}).status == 404


def test_an_object_is_seen_by_those_who_see_its_collection(api: Api) -> None:
    closed = an_open_collection("closed")
    collections.put(replace(closed, groups=frozenset({"students"})))
    a_version(ARK, collection="closed")

    for path in (PATH, f"{PATH}/versions/1", f"{PATH}/versions/1/download?name=a.txt"):
        bare, _, name = path.partition("?name=")
        query = {"name": name} if name else {}
        for role in ("viewer", "operator", "admin"):
            assert api.get(bare, role=role, query=query).status == 200
        assert api.get(bare, role="depositor", query=query).status == 404
        assert (
            api.get(bare, role="depositor", groups="depositor students", query=query).status == 200
        )


def test_a_version_with_too_many_files_is_not_listed(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(object_queries, "MAX_MANIFEST_BYTES", 10)
    a_version(ARK)

    answer = api.get(f"{PATH}/versions/1")

    assert answer.status == 400
    assert "too many files to list" in answer.json["detail"]


@pytest.mark.parametrize("object_id", ["m5a", "ark", "ark-13030", "ark--x"])
def test_text_that_is_not_an_object_id_is_not_found(api: Api, object_id: str) -> None:
    assert api.get(f"/objects/{object_id}").status == 404
