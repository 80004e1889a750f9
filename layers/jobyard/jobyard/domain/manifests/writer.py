"""Writing a manifest, in Checkm, CSV or JSON Lines, from which `reader` reads the same entries."""

import csv
import io
import json
from collections.abc import Iterable, Iterator
from typing import Any

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


def csv_manifest(entries: Iterable[Entry], profile: Profile) -> Iterator[bytes]:
    """The same in CSV, with the short names of all columns of the profile.

    Raises:
        BadRequest: an entry has parameters, or text that UTF-8 cannot encode.
    """
    names = [column.alias for column in profile.columns if column.alias]
    yield _csv_line(names)
    for entry in entries:
        if entry.parameters:
            raise _unwritable_parameters(entry)
        values = entry._asdict() | {
            "size": "" if entry.size is None else str(entry.size),
            "local": "; ".join(each.replace(";", "%sc") for each in entry.local),
        }
        yield _csv_line([values[name] for name in names])


def _unwritable_parameters(entry: Entry) -> BadRequest:
    return BadRequest(f"{quoted(entry.name)} has parameters: only JSON Lines can contain them")


def _csv_line(cells: list[str]) -> bytes:
    text = io.StringIO()  # readers keep the blanks around a value only in quotes
    csv.writer(text, csv.excel, quoting=csv.QUOTE_ALL, lineterminator="\n").writerow(cells)
    return _encoded(text.getvalue())


def json_lines(entries: Iterable[Entry], profile: Profile) -> Iterator[bytes]:
    """The same in JSON Lines, without empty fields.

    Raises:
        BadRequest: an entry has text that UTF-8 cannot encode.
    """
    names = [column.alias for column in profile.columns if column.alias]
    # Each of these keys shows the reader that a row is an object, even with a null.
    marker: dict[str, Any] = {"title": None} if Column.TITLE in profile.columns else {}
    for entry in entries:
        values = entry._asdict()
        filled = {name: values[name] for name in names if values[name] not in ("", (), None)}
        document = marker | filled
        if entry.parameters:
            document["parameters"] = dict(entry.parameters)
        yield _encoded(json.dumps(document, ensure_ascii=False) + "\n")


def _encoded(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise BadRequest(f"{quoted(text)} cannot be encoded in UTF-8") from error


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
        raise _unwritable_parameters(entry)
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
