"""Writing a Checkm manifest that `reading` reads back as the same entries."""

from collections.abc import Iterable, Iterator

from jobyard.domain.errors import BadRequest
from jobyard.domain.manifests.checkm import END_LINE, VERSION_LINE, escaped, unescaped
from jobyard.domain.manifests.entry import Entry
from jobyard.domain.manifests.findings import shown
from jobyard.domain.manifests.lines import FORBIDDEN, LINE_BYTES
from jobyard.domain.manifests.profiles import PREFIXES, PROFILE_BASE, Column, Profile
from jobyard.domain.manifests.validation import locals_in


def manifest(entries: Iterable[Entry], profile: Profile) -> Iterator[bytes]:
    """A manifest of `profile` that lists `entries` in their order, a line at a time.

    Columns that the profile lacks are left out. Whether names repeat or end as they should is not
    looked at: that is what checking is for.

    Raises:
        BadRequest: an entry holds what Checkm has no way to write (see `line`).
    """
    yield from headers(profile)
    for entry in entries:
        yield line(entry, profile)
    yield f"{END_LINE}\n".encode()


def headers(profile: Profile) -> list[bytes]:
    """The lines before the rows."""
    lines = [VERSION_LINE, f"#%profile | {PROFILE_BASE}{profile.name}"]
    lines += [f"#%prefix | {prefix} | {uris[0]}" for prefix, uris in PREFIXES.items()]
    lines.append(" | ".join(["#%fields", *(column.heading for column in profile.columns)]))
    return [f"{text}\n".encode() for text in lines]


def line(entry: Entry, profile: Profile) -> bytes:
    """The row of `entry`.

    Raises:
        BadRequest: it has parameters, or a value with a control character, a literal "%7c", "%20"
            at an end, or "%sc" in a local identifier, or is longer than a line may be.
    """
    if entry.parameters:
        raise BadRequest(f"{shown(entry.name)} has parameters: only JSON Lines can hold them")
    size = "" if entry.size is None else str(entry.size)
    fields = {
        Column.URL: _url(entry.url),
        Column.ALGORITHM: entry.algorithm,
        Column.DIGEST: entry.digest,
        Column.SIZE: size,
        Column.NAME: _field(entry.name),
        Column.PRIMARY: entry.primary,
        Column.LOCAL: _locals(entry.local),
        Column.CREATOR: _field(entry.creator),
        Column.TITLE: _field(entry.title),
        Column.DATE: _field(entry.date),
    }
    text = " | ".join(fields.get(column, "") for column in profile.columns).rstrip(" ")
    try:
        row = f"{text}\n".encode()
    except UnicodeEncodeError as error:
        raise BadRequest(f"{shown(text)} is not text that UTF-8 can hold") from error
    if "\t" in text or FORBIDDEN.search(text):
        raise BadRequest(f"{shown(text)} holds a character that no manifest may hold")
    if len(row) > LINE_BYTES:
        raise BadRequest(f"{shown(text)} is longer than the {LINE_BYTES} bytes of a line")
    return row


def _url(url: str) -> str:
    if "|" in url or url != url.strip():
        raise BadRequest(f"{shown(url)} cannot be written in a Checkm manifest: no bar is allowed")
    return url


def _field(text: str) -> str:
    try:
        return escaped(text)
    except ValueError as error:
        raise BadRequest(str(error)) from error


def _locals(identifiers: tuple[str, ...]) -> str:
    text = _field("; ".join(identifier.replace(";", "%sc") for identifier in identifiers))
    if locals_in(unescaped(text)) != identifiers:
        raise BadRequest(f"{identifiers} cannot be written in a Checkm manifest")
    return text
