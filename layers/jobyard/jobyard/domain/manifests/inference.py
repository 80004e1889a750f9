"""Which batch profile is meant when no header says so: CSV and JSON Lines.

Source: domain digest 1.e.6. All names .checkm: batch; all containers: container-batch; else
single-file, where a container is remarked on; manifests mixed with others are refused.
"""

from jobyard.domain.manifests.entry import Entry, row
from jobyard.domain.manifests.findings import Check, Finding, shown
from jobyard.domain.manifests.profiles import (
    CONTAINER,
    CONTAINER_BATCH,
    FILE,
    MANIFEST,
    MANIFEST_BATCH,
    SINGLE_FILE_BATCH,
    Profile,
)
from jobyard.domain.manifests.rows import Part

_HELD = 1_048_576  # bytes of leading container rows held back until a row decides
_PROFILES = {MANIFEST: MANIFEST_BATCH, CONTAINER: CONTAINER_BATCH, FILE: SINGLE_FILE_BATCH}


class Inference:
    """Settles the kind of entries read without a profile, in order.

    Containers alone are unpacked, but beside plain files they are kept as they are. So while a
    manifest begins with containers its entries are held back, up to a bound; past it they are
    containers for good, and a plain file that still comes is an error.
    """

    def __init__(self) -> None:
        self._kind = ""
        self._held: list[Entry] = []
        self._held_size = 0

    @property
    def profile(self) -> Profile | None:
        """The profile of what was read so far, None before the first row."""
        return _PROFILES.get(self._kind)

    def settle(self, part: Part) -> Part:
        """The entries that are decided, with what is to be said of them."""
        entries, findings = part
        if not self._held and all(entry.kind == self._kind for entry in entries):
            return part
        decided: list[Entry] = []
        findings = list(findings)
        for entry in entries:
            if not self._kind:
                self._kind = entry.kind
                if self._kind == CONTAINER:
                    self._hold(entry)
                    continue
            if self._held and entry.kind == CONTAINER:
                self._hold(entry)
                if self._held_size > _HELD:
                    decided += self._released()
                continue
            if self._held and entry.kind == FILE:
                self._kind = FILE
            for each in (*self._released(), entry):
                found = self._fault(each)
                findings += found
                decided.append(each._replace(kind=self._kind))
        return decided, findings

    def end(self) -> Part:
        """What was still held when the rows ended."""
        return self._released(), []

    def _hold(self, entry: Entry) -> None:
        self._held.append(entry)
        self._held_size += len(row(entry))

    def _released(self) -> list[Entry]:
        held, self._held = self._held, []
        return held

    def _fault(self, entry: Entry) -> list[Finding]:
        if entry.kind == self._kind:
            return []
        if (self._kind, entry.kind) == (FILE, CONTAINER):
            message = (
                f"{shown(entry.name)} is a container beside plain files: it will not be unpacked"
            )
            return [Check.CONTAINER_AS_FILE.at(entry.line, 0, message)]
        profile = _PROFILES[self._kind]
        message = (
            f"{shown(entry.name)} is a {entry.kind}, the rows before are of {profile.name}: "
            "submit them apart, or name the profile"
        )
        return [Check.PROFILE_MIXED.at(entry.line, 0, message)]
