"""The safe way out: fetching what strangers' URLs name, without being led into our own house."""

from jobyard.jobtypes.fetch.answers import BLOCK
from jobyard.jobtypes.fetch.opener import Answer, Fetch, failure_of
from jobyard.jobtypes.fetch.pace import RESERVE_S, Patience
from jobyard.jobtypes.fetch.refusal import FetchRefused

__all__ = ["BLOCK", "RESERVE_S", "Answer", "Fetch", "FetchRefused", "Patience", "failure_of"]
