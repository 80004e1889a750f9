"""Inference of the batch profile of CSV and JSON Lines from the file names.

If all are manifests, it is mrt-batch-manifest; if all are containers, mrt-container-batch-manifest;
otherwise mrt-single-file-batch-manifest, in which a container is a warning. Manifests mixed with
other files are an error.
"""

from jobyard.domain.manifests.entry import Entry, row_of
from jobyard.domain.manifests.findings import Check, Finding, quoted
from jobyard.domain.manifests.profiles import (
    CONTAINER,
    CONTAINER_BATCH,
    FILE,
    MANIFEST,
    MANIFEST_BATCH,
    SINGLE_FILE_BATCH,
    Profile,
)
from jobyard.domain.manifests.rows import CheckedRows

_MAX_KEPT_BYTES = 1_048_576  # of leading containers that wait for a row that decides
_PROFILES = {MANIFEST: MANIFEST_BATCH, CONTAINER: CONTAINER_BATCH, FILE: SINGLE_FILE_BATCH}


class Inference:
    """Decides the kind of entries that are read without a profile, in order.

    Containers are unpacked if all entries are containers, and stored as files otherwise. So while a
    manifest begins with containers, its entries are kept back, up to `_MAX_KEPT_BYTES`. After that
    they are containers, and a later plain file is an error.
    """

    def __init__(self) -> None:
        self._kind = ""
        self._kept: list[Entry] = []
        self._kept_size = 0

    @property
    def profile(self) -> Profile | None:
        """The profile of the entries so far; None before the first."""
        return _PROFILES.get(self._kind)

    def decide(self, part: CheckedRows) -> CheckedRows:
        """The entries whose kind is decided, with findings about it."""
        entries, findings = part
        if not self._kept and all(entry.kind == self._kind for entry in entries):
            return part
        decided: list[Entry] = []
        findings = list(findings)
        for entry in entries:
            if not self._kind:
                self._kind = entry.kind
                if self._kind == CONTAINER:
                    self._keep(entry)
                    continue
            if self._kept and entry.kind == CONTAINER:
                self._keep(entry)
                if self._kept_size > _MAX_KEPT_BYTES:
                    decided += self._taken()
                continue
            if self._kept and entry.kind == FILE:
                self._kind = FILE
            for each in (*self._taken(), entry):
                findings += self._check(each)
                decided.append(each._replace(kind=self._kind))
        return decided, findings

    def end(self) -> CheckedRows:
        """The entries that are still kept back after the last row."""
        return self._taken(), []

    def _keep(self, entry: Entry) -> None:
        self._kept.append(entry)
        self._kept_size += len(row_of(entry))

    def _taken(self) -> list[Entry]:
        kept, self._kept = self._kept, []
        return kept

    def _check(self, entry: Entry) -> list[Finding]:
        if entry.kind == self._kind:
            return []
        if (self._kind, entry.kind) == (FILE, CONTAINER):
            message = (
                f"{quoted(entry.name)} is a container among plain files: it will not be unpacked"
            )
            return [Check.CONTAINER_AS_FILE.at(entry.line, 0, message)]
        profile = _PROFILES[self._kind]
        message = (
            f"{quoted(entry.name)} is a {entry.kind}, but the rows before it are of "
            f"{profile.name}: submit them separately, or name the profile"
        )
        return [Check.PROFILE_MIXED.at(entry.line, 0, message)]
