"""Reading a manifest as a stream, whatever its format: entries and findings, block by block."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from typing import Protocol

from jobyard.domain.manifests.checkm import Checkm
from jobyard.domain.manifests.csv_format import SEPARATORS, Csv, names_url
from jobyard.domain.manifests.findings import Check, shown
from jobyard.domain.manifests.json_lines import Jsonl
from jobyard.domain.manifests.lines import Span, spans
from jobyard.domain.manifests.profiles import PROFILES, Profile
from jobyard.domain.manifests.rows import Part

_JSON_LINES = (".jsonl", ".ndjson", ".json")


class Format(Protocol):
    """What reads one format, span by span."""

    @property
    def profile(self) -> Profile | None:
        """The profile as far as it is known."""

    @property
    def files(self) -> int:
        """How many rows were read, good and bad."""

    def read(self, span: Span) -> Iterator[Part]:
        """Entries and findings of `span`."""

    def end(self, last: int) -> Iterator[Part]:
        """What is left to say when the stream has ended with line `last`."""


class Reading:
    """One pass over a manifest. Iterate it for `(entries, findings)`, in file order, once.

    Memory is flat but for at most 40 bytes a row, which find a repeated file name: so write entries
    and findings out as they come. What comes must be thrown away again if, at the end, `verdict`
    is "error": then no object may be created. The properties tell what was read so far.

    `profile` is what the submission says the manifest is, None to let the manifest say it; the
    name of a profile that does not exist is an error like any in the manifest. `listed` are the
    `host:port`s that the deployment lets be private and have any port.
    """

    def __init__(
        self,
        blocks: Iterable[bytes],
        *,
        filename: str,
        profile: str | None = None,
        listed: Collection[str] = (),
    ) -> None:
        self._listed = listed
        self._filename = filename
        self._asked = profile
        self._format: Format | None = None
        self._levels: Counter[str] = Counter()
        self._parts = self._counted(self._read(blocks))

    def __iter__(self) -> Iterator[Part]:
        return self._parts

    @property
    def errors(self) -> int:
        """How many errors were found."""
        return self._levels["error"]

    @property
    def warnings(self) -> int:
        """How many warnings were found."""
        return self._levels["warning"]

    @property
    def verdict(self) -> str:
        """The worst of what was found: "error", "warning" or "pass"."""
        if self.errors:
            return "error"
        return "warning" if self.warnings else "pass"

    @property
    def profile(self) -> str | None:
        """The name of the manifest's profile, None if it has none that is known."""
        profile = self._format.profile if self._format else None
        return profile.name if profile else None

    @property
    def per_object(self) -> bool:
        """Whether all rows are files of one object."""
        profile = self._format.profile if self._format else None
        return profile is not None and profile.per_object

    @property
    def files(self) -> int:
        """How many rows there are, good and bad."""
        return self._format.files if self._format else 0

    @property
    def entries(self) -> int:
        """How many jobs are to be made: none after an error, one if the rows are one object's."""
        if self.errors:
            return 0
        return min(self.files, 1) if self.per_object else self.files

    def _counted(self, parts: Iterator[Part]) -> Iterator[Part]:
        for entries, findings in parts:
            self._levels.update(finding.level for finding in findings)
            if entries or findings:
                yield entries, findings

    def _read(self, blocks: Iterable[bytes]) -> Iterator[Part]:
        if self._asked and self._asked not in PROFILES:
            message = (
                f"the submission's profile {shown(self._asked)} is none of {', '.join(PROFILES)}"
            )
            yield [], [Check.PROFILE_UNKNOWN.at(0, 0, message)]
        expected = PROFILES.get(self._asked or "")
        span = Span(1, "")
        for span in spans(blocks):
            if self._format is None:
                self._format = _format_of(span.text, self._filename)(expected, self._listed)
            yield [], span.findings
            if not span.is_text:
                return
            yield from self._format.read(span)
        if self._format is None:
            self._format = _format_of("", self._filename)(expected, self._listed)
        yield from self._format.end(span.last)


def _format_of(text: str, filename: str) -> type[Checkm] | type[Csv] | type[Jsonl]:
    """What reads a manifest that begins with `text`. A plain sign in it counts for more than the
    name's ending; without either it is Checkm, the format that says what is missing."""
    start, ending = text.lstrip(), filename.lower()
    if start.startswith("#"):
        return Checkm
    if start.startswith(("{", "[")) or ending.endswith(_JSON_LINES):
        return Jsonl
    if ending.endswith(".csv"):
        return Csv
    header = start.partition("\n")[0]
    if any(names_url(header, separator) for separator in (",", *SEPARATORS)):
        return Csv
    return Checkm
