"""Checks of whole columns at a time: the fast path for rows without findings.

Rows that pass here get the same entries as from `validation`; all others are left to it. A test
compares the two.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import repeat
from typing import Any

from jobyard.domain.arks import normal_ark
from jobyard.domain.manifests.entry import NO_PARAMETERS, Entry
from jobyard.domain.manifests.profiles import (
    CONTAINER,
    CONTAINER_ENDINGS,
    FILE,
    MANIFEST,
    MANIFEST_ENDING,
    Column,
    Profile,
    kind_of,
)
from jobyard.domain.manifests.url_checks import UrlWarnings, server_of
from jobyard.domain.manifests.validation import (
    HEX_LENGTHS,
    MAX_FILE_NAME_BYTES,
    MAX_LOCAL_IDS,
    MAX_SIZE_DIGITS,
    algorithm_named,
    local_ids_in,
)
from jobyard.domain.urls import PLAIN_SERVER, URL_LENGTH

# The texts of a column, one for each row; a column that is empty in all rows is missing.
Texts = Mapping[Column, Sequence[str]]

_SERVER = re.compile(f"{PLAIN_SERVER}/")
_DIGESTS = {("", 0), *HEX_LENGTHS.items()}
# In names, each between two line ends: signs of a blank name, an absolute path, an empty part, "."
# or "..", or a name that Windows does not allow. Some valid names have such signs too.
_SUSPECT = ("\n.", "\n ", "\n\n", ".\n", " \n", *'\\<>:"|?*')
_SUSPECT_IN_PATHS = ("/.", "//", "\n/", "/\n", "./", " /")
_DEVICES = re.compile(r"[/\n](?:con|prn|aux|nul|(?:com|lpt)[0-9¹²³])(?:in\$|out\$)? *[./\n]")


def entries_of(
    texts: Texts, first: int, profile: Profile, url_warnings: UrlWarnings | None = None
) -> list[Entry] | None:
    """The entries of the rows of `texts`, on the lines from `first` on.

    None if any row may have a finding. The texts have no control characters, and no spaces at their
    ends except in names. `url_warnings` knows the hosts whose warning was reported already.
    """
    urls, names = texts.get(Column.URL, ()), texts.get(Column.NAME, ())
    if not urls or not names or not _are_valid_urls(urls, url_warnings or UrlWarnings()):
        return None
    digests = _digests(texts)
    sizes = _sizes(texts.get(Column.SIZE, ()))
    kinds = _kinds(names, profile)
    # A character has at most four bytes, so a shorter name cannot be too long.
    may_be_too_long = max(map(len, names)) > MAX_FILE_NAME_BYTES // 4
    if digests is None or sizes is None or kinds is None or may_be_too_long:
        return None
    local_ids = texts.get(Column.LOCAL, ())
    # A text with fewer characters than the limit cannot have too many identifiers.
    if local_ids and max(map(len, local_ids)) > MAX_LOCAL_IDS:
        return None
    primaries = list(map(normal_ark, texts.get(Column.PRIMARY, ())))
    if primaries.count("") != list(texts.get(Column.PRIMARY, ())).count(""):
        return None
    fields: Iterable[Any] = zip(
        range(first, first + len(urls)),
        kinds,
        urls,
        names,
        *digests,
        sizes,
        primaries or repeat(""),
        _local_ids(local_ids),
        texts.get(Column.CREATOR) or repeat(""),
        texts.get(Column.TITLE) or repeat(""),
        texts.get(Column.DATE) or repeat(""),
        repeat(NO_PARAMETERS),
    )
    return list(map(tuple.__new__, repeat(Entry), fields))


def _are_valid_urls(urls: Sequence[str], warnings: UrlWarnings) -> bool:
    joined = "\n" + "\n".join(urls)
    if not joined.isascii() or " " in joined or "#" in joined:
        return False
    if max(map(len, urls)) > URL_LENGTH:
        return False
    server = server_of(urls[0])
    servers = {server}
    if joined.count("\n" + server) != len(urls):
        servers = set(map(server_of, urls))
    return all(map(_SERVER.fullmatch, servers)) or warnings.are_checked(servers)


def _digests(texts: Texts) -> tuple[Iterable[str], Iterable[str]] | None:
    """The algorithms and the digests of all rows; None if one may have a finding."""
    algorithms, digests = texts.get(Column.ALGORITHM, ()), texts.get(Column.DIGEST, ())
    if not algorithms and not digests:
        return repeat(""), repeat("")
    if not algorithms or not digests:
        return None
    if algorithms.count(algorithms[0]) == len(algorithms):
        algorithms = [algorithm_named(algorithms[0])] * len(algorithms)
        pairs = {(algorithms[0], length) for length in set(map(len, digests))}
    else:
        by_text = {text: algorithm_named(text) for text in set(algorithms)}
        if any(text and not name for text, name in by_text.items()):
            return None
        algorithms = [by_text[text] for text in algorithms]
        pairs = set(zip(algorithms, map(len, digests), strict=True))
    if not pairs <= _DIGESTS:
        return None
    joined = "".join(digests)
    try:
        bytes.fromhex(joined)
    except ValueError:
        return None
    if " " in joined:
        return None
    return algorithms, digests if joined == joined.lower() else list(map(str.lower, digests))


def _sizes(sizes: Sequence[str]) -> Iterable[int | None] | None:
    """The sizes of all rows in bytes; None if one may have a finding."""
    if not sizes:
        return repeat(None)
    joined = "".join(sizes)
    if not joined:
        return repeat(None)
    if not joined.isascii() or not joined.isdecimal() or max(map(len, sizes)) > MAX_SIZE_DIGITS:
        return None
    if "" in sizes:
        return [int(size) if size else None for size in sizes]
    return map(int, sizes)


def _kinds(names: Sequence[str], profile: Profile) -> Iterable[str] | None:
    """The kinds of all entries; None if a name may have a finding."""
    joined = "\n" + "\n".join(names) + "\n"
    if any(sign in joined for sign in _SUSPECT):
        return None
    if "/" in joined and any(sign in joined for sign in _SUSPECT_IN_PATHS):
        return None
    lower = joined.lower()
    if _DEVICES.search(lower):
        return None
    manifests = lower.count(f"{MANIFEST_ENDING}\n")
    containers = 0
    if manifests < len(names):
        containers = sum(lower.count(f"{ending}\n") for ending in CONTAINER_ENDINGS)
    counts = {MANIFEST: manifests, CONTAINER: containers}
    counts[FILE] = len(names) - manifests - containers
    present = {kind for kind, count in counts.items() if count}
    if not present <= profile.accepts or present & profile.warns:
        return None
    if profile.kind:
        return repeat(profile.kind)
    return repeat(*present) if len(present) == 1 else list(map(kind_of, names))


def _local_ids(local_ids: Sequence[str]) -> Iterable[tuple[str, ...]]:
    joined = "".join(local_ids)
    if not joined:
        return repeat(())
    if ";" in joined or "%" in joined or "" in local_ids:
        return map(local_ids_in, local_ids)
    return zip(local_ids, strict=True)
