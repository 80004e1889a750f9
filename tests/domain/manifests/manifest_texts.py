"""Manifests as text, and the result of reading one."""

from collections.abc import Iterable
from dataclasses import dataclass

from jobyard.domain.manifests.entry import Entry
from jobyard.domain.manifests.findings import Finding
from jobyard.domain.manifests.profiles import (
    CONTAINER_BATCH,
    INGEST,
    MANIFEST_BATCH,
    PROFILES,
    SINGLE_FILE_BATCH,
    Profile,
)
from jobyard.domain.manifests.reader import ManifestReader
from jobyard.domain.manifests.writer import headers

MD5 = "d41d8cd98f00b204e9800998ecf8427e"
SHA_256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
SHA_512 = SHA_256 * 2

LISTED = frozenset({"x:80", "x:443"})  # hosts that the deployment lists: http://x/ is one of them

NAMES = {
    INGEST: "a.txt",
    MANIFEST_BATCH: "a.checkm",
    CONTAINER_BATCH: "a.zip",
    SINGLE_FILE_BATCH: "a.txt",
}
EVERY_PROFILE = tuple(PROFILES.values())


@dataclass(frozen=True)
class Outcome:
    """The result of reading a manifest."""

    reading: ManifestReader
    entries: list[Entry]
    findings: list[Finding]

    @property
    def codes(self) -> list[str]:
        """The codes of the errors and warnings, in the order found."""
        return [each.code for each in self.findings if each.level != "information"]

    @property
    def places(self) -> list[tuple[str, int, int]]:
        """The same, each with its line and column."""
        return [
            (each.code, each.line, each.column)
            for each in self.findings
            if each.level != "information"
        ]


def read(
    text: str | bytes | Iterable[bytes],
    filename: str = "manifest.checkm",
    profile: str | None = None,
) -> Outcome:
    """Read a manifest to its end."""
    if isinstance(text, str):
        text = text.encode()
    blocks = [text] if isinstance(text, bytes) else text
    reading = ManifestReader(blocks, filename=filename, profile=profile, allowed_hosts=LISTED)
    entries: list[Entry] = []
    findings: list[Finding] = []
    for some, found in reading:
        entries += some
        findings += found
    return Outcome(reading, entries, findings)


def checkm(*rows: str, profile: Profile = INGEST, end: str = "#%eof\n") -> str:
    """A manifest with valid headers. The first row is line 6."""
    return b"".join(headers(profile)).decode() + "".join(f"{row}\n" for row in rows) + end


def row(
    url: str = "https://example.org/a.txt",
    algorithm: str = "",
    digest: str = "",
    size: str = "",
    name: str = "a.txt",
    *more: str,
) -> str:
    """A row of Checkm; `more` are the columns after the file name."""
    return " | ".join((url, algorithm, digest, size, "", name, *more))
