"""Calls of botocore without what only AWS would look at: signatures, user agents and the rules that
find an endpoint. They are a third of the time of a call that is answered in this process.

Calls about items of DynamoDB are written and read as the JSON that they are. botocore does both by
the model of the service, which takes as long as the emulator's answer.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import pytest
from botocore import utils
from botocore.awsrequest import AWSPreparedRequest, AWSResponse, HeadersDict
from botocore.client import BaseClient
from botocore.endpoint import Endpoint, convert_to_response_dict
from botocore.hooks import first_non_none_response
from botocore.httpchecksum import AwsChunkedWrapper
from botocore.serialize import JSONSerializer
from botocore.utils import determine_content_length

_AUTHORIZATION = "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/{}/aws4_request"

# Calls of DynamoDB whose parameters and results are JSON, but for binary attributes.
ABOUT_ITEMS = frozenset(
    f"{each}Item" for each in ("Get", "Put", "Update", "Delete", "BatchGet", "BatchWrite")
) | {
    *("Query", "Scan", "TransactGetItems", "TransactWriteItems"),
    *("BatchExecuteStatement", "ExecuteStatement", "ExecuteTransaction"),
}
# A result with one of these is read by the model: it may have bytes, or members without a value.
_BY_MODEL = (b'"B"', b'"BS"', b"null")

# The URL, headers and properties of a call's endpoint.
Found = tuple[str, dict[str, str], dict[str, Any]]
# Finds them for a client, an operation, and its parameters; the function finds them by the rules.
Find = Callable[[Any, Any, Mapping[str, Any], Callable[[], Found]], Found]


@contextmanager
def unsigned_calls(ours: Callable[[str], bool], endpoint_of: Find) -> Iterator[None]:
    """Calls to the addresses that are `ours` are not signed for the block. Presigned URLs are."""
    create, find = Endpoint.create_request, BaseClient._resolve_endpoint_ruleset
    convert = BaseClient._convert_to_request_dict

    def create_unsigned(endpoint: Endpoint, request: Any, model: Any = None) -> Any:
        # A body in chunks names its encoding in a header that signing adds.
        if ours(request["url"]) and not isinstance(request["body"], AwsChunkedWrapper):
            return unsigned(request, model)
        return create(endpoint, request, model)

    def find_ours(client: Any, model: Any, params: Any, context: Any, **presigned: Any) -> Found:
        def by_rules() -> Found:
            found: Found = find(client, model, params, context, **presigned)
            return found

        if presigned or not ours(client.meta.endpoint_url):
            return by_rules()
        return endpoint_of(client, model, params, by_rules)

    def convert_without_agent(client: Any, **how: Any) -> Any:
        agent = {"set_user_agent_header": False} if ours(client.meta.endpoint_url) else {}
        return convert(client, **how | agent)

    with pytest.MonkeyPatch.context() as patch, _json_calls(ours):
        patch.setattr(utils, "_parse_timestamp_with_tzinfo", _parsed_time)
        patch.setattr(Endpoint, "create_request", create_unsigned)
        patch.setattr(BaseClient, "_resolve_endpoint_ruleset", find_ours)
        patch.setattr(BaseClient, "_convert_to_request_dict", convert_without_agent)
        yield


@contextmanager
def _json_calls(ours: Callable[[str], bool]) -> Iterator[None]:
    """Calls about items to the addresses that are `ours` are written and read as JSON."""
    serialize = JSONSerializer.serialize_to_request
    get_response, needs_retry = Endpoint._get_response, Endpoint._needs_retry

    def serialize_as_json(serializer: JSONSerializer, params: Any, model: Any) -> Any:
        request = written(params, model) if _is_about_items(model) else None
        return request or serialize(serializer, params, model)

    def get_json(endpoint: Endpoint, request: Any, model: Any, context: Any) -> Any:
        if not (_is_about_items(model) and ours(request.url)):
            return get_response(endpoint, request, model, context)
        return json_response(endpoint, request, model)

    def needs_retry_if_not_ok(
        endpoint: Endpoint, attempts: int, model: Any, request: Any, found: Any, error: Any
    ) -> Any:
        is_ok = found and found[0].status_code == 200
        if is_ok and _is_about_items(model) and ours(endpoint.host):
            return False
        return needs_retry(endpoint, attempts, model, request, found, error)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(JSONSerializer, "serialize_to_request", serialize_as_json)
        patch.setattr(Endpoint, "_get_response", get_json)
        patch.setattr(Endpoint, "_needs_retry", needs_retry_if_not_ok)
        yield


def unsigned(request: Mapping[str, Any], model: Any) -> AWSPreparedRequest:
    """The request as botocore would send it, with a signature that is none."""
    body, headers = request["body"] or None, HeadersDict(request["headers"])
    if request["method"] not in {"GET", "HEAD"}:
        headers["Content-Length"] = str(determine_content_length(body))
    headers["Authorization"] = _AUTHORIZATION.format(model.service_model.signing_name)
    return AWSPreparedRequest(
        request["method"], request["url"], headers, body, model.has_streaming_output
    )


# An object's time is parsed with each of its responses, in a tenth of the time of the call.
_parsed_time = lru_cache(1024)(utils._parse_timestamp_with_tzinfo)


def _is_about_items(model: Any) -> bool:
    return model.name in ABOUT_ITEMS and model.service_model.service_name == "dynamodb"


def written(params: Mapping[str, Any], model: Any) -> dict[str, Any] | None:
    """A call about items as botocore's serializer writes it; None if it has bytes."""
    try:
        body = json.dumps(params).encode()
    except TypeError:
        return None
    target = f"{model.metadata['targetPrefix']}.{model.name}"
    return {
        "url_path": "/",
        "query_string": "",
        "method": "POST",
        "headers": {
            "X-Amz-Target": target,
            "Content-Type": f"application/x-amz-json-{model.metadata['jsonVersion']}",
        },
        "body": body,
    }


def json_response(endpoint: Endpoint, request: AWSPreparedRequest, model: Any) -> Any:
    """What botocore's endpoint returns of one try of a call about items: the response and what is
    in it, or an error of the connection."""
    sent = endpoint._event_emitter.emit(f"before-send.dynamodb.{model.name}", request=request)
    try:
        response = first_non_none_response(sent) or endpoint._send(request)
    except Exception as error:
        return None, error
    if response.status_code == 200 and not any(each in response.content for each in _BY_MODEL):
        return (response, read(response, model)), None
    found = convert_to_response_dict(response, model)
    parser = endpoint._response_parser_factory.create_parser(model.service_model.resolved_protocol)
    parsed = parser.parse(found, model.output_shape)
    if response.status_code >= 300:
        endpoint._add_modeled_error_fields(found, parsed, model, parser)
    return (response, parsed), None


def read(response: AWSResponse, model: Any) -> dict[str, Any]:
    """A result without bytes as botocore's parser reads it."""
    headers = {name.lower(): value for name, value in response.headers.items()}
    metadata = {"HTTPStatusCode": response.status_code, "HTTPHeaders": headers}
    if "x-amzn-requestid" in headers:
        metadata["RequestId"] = headers["x-amzn-requestid"]
    result = json.loads(response.content)
    members = {name: result[name] for name in model.output_shape.members if name in result}
    return {**members, "ResponseMetadata": metadata}
