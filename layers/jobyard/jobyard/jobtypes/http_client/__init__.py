"""The safe way out: fetching what strangers' URLs name, without being led into our own house."""

from jobyard.jobtypes.http_client.client import Answer, Fetch, failure_of
from jobyard.jobtypes.http_client.pace import RESERVE_S, Patience
from jobyard.jobtypes.http_client.refusal import FetchRefused
from jobyard.jobtypes.http_client.responses import BLOCK

__all__ = ["BLOCK", "RESERVE_S", "Answer", "Fetch", "FetchRefused", "Patience", "failure_of"]
