import json

import pytest

from cli.docs import PAGES, access_table, fill
from jobyard.domain.campaigns.target_checks import TargetCheck
from jobyard.domain.datasets.geojson_checks import GeoJsonCheck
from jobyard.domain.lifecycles import LIFECYCLES
from jobyard.domain.manifests.findings import check_table
from tests.cli.fake_api import FakeApi, Run


@pytest.mark.parametrize("name", LIFECYCLES)
def test_a_lifecycle_is_printed_as_the_domain_has_it(name: str, run: Run, api: FakeApi) -> None:
    lifecycle = LIFECYCLES[name]

    assert json.loads(run("lifecycle", name, "--json").stdout) == lifecycle.document()
    assert run("lifecycle", name, "--mermaid").stdout == lifecycle.diagram()
    assert api.requests == []


@pytest.mark.parametrize("name", LIFECYCLES)
def test_the_table_has_every_state_and_every_transition(name: str, run: Run) -> None:
    lifecycle = LIFECYCLES[name]

    lines = [line.split() for line in run("lifecycle", name).stdout.splitlines()]

    shown = {tuple(line[:3]) for line in lines}
    assert {(move.before, move.event, move.after) for move in lifecycle.transitions} <= shown
    assert {state.name for state in lifecycle.states} <= {line[0] for line in lines if line}


@pytest.mark.parametrize("words", [("campaign",), ("batch", "--json", "--mermaid"), ()])
def test_an_unknown_lifecycle_is_a_usage_error(words: tuple[str, ...], run: Run) -> None:
    assert run("lifecycle", *words).exit_code == 2


def test_the_pages_that_show_tables_are_up_to_date() -> None:
    """If this fails, run `make docs`."""
    campaigns, datasets, lifecycles, _, operating = pages = [page.read_text() for page in PAGES]

    assert [*map(fill, pages)] == pages
    assert all(lifecycle.diagram() in lifecycles for lifecycle in LIFECYCLES.values())
    assert access_table() in operating
    assert check_table(TargetCheck) in campaigns
    assert check_table(GeoJsonCheck) in datasets
