"""Columns and profiles as data: the fields of a row, and what a row of each profile describes.

Source of names and order: Merritt's dialect of Checkm 0.7.
"""

from dataclasses import dataclass
from enum import StrEnum

PROFILE_BASE = "http://uc3.cdlib.org/registry/ingest/manifest/"
PREFIXES = {  # the URI to write, then others that Merritt's own writers use
    "mrt:": ("http://merritt.cdlib.org/terms#", "http://uc3.cdlib.org/ontology/mom#"),
    "nfo:": ("http://www.semanticdesktop.org/ontologies/2007/03/22/nfo#",),
}


class Column(StrEnum):
    """A column by its name without prefix. `alias` is its field in `Entry`, "" if it has none.

    The modification time and the media type are accepted and ignored, as in Merritt.
    """

    prefix: str
    alias: str

    URL = "fileUrl", "nfo:", "url"
    ALGORITHM = "hashAlgorithm", "nfo:", "algorithm"
    DIGEST = "hashValue", "nfo:", "digest"
    SIZE = "fileSize", "nfo:", "size"
    MODIFIED = "fileLastModified", "nfo:", ""
    NAME = "fileName", "nfo:", "name"
    MEDIA_TYPE = "mimeType", "mrt:", ""
    PRIMARY = "primaryIdentifier", "mrt:", "primary"
    LOCAL = "localIdentifier", "mrt:", "local"
    CREATOR = "creator", "mrt:", "creator"
    TITLE = "title", "mrt:", "title"
    DATE = "date", "mrt:", "date"

    def __new__(cls, name: str, prefix: str, alias: str) -> "Column":
        member = str.__new__(cls, name)
        member._value_ = name
        member.prefix = prefix
        member.alias = alias
        return member

    @property
    def heading(self) -> str:
        """The column's name in a `#%fields` header."""
        return self.prefix + self.value


COMMON = (
    Column.URL,
    Column.ALGORITHM,
    Column.DIGEST,
    Column.SIZE,
    Column.MODIFIED,
    Column.NAME,
)
OBJECT = (Column.PRIMARY, Column.LOCAL, Column.CREATOR, Column.TITLE, Column.DATE)
# In CSV and JSON Lines, each of these columns shows that a row is an object; a date does not.
OBJECT_MARKERS = frozenset({Column.PRIMARY, Column.LOCAL, Column.CREATOR, Column.TITLE})

FILE, CONTAINER, MANIFEST = "file", "container", "manifest"
MANIFEST_ENDING = ".checkm"
CONTAINER_ENDINGS = (".zip", ".tar", ".tar.gz", ".bz2")
ANY_KIND = frozenset({FILE, CONTAINER, MANIFEST})


@dataclass(frozen=True)
class Profile:
    """What the rows of a manifest describe.

    `kind` is the kind of every entry, "" if the file name of each row decides. `accepts` are the
    kinds of file names that are allowed, `warns` those that are a warning. `is_one_object` says
    that all rows are files of one object.
    """

    name: str
    kind: str
    columns: tuple[Column, ...]
    accepts: frozenset[str] = ANY_KIND
    warns: frozenset[str] = frozenset()
    is_one_object: bool = False


INGEST = Profile(
    "mrt-ingest-manifest", FILE, (*COMMON, Column.MEDIA_TYPE), accepts=ANY_KIND, is_one_object=True
)
MANIFEST_BATCH = Profile(
    "mrt-batch-manifest", MANIFEST, (*COMMON, *OBJECT), accepts=frozenset({MANIFEST})
)
CONTAINER_BATCH = Profile(
    "mrt-container-batch-manifest",
    CONTAINER,
    (*COMMON, *OBJECT),
    accepts=frozenset({CONTAINER}),
)
SINGLE_FILE_BATCH = Profile(
    "mrt-single-file-batch-manifest",
    FILE,
    (*COMMON, *OBJECT),
    accepts=frozenset({FILE, CONTAINER}),
    warns=frozenset({CONTAINER}),
)
PROFILES = {
    profile.name: profile
    for profile in (INGEST, MANIFEST_BATCH, CONTAINER_BATCH, SINGLE_FILE_BATCH)
}
# Not Merritt's: for rows of a manifest whose profile is unknown, or inferred from file names.
UNKNOWN = Profile("", FILE, COMMON)
INFERRED = Profile("", "", (*COMMON, *OBJECT))


def kind_of(name: str) -> str:
    """The kind of a file by the ending of its name, in any case."""
    lower = name.lower()
    if lower.endswith(MANIFEST_ENDING):
        return MANIFEST
    return CONTAINER if lower.endswith(CONTAINER_ENDINGS) else FILE


def allows_column(profile: Profile, column: Column) -> bool:
    """Whether CSV or JSON Lines of `profile` may have `column`."""
    return column not in OBJECT_MARKERS or column in profile.columns
