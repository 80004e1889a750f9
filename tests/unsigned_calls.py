"""Calls of botocore without what only AWS would look at: signatures, user agents and the rules that
find an endpoint. They are a third of the time of a call that is answered in this process."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from botocore.awsrequest import AWSPreparedRequest, HeadersDict
from botocore.client import BaseClient
from botocore.endpoint import Endpoint
from botocore.httpchecksum import AwsChunkedWrapper
from botocore.utils import determine_content_length

_AUTHORIZATION = "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/{}/aws4_request"

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

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Endpoint, "create_request", create_unsigned)
        patch.setattr(BaseClient, "_resolve_endpoint_ruleset", find_ours)
        patch.setattr(BaseClient, "_convert_to_request_dict", convert_without_agent)
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
