"""The closed list of checks of targets, next to those of lines, CSV and JSON in manifests."""

from jobyard.domain.manifests.findings import FindingCheck


class TargetCheck(FindingCheck):
    """A check of targets, by the code of its findings. After an error no campaign is created."""

    TARGET_ID_MISSING = "TARGET_ID_MISSING", "error", "A target has no id."
    TARGET_ID_BAD = (
        "TARGET_ID_BAD",
        "error",
        "An id is longer than 128 characters, or has others than letters, digits and `:._-`.",
    )
    ADDRESS_BAD = "ADDRESS_BAD", "error", "An address is neither a host, nor a URL of HTTP."
    ZONE_UNKNOWN = "ZONE_UNKNOWN", "error", "There is no time zone of that name."
    SECRET_BAD = "SECRET_BAD", "error", "The name of a secret is not one that AWS allows."
    TARGET_REPEATED = (
        "TARGET_REPEATED",
        "warning",
        "A target is listed again with the same fields: it has one task.",
    )
    TARGET_DIFFERS = "TARGET_DIFFERS", "error", "A target is listed again with other fields."
    ADDRESS_MISSING = (
        "ADDRESS_MISSING",
        "warning",
        "Some targets have no address, and others have one. It names the first without.",
    )
    ADDRESS_REPEATED = "ADDRESS_REPEATED", "warning", "Two targets have the same address."
    NO_TARGETS = "NO_TARGETS", "error", "There is no target, so there is nothing to do."
    TOO_MANY_TARGETS = "TOO_MANY_TARGETS", "error", "There are more targets than allowed."
