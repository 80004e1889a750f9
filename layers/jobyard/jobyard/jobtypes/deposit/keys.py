"""The S3 keys of a deposit. Archive keys never change; staged files are removed at the end."""

from jobyard.domain.arks import object_id_of


def content_key(sha256: str) -> str:
    """The archive key of a file, by its digest: equal bytes are stored once."""
    return f"content/sha256/{sha256[:2]}/{sha256[2:4]}/{sha256}"


def version_key(ark: str, version: int) -> str:
    """The archive key of a version's manifest. It is unique: a normal ark has no hyphen."""
    return f"objects/{object_id_of(ark)}/v{version}.json"


def staging(job_id: str, name: str = "") -> str:
    """The key in the work bucket for data that a job needs between its steps."""
    return f"staging/{job_id}/{name}"
