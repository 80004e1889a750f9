"""Reading a manifest of any format as a stream: entries and findings, block by block."""

from collections.abc import Collection, Iterable, Iterator
from typing import Protocol

from jobyard.domain.manifests.checkm import CheckmReader
from jobyard.domain.manifests.csv_format import SEPARATORS, CsvReader, has_url_heading
from jobyard.domain.manifests.findings import Check, FindingLevels, quoted
from jobyard.domain.manifests.json_lines import JsonLinesReader
from jobyard.domain.manifests.lines import Span, spans
from jobyard.domain.manifests.profiles import PROFILES, Profile
from jobyard.domain.manifests.rows import CheckedRows

_JSON_LINES = (".jsonl", ".ndjson", ".json")


class FormatReader(Protocol):
    """A reader of one format."""

    @property
    def profile(self) -> Profile | None:
        """The profile of the rows so far; None if it is not known."""

    @property
    def row_count(self) -> int:
        """The number of rows so far, with and without errors."""

    def read(self, span: Span) -> Iterator[CheckedRows]:
        """The entries and findings of `span`."""

    def end(self, last: int) -> Iterator[CheckedRows]:
        """The entries and findings that are left at the end; `last` is the last line's number."""


class ManifestReader(FindingLevels):
    """One pass over a manifest. Iterate over it once for `(entries, findings)`, in file order.

    It needs at most 40 bytes of memory for each row, to find repeated file names, so write entries
    and findings out as they come. If the `worst_level` is "error" in the end, discard the entries:
    no object may be created. The properties describe what was read so far.

    `profile` is the name of the submission's profile, None if the manifest decides. An unknown name
    is an error like any in the manifest. `allowed_hosts` are the deployment's, as in
    `urls.warning_in`.
    """

    def __init__(
        self,
        blocks: Iterable[bytes],
        *,
        filename: str,
        profile: str | None = None,
        allowed_hosts: Collection[str] = (),
    ) -> None:
        super().__init__()
        self._allowed_hosts = allowed_hosts
        self._filename = filename
        self._expected = profile
        self._reader: FormatReader | None = None
        self._parts = self._counted(self._read(blocks))

    def __iter__(self) -> Iterator[CheckedRows]:
        return self._parts

    @property
    def profile(self) -> str | None:
        """The name of the manifest's profile; None if it is not known."""
        profile = self._reader.profile if self._reader else None
        return profile.name if profile else None

    @property
    def is_one_object(self) -> bool:
        """Whether all rows are files of one object."""
        profile = self._reader.profile if self._reader else None
        return profile is not None and profile.is_one_object

    @property
    def row_count(self) -> int:
        """The number of rows, with and without errors."""
        return self._reader.row_count if self._reader else 0

    @property
    def job_count(self) -> int:
        """The number of jobs to create: none after an error, one if all rows are one object."""
        if self.errors:
            return 0
        return min(self.row_count, 1) if self.is_one_object else self.row_count

    def _counted(self, parts: Iterator[CheckedRows]) -> Iterator[CheckedRows]:
        for entries, findings in parts:
            self._levels.update(finding.level for finding in findings)
            if entries or findings:
                yield entries, findings

    def _read(self, blocks: Iterable[bytes]) -> Iterator[CheckedRows]:
        if self._expected and self._expected not in PROFILES:
            message = f"the submission's profile {quoted(self._expected)} does not exist: "
            message += f"the profiles are {', '.join(PROFILES)}"
            yield [], [Check.PROFILE_UNKNOWN.at(0, 0, message)]
        expected = PROFILES.get(self._expected or "")
        span = Span(1, "")
        for span in spans(blocks):
            if self._reader is None:
                self._reader = _reader_class(span.text, self._filename)(
                    expected, self._allowed_hosts
                )
            yield [], span.findings
            if not span.is_text:
                return
            yield from self._reader.read(span)
        if self._reader is None:
            self._reader = _reader_class("", self._filename)(expected, self._allowed_hosts)
        yield from self._reader.end(span.last)


def _reader_class(
    text: str, filename: str
) -> type[CheckmReader] | type[CsvReader] | type[JsonLinesReader]:
    """The reader for a manifest that begins with `text`.

    The text counts more than the ending of the file name. If neither shows the format, it is
    Checkm, whose findings say what is missing.
    """
    start, name = text.lstrip(), filename.lower()
    if start.startswith("#"):
        return CheckmReader
    if start.startswith(("{", "[")) or name.endswith(_JSON_LINES):
        return JsonLinesReader
    if name.endswith(".csv"):
        return CsvReader
    header = start.partition("\n")[0]
    if any(has_url_heading(header, separator) for separator in (",", *SEPARATORS)):
        return CsvReader
    return CheckmReader
