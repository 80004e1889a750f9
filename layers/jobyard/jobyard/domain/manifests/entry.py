"""An entry: a checked row of a manifest. All later steps read it from a line of JSON."""

import json
from collections.abc import Mapping
from json.encoder import encode_basestring_ascii as json_string
from types import MappingProxyType
from typing import Any, NamedTuple

NO_PARAMETERS: Mapping[str, Any] = MappingProxyType({})


class Entry(NamedTuple):
    """A checked row. An empty field of the manifest is "", (), None or an empty mapping.

    `kind` says what the URL leads to: a `file`, a `container` to unpack, or a `manifest` that
    describes an object. `line` is the row's line in its manifest, from 1.
    """

    line: int
    kind: str
    url: str
    name: str  # the file's path in its object: relative, unique; the URL's if the row has none
    algorithm: str = ""  # md5, sha-256 or sha-512
    digest: str = ""  # lower-case hex
    size: int | None = None  # bytes
    primary: str = ""  # the ark of the object, in its normal form
    local: tuple[str, ...] = ()
    creator: str = ""
    title: str = ""
    date: str = ""
    parameters: Mapping[str, Any] = NO_PARAMETERS  # JSON Lines only


_compact_json = json.JSONEncoder(separators=(",", ":")).encode


def row_of(entry: Entry) -> bytes:
    """`entry` as a line of JSON with its line end, without empty fields."""
    (
        line,
        kind,
        url,
        name,
        algorithm,
        digest,
        size,
        primary,
        local,
        creator,
        title,
        date,
        parameters,
    ) = entry
    optional = (
        f',"algorithm":"{algorithm}","digest":"{digest}"' if digest else "",
        f',"size":{size}' if size is not None else "",
        f',"primary":{json_string(primary)}' if primary else "",
        f',"local":[{",".join([json_string(each) for each in local])}]' if local else "",
        f',"creator":{json_string(creator)}' if creator else "",
        f',"title":{json_string(title)}' if title else "",
        f',"date":{json_string(date)}' if date else "",
        f',"parameters":{_compact_json(dict(parameters))}' if parameters else "",
    )
    required = f'"line":{line},"kind":"{kind}","url":{json_string(url)},"name":{json_string(name)}'
    return f"{{{required}{''.join(optional)}}}\n".encode("ascii")


def entry_of(row: bytes) -> Entry:
    """Parse what `row_of` wrote."""
    fields = json.loads(row)
    fields["local"] = tuple(fields.get("local", ()))
    return Entry(**fields)
