"""The tables and buckets of a deployment, on moto, as template.yaml declares them.

The store is bound to one deployment at a time, and other tests have theirs on the emulator. So a
test that needs this one borrows the store and restores its binding.
"""

import pickle
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import boto3
from moto.dynamodb.models import dynamodb_backends

from cli.local import clients
from cli.local.template_file import read_template
from jobyard.store import tables

REGION = "us-east-1"
ACCOUNT = "123456789012"  # moto's
ROOT = Path(__file__).resolve().parents[1]
BUCKETS = ("intake", "work", "archive")
NAMES = {noun: f"jobyard-{noun}" for noun in tables.MODELS}

Contents = dict[str, Any]  # moto's items by table
Made = TypeVar("Made")
_Binding = dict[str, dict[str, Any]]


@cache
def _declared() -> dict[str, dict[str, Any]]:
    """The template's properties of each noun's table."""
    resources = read_template(ROOT)["Resources"]
    return {noun: resources[f"{noun.capitalize()}Table"]["Properties"] for noun in NAMES}


def create_deployment() -> None:
    """Create the tables and buckets; moto must be on."""
    dynamodb = boto3.client("dynamodb", region_name=REGION)
    shape = ("AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes", "BillingMode")
    for noun, declared in _declared().items():
        dynamodb.create_table(
            TableName=NAMES[noun], **{part: declared[part] for part in shape if part in declared}
        )
    s3 = boto3.client("s3", region_name=REGION)
    for bucket in BUCKETS:
        s3.create_bucket(Bucket=bucket)
    s3.put_bucket_versioning(Bucket="intake", VersioningConfiguration={"Status": "Enabled"})


def create_tables(endpoint: str) -> None:
    """Bind the store to the emulator at `endpoint`, and create its tables there."""
    names = {noun: f"test-{noun}" for noun in tables.MODELS}
    tables.bind(names, region=clients.REGION, host=endpoint)
    for model in tables.MODELS.values():
        model.create_table(billing_mode="PAY_PER_REQUEST", wait=True)


def clear() -> None:
    """Empty the tables. Buckets stay: objects are found by their table only.

    This goes to moto directly: a scan and a call for each item would take most of a test's time.
    """
    backend = dynamodb_backends[ACCOUNT][REGION]
    for name in NAMES.values():
        backend.tables[name].items.clear()


def contents() -> Contents:
    """The items of all tables, for `put_back`."""
    backend = dynamodb_backends[ACCOUNT][REGION]
    return {name: _copy(backend.tables[name].items) for name in NAMES.values()}


def _copy(items: Any) -> Any:
    """A copy of items, in a sixth of the time that deepcopy takes."""
    return pickle.loads(pickle.dumps(items, pickle.HIGHEST_PROTOCOL))


def put_back(found: Contents) -> None:
    """Replace the items of all tables by those of `contents`."""
    backend = dynamodb_backends[ACCOUNT][REGION]
    for name, items in found.items():
        backend.tables[name].items = _copy(items)


class KeptRecords:
    """Records that several tests use: made for the first of them, and put back for the others as
    they were. Objects in buckets stay, so what is made must not depend on whether they are there.
    """

    def __init__(self) -> None:
        self._kept: dict[str, tuple[Any, Contents]] = {}

    def get(self, name: str, make: Callable[[], Made]) -> Made:
        """What `make` returned, with all tables as they were then. The tables are empty before."""
        if name not in self._kept:
            made = make()
            self._kept[name] = made, contents()
            return made
        made, found = self._kept[name]
        put_back(found)
        return made


def binding() -> _Binding:
    """The tables that the store is bound to, and its connections."""
    return {
        noun: {"meta": _public(model.Meta), "connection": model._connection}
        for noun, model in tables.MODELS.items()
    }


def _public(meta: Any) -> dict[str, Any]:
    return {name: value for name, value in vars(meta).items() if not name.startswith("_")}


def rebind(to: Mapping[str, Mapping[str, Any]]) -> None:
    """Bind the store as in `to`, which `binding` returned."""
    for noun, model in tables.MODELS.items():
        for name, value in to[noun]["meta"].items():
            setattr(model.Meta, name, value)
        model._connection = to[noun]["connection"]


@contextmanager
def borrowed(mine: _Binding) -> Iterator[None]:
    """The store bound as `mine` for the block; `mine` keeps the connections made in it."""
    theirs = binding()
    rebind(mine)
    try:
        yield
    finally:
        mine.update(binding())
        rebind(theirs)
