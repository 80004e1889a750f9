"""Where a deposit keeps things. The archive's keys are for ever; staging goes when the job ends."""


def content_key(sha256: str) -> str:
    """Of a file's bytes in the archive, by their digest: the same bytes are kept once."""
    return f"content/sha256/{sha256[:2]}/{sha256[2:4]}/{sha256}"


def version_key(ark: str, version: int) -> str:
    """Of a version's manifest in the archive. An ark in its normal form has no hyphen: 1:1."""
    return f"objects/{ark.replace(':/', '-').replace('/', '-')}/v{version}.json"


def staging(job_id: str, name: str = "") -> str:
    """Of what a job needs between its steps, in the work bucket."""
    return f"staging/{job_id}/{name}"
