"""The HTTP client for URLs chosen by strangers: they cannot lead it into our own network."""

from jobyard.jobtypes.http_client.client import HttpClient, Response, failure_of
from jobyard.jobtypes.http_client.pace import RESERVE_S, Timeouts
from jobyard.jobtypes.http_client.refusal import FetchRefused
from jobyard.jobtypes.http_client.responses import BLOCK

__all__ = ["BLOCK", "RESERVE_S", "FetchRefused", "HttpClient", "Response", "Timeouts", "failure_of"]
