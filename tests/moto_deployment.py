"""The API's function as Lambda runs it, on moto, with events as the gateway sends them."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import boto3
import pytest
from jinja2 import FileSystemBytecodeCache
from moto.cognitoidp.models import cognitoidp_backends

from gateway import runtime
from jobyard.services import cursors
from tests import tables
from tests.functions.api.api_client import NOW, Api
from tests.functions.web.browser import Browser
from tests.moto_aws import moto_aws
from tests.open_collections import make_collections
from tests.people import sub_of
from tests.tables import ROOT
from web import template_environment
from web.template_environment import environment

ENVIRONMENT = {
    "AWS_REGION": tables.REGION,
    "AWS_DEFAULT_REGION": tables.REGION,
    "JOBYARD_TABLES": ",".join(tables.NAMES.values()),
    **{f"JOBYARD_{bucket.upper()}_BUCKET": bucket for bucket in tables.BUCKETS},
    "JOBYARD_CHUNK_SIZE": "2",
    "JOBYARD_MAX_CONCURRENCY": "4",
    "JOBYARD_LIMITS": "100,1000,1000,1000,10000,1000,1000",
    "JOBYARD_MAIL_FROM": "jobyard@example.org",
    "JOBYARD_MAIL_TO": "operators@example.org",
    "JOBYARD_MAIL_BCC": "",
    "JOBYARD_MAIL_DOMAINS": "example.org",
    "JOBYARD_REPORT_LINK_DAYS": "14",
    "JOBYARD_CONFIGURATION_SET": "jobyard",
    "JOBYARD_INSTANCE": "test",
    "JOBYARD_ALLOWED_HOSTS": "",
    "JOBYARD_S3_SOURCES": "",
    "JOBYARD_SWEEP_TABLES": "",
    "JOBYARD_CALL_FUNCTIONS": "",
    "JOBYARD_CALL_SECRETS": "jobyard/calls/",
    "JOBYARD_DEVICE_NETWORKS": "",
    "JOBYARD_STAGE_URL": "https://jobyard.example.org",
    "JOBYARD_SIGN_IN_URL": "https://sign-in.example.org",
    "JOBYARD_CLIENTS": "pages,nightly-id=nightly",
    "POWERTOOLS_SERVICE_NAME": "jobyard",
    "POWERTOOLS_METRICS_NAMESPACE": "Jobyard",
}
_CURSOR_KEY = "the-same-in-all-tests"
_MACHINE = json.dumps({"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}})


@contextmanager
def deployed() -> Iterator[dict[str, Any]]:
    """A deployment on moto: its API `function`, its `pages`, and the store's `binding` to it."""
    binding_before = tables.binding()
    with moto_aws(), pytest.MonkeyPatch.context() as patch:
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)
        tables.create_deployment()
        machines = boto3.client("stepfunctions")
        for noun in ("batch", "job", "edit"):
            role = "arn:aws:iam::123456789012:role/machine"
            made = machines.create_state_machine(name=noun, definition=_MACHINE, roleArn=role)
            patch.setenv("JOBYARD_MACHINES", made["stateMachineArn"].removesuffix(noun) + "*")
        patch.setenv("JOBYARD_USER_POOL", f"{_people()},false")
        letters = boto3.client("sqs").create_queue(QueueName="letters")
        patch.setenv("JOBYARD_DEAD_LETTERS", letters["QueueUrl"])
        from api import handler as function  # reads the environment
        from web import handler as pages

        environment().bytecode_cache = FileSystemBytecodeCache(str(_compiled_templates()))
        binding = tables.binding()
        tables.rebind(binding_before)
        yield {"function": function, "pages": pages, "binding": binding}


def _compiled_templates() -> Path:
    """The folder in which templates are kept as bytecode, for later runs too. Jinja compiles those
    again whose text is another; all, if what compiles them is.
    """
    source = Path(template_environment.__file__).read_bytes()
    folder = ROOT / ".cache" / "templates" / sha256(source).hexdigest()[:12]
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _people() -> str:
    """A user pool with a person whose address is verified and one whose is not.

    Their ids are set in moto itself, which makes them random otherwise.
    """
    cognito = boto3.client("cognito-idp")
    pool: str = cognito.create_user_pool(PoolName="people")["UserPool"]["Id"]
    for name, verified in (("depositor", "true"), ("operator", "false")):
        cognito.admin_create_user(
            UserPoolId=pool,
            Username=name,
            UserAttributes=[
                {"Name": "email", "Value": f"{name}@example.org"},
                {"Name": "email_verified", "Value": verified},
            ],
        )
        people = cognitoidp_backends[tables.ACCOUNT][tables.REGION].user_pools[pool].users
        people[name].update_attributes([{"Name": "sub", "Value": sub_of(name)}])
    return pool


@contextmanager
def empty_api(deployment: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    """The API of an empty deployment."""
    function = deployment["function"]
    api = Api(function.handler)
    monkeypatch.setattr(function, "CONTEXT", replace(function.CONTEXT, now=api.tick))
    monkeypatch.setattr(runtime, "now", lambda: NOW)
    with tables.borrowed(deployment["binding"]):
        _open_collections(deployment)
        yield api
        tables.clear()


def _open_collections(deployment: dict[str, Any]) -> None:
    """Have the tables hold the open collections and the key of cursors. Made once, then restored.

    A function keeps the key in memory for ten minutes. If each test had its own, what a test seals
    would be refused when the function reads the key again.
    """
    if "opened" not in deployment:
        make_collections()
        cursors.key(_CURSOR_KEY)
        deployment["opened"] = tables.contents()
    tables.put_back(deployment["opened"])


@contextmanager
def empty_site(deployment: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Iterator[Browser]:
    """A browser at the pages of an empty deployment. The clock is the one of the API's tests."""
    function = deployment["pages"]
    clock = Api(function.handler)
    function._signer_of.cache_clear()  # the keys are in the tables
    monkeypatch.setattr(function, "SITE", replace(function.SITE, now=clock.tick))
    monkeypatch.setattr(runtime, "now", lambda: NOW)
    with tables.borrowed(deployment["binding"]):
        _open_collections(deployment)
        yield Browser(function)
        tables.clear()
