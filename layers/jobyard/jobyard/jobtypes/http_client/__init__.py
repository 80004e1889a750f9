"""The safe way out: fetching what strangers' URLs name, without being led into our own house."""

from jobyard.jobtypes.http_client.client import HttpClient, Response, failure_of
from jobyard.jobtypes.http_client.pace import RESERVE_S, Timeouts
from jobyard.jobtypes.http_client.refusal import FetchRefused
from jobyard.jobtypes.http_client.responses import BLOCK

__all__ = ["BLOCK", "RESERVE_S", "FetchRefused", "HttpClient", "Response", "Timeouts", "failure_of"]
