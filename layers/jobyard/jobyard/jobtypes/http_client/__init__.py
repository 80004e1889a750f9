"""The HTTP client for URLs that strangers choose: it never connects to our own network."""

from jobyard.jobtypes.http_client.client import Answer, HttpClient, Response, failure_of
from jobyard.jobtypes.http_client.pace import RESERVE_S, Timeouts
from jobyard.jobtypes.http_client.refusal import FetchRefused
from jobyard.jobtypes.http_client.responses import BLOCK

__all__ = [
    "BLOCK",
    "RESERVE_S",
    "Answer",
    "FetchRefused",
    "HttpClient",
    "Response",
    "Timeouts",
    "failure_of",
]
