"""A dataset from its file to an export, through the machine."""

import gzip
import json

import pytest

from cli.local.emulator import ROOT
from jobyard.domain.datasets.export import ExportState
from jobyard.domain.datasets.extent import parse_extent
from jobyard.domain.datasets.load import UPLOADS_PREFIX, LoadState
from jobyard.domain.upload_keys import upload_key
from jobyard.services.context import QueryContext
from jobyard.services.datasets.commands import NewDataset, start_export, start_load
from jobyard.services.queries import datasets as queries
from tests.harness import ADMIN, Harness

pytestmark = pytest.mark.emulator
COUNTIES = ROOT / "examples/datasets/counties.geojson.gz"


def test_the_counties_are_loaded_and_exported_by_the_machine(harness: Harness) -> None:
    key = upload_key(UPLOADS_PREFIX, ADMIN.sub, "key", COUNTIES.name)
    harness.s3.put_object(Bucket="intake", Key=key, Body=COUNTIES.read_bytes())
    asked = start_load(NewDataset("counties", key), harness.context(key="load"))
    harness.machines.run_all()
    start_load(NewDataset("counties", key), harness.context(key="load"))  # the answer was lost
    harness.machines.run_all()

    query = QueryContext(harness.settings, harness.s3, ADMIN, harness.now())
    loaded = queries.load_result("counties", asked.load_id, query, harness.machines)
    assert (loaded.state, loaded.features) == (LoadState.LOADED, 3231)

    california = parse_extent({"polygon": [[-124.3, 41.9], [-120.1, 41.9], [-120.1, 39.1]]})
    asked_export = start_export("counties", harness.context(), extent=california)
    harness.machines.run_all()
    view = queries.export_result("counties", asked_export.export_id, query, harness.machines)
    assert view.state is ExportState.READY
    stored = harness.s3.get_object(
        Bucket="work", Key=f"exports/counties/{asked_export.export_id}.gz"
    )
    found = json.loads(gzip.decompress(stored["Body"].read()))["features"]
    names = {each["properties"]["name"] for each in found}
    assert {"Siskiyou", "Shasta", "Lassen"} <= names
    assert "Humboldt" in names  # only a corner of it
    assert not {"Alameda", "Mendocino"} & names
