"""Writing a Checkm manifest from which `reader` reads the same entries."""

from collections.abc import Iterable, Iterator

from jobyard.domain.errors import BadRequest
from jobyard.domain.manifests.checkm import END_LINE, VERSION_LINE, escaped, unescaped
from jobyard.domain.manifests.entry import Entry
from jobyard.domain.manifests.findings import quoted
from jobyard.domain.manifests.lines import FORBIDDEN, LINE_BYTES
from jobyard.domain.manifests.profiles import PREFIXES, PROFILE_BASE, Column, Profile
from jobyard.domain.manifests.validation import local_ids_in


def manifest(entries: Iterable[Entry], profile: Profile) -> Iterator[bytes]:
    """A manifest of `profile` with `entries` in their order, line by line.

    Columns that the profile does not have are left out. File names are not checked.

    Raises:
        BadRequest: Checkm cannot express an entry (see `line`).
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
        BadRequest: the row would be too long; the entry has parameters; or a value has a control
            character, a literal "%7c", "%20" at an end, or "%sc" in a local identifier.
    """
    if entry.parameters:
        raise BadRequest(f"{quoted(entry.name)} has parameters: only JSON Lines can contain them")
    size = "" if entry.size is None else str(entry.size)
    fields = {
        Column.URL: _url(entry.url),
        Column.ALGORITHM: entry.algorithm,
        Column.DIGEST: entry.digest,
        Column.SIZE: size,
        Column.NAME: _field(entry.name),
        Column.PRIMARY: entry.primary,
        Column.LOCAL: _local_ids(entry.local),
        Column.CREATOR: _field(entry.creator),
        Column.TITLE: _field(entry.title),
        Column.DATE: _field(entry.date),
    }
    text = " | ".join(fields.get(column, "") for column in profile.columns).rstrip(" ")
    try:
        row = f"{text}\n".encode()
    except UnicodeEncodeError as error:
        raise BadRequest(f"{quoted(text)} cannot be encoded in UTF-8") from error
    if "\t" in text or FORBIDDEN.search(text):
        raise BadRequest(f"{quoted(text)} contains a character that a manifest may not contain")
    if len(row) > LINE_BYTES:
        raise BadRequest(f"{quoted(text)} is too long: a line has at most {LINE_BYTES} bytes")
    return row


def _url(url: str) -> str:
    if "|" in url or url != url.strip():
        raise BadRequest(
            f"{quoted(url)} cannot be written in a Checkm manifest: "
            'a URL may contain no "|" and no spaces at its ends'
        )
    return url


def _field(text: str) -> str:
    try:
        return escaped(text)
    except ValueError as error:
        raise BadRequest(str(error)) from error


def _local_ids(identifiers: tuple[str, ...]) -> str:
    text = _field("; ".join(identifier.replace(";", "%sc") for identifier in identifiers))
    if local_ids_in(unescaped(text)) != identifiers:
        raise BadRequest(f"{identifiers} cannot be written in a Checkm manifest")
    return text
