"""The keys of uploads in the intake bucket. A key says who uploaded the file, so that nobody can
use another person's.
"""

import re

from jobyard.domain.ids import upload_folder_of

_REST = r"t[a-z2-7]{20}/[^/\\\x00-\x1f\x7f]{1,255}"


def upload_key(prefix: str, sub: str, request_key: str, filename: str) -> str:
    """The key to upload a file to under `prefix`. A repeated request gets the same key."""
    upload = upload_folder_of(f"{sub}\n{request_key}".encode())
    return f"{_own_prefix(prefix, sub)}{upload}/{filename}"


def is_own_upload(prefix: str, key: str, sub: str) -> bool:
    """Whether a key is of a file that this person uploaded under `prefix`."""
    own = re.escape(_own_prefix(prefix, sub))
    return bool(re.fullmatch(own + _REST, key)) and not key.endswith(("/.", "/.."))


def _own_prefix(prefix: str, sub: str) -> str:
    return f"{prefix}{upload_folder_of(sub.encode())}/"
