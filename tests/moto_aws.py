"""AWS on moto, without what moto works out again at each call."""

import json
import re
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any
from weakref import WeakKeyDictionary

import pytest
from botocore.awsrequest import AWSPreparedRequest
from moto import backend_index, mock_aws
from moto.core import responses
from moto.core.base_backend import BaseBackend
from moto.core.botocore_stubber import BotocoreStubber
from moto.core.common_types import TYPE_RESPONSE
from moto.core.utils import method_names_from_class
from moto.dynamodb.responses import DynamoHandler

from tests.unsigned_calls import Found, unsigned_calls

USED = {"cloudwatch", "cognito-idp", "dynamodb", "logs", "s3", "sqs", "stepfunctions"}
ACCOUNT = "123456789012"
# Calls of DynamoDB whose results are JSON as moto has them.
_ABOUT_ITEMS = {
    *("GetItem", "PutItem", "UpdateItem", "DeleteItem", "Query", "Scan"),
    *("BatchGetItem", "BatchWriteItem", "TransactGetItems", "TransactWriteItems"),
}
_DYNAMODB = re.compile(r"https://dynamodb\.([^.]+)\.amazonaws\.com/$")
_BINARY = re.compile(rb'"BS?": ')


@contextmanager
def moto_aws() -> Iterator[None]:
    """Calls of botocore go to moto for the block.

    A call's URL is tried with the patterns of two hundred services, then with all routes of the
    service that it finds. The services that are used here come first, and routes are made once.
    Calls about items go to moto's DynamoDB directly.
    """
    patterns = sorted(backend_index.backend_url_patterns, key=lambda each: each[0] not in USED)
    routes = property(cache(BaseBackend.urls.fget))  # type: ignore[attr-defined]
    process = BotocoreStubber.process_request

    def answer(stubber: BotocoreStubber, request: AWSPreparedRequest) -> TYPE_RESPONSE | None:
        return about_items(request) or process(stubber, request)

    with (
        mock_aws(),
        unsigned_calls(_is_of_aws, _cached_endpoints()),
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(backend_index, "backend_url_patterns", patterns)
        patch.setattr(BaseBackend, "urls", routes)
        patch.setattr(responses, "method_names_from_class", cache(method_names_from_class))
        patch.setattr(BotocoreStubber, "process_request", answer)
        yield


def _is_of_aws(url: str) -> bool:
    return url.startswith("https://") and ".amazonaws.com" in url


def _cached_endpoints() -> Callable[..., Found]:
    """Finds an endpoint by botocore's rules, once for each client, operation and bucket."""
    known: WeakKeyDictionary[Any, dict[tuple[str, str], Found]] = WeakKeyDictionary()

    def endpoint_of(
        client: Any, model: Any, params: Mapping[str, Any], by_rules: Callable[[], Found]
    ) -> Found:
        of_client = known.setdefault(client, {})
        call = model.name, params.get("Bucket", "")
        if call not in of_client:
            of_client[call] = by_rules()
        url, headers, properties = of_client[call]
        return url, {**headers}, {**properties}

    return endpoint_of


def about_items(request: AWSPreparedRequest) -> TYPE_RESPONSE | None:
    """What moto's DynamoDB answers to a call about items; None for other calls.

    moto reads and writes JSON by the model of the service, which takes ten times as long as the
    call. What has binary attributes still goes that way.
    """
    found = _DYNAMODB.match(request.url)
    target = request.headers.get("X-Amz-Target", "")
    target = target.decode() if isinstance(target, bytes) else target
    operation = target.rpartition(".")[2]
    if not found or operation not in _ABOUT_ITEMS or _BINARY.search(request.body):
        return None
    answer: TYPE_RESPONSE = _Items(found[1], target, request.body).call_action()
    return answer


class _Items(DynamoHandler):
    """A call about items whose parameters are read and whose result is written as JSON."""

    def __init__(self, region: str, target: str, body: bytes) -> None:
        super().__init__()
        self.params = json.loads(body)
        self.region, self.current_account = region, ACCOUNT
        self.headers = {"x-amz-target": target, "Content-Type": "application/x-amz-json-1.0"}
        self.querystring: dict[str, Any] = {}
        self.response_headers: dict[str, str] = {}

    def serialized(self, action_result: responses.ActionResult) -> TYPE_RESPONSE:
        if isinstance(action_result.result, Exception):
            return super().serialized(action_result)
        return 200, {}, json.dumps(action_result.result, default=_binary)

    @staticmethod
    def _enrich_response(headers: dict[str, str], body: Any) -> tuple[dict[str, str], Any]:
        return headers | {"x-amzn-requestid": "request"}, body


def _binary(value: bytes) -> str:
    return b64encode(value).decode()
