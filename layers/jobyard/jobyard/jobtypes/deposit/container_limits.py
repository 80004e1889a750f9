"""The limits of a container: names, number and sizes of its members, checked as they are read."""

import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import pairwise

from jobyard.domain.jobs.failures import Failure
from jobyard.domain.paths import folded, unportable_reason
from jobyard.domain.text import clean
from jobyard.jobtypes.deposit.content import MAX_FILE_BYTES
from jobyard.jobtypes.deposit.refusal import Refused, check_time

MAX_OBJECT_BYTES = 32 * 1024**3  # of an object: what four attempts of a job can transfer
MAX_FILES = 10_000  # of an object: its version's manifest is one document of about 3 MB
MAX_HEADERS = 2 * MAX_FILES  # of a container: files, folders, labels and ignored members
MAX_PATH_BYTES = 1024  # of a member's name in UTF-8; source: limits of file systems
MAX_PART_BYTES = 255  # of a part of it

# Text compresses 1:10. Deflate can reach 1:1000, but only in a decompression bomb. What unpacks to
# less than `_ALWAYS_ALLOWED_BYTES` may have any ratio.
MAX_RATIO = 100
_ALWAYS_ALLOWED_BYTES = 64 * 1024**2

_SHOWN_BYTES = 100  # of a name in a message
_FOLDER = "/"  # ends the path of a folder, never that of a file


@dataclass
class Remarks:
    """What was left out or changed in a container: phrases, each with a count and an example."""

    _seen: dict[str, tuple[str, int]] = field(default_factory=dict)

    def add(self, remark: str, example: str) -> None:
        """Count one more `remark`, a phrase, about `example`."""
        first, count = self._seen.get(remark, (example, 0))
        self._seen[remark] = first, count + 1

    def text(self) -> str:
        """All remarks on one line; "" if there are none."""
        return "; ".join(
            f"{remark}: {shown(first)}" + (f" and {count - 1} more" if count > 1 else "")
            for remark, (first, count) in self._seen.items()
        )


@dataclass
class ContainerLimits:
    """The limits, applied to what was unpacked so far of a container of `container_bytes`.

    `remaining` returns the seconds the worker has left.
    """

    container_bytes: int
    remaining: Callable[[], float]
    remarks: Remarks = field(default_factory=Remarks)
    headers: int = 0
    unpacked_bytes: int = 0
    names: set[str] = field(default_factory=set)
    _folders: set[str] = field(default_factory=set)

    def count_header(self) -> None:
        """Count one more header of any kind.

        Raises:
            Refused: CONTAINER_LIMIT; TIMEOUT, the worker's time is up.
        """
        self.headers += 1
        if self.headers > MAX_HEADERS:
            raise limit_exceeded(f"it has more than {MAX_HEADERS} files and folders")
        check_time(self.remaining())

    def admit(self, name: str, size: int = 0) -> str:
        """Check the name and the declared size of a file. Returns the name to store it under.

        Raises:
            Refused: CONTAINER_LIMIT.
        """
        kept = safe_name(name)
        if kept in self.names:
            raise limit_exceeded(f"it has two files named {shown(kept)}")
        self.names.add(kept)
        if len(self.names) > MAX_FILES:
            raise limit_exceeded(f"it has more than {MAX_FILES} files")
        if size > MAX_FILE_BYTES:
            raise limit_exceeded(f"{shown(kept)} has more than {MAX_FILE_BYTES} bytes")
        return kept

    def admit_folder(self, name: str) -> None:
        """Check the name of a folder. Folders are not stored, only files.

        Raises:
            Refused: CONTAINER_LIMIT.
        """
        if name.strip("./"):
            self._folders.add(safe_name(name) + _FOLDER)

    def check_names(self) -> None:
        """Compare all names with each other. Called when all are known.

        Raises:
            Refused: CONTAINER_LIMIT, a file has the name of a folder.
        """
        paths = sorted((*self.names, *self._folders), key=_folder_order)
        for path, following in pairwise(paths):
            if path.endswith(_FOLDER):
                if not following.startswith(path):
                    self.remarks.add("left out an empty folder", path)
            elif following.startswith(path + _FOLDER):
                raise limit_exceeded(f"{shown(path)} is a file and a folder")
        if paths and paths[-1].endswith(_FOLDER):
            self.remarks.add("left out an empty folder", paths[-1])
        self._remark_names(sorted(self.names))

    def _remark_names(self, names: Iterable[str]) -> None:
        forms: dict[str, str] = {}
        for name in names:
            first = forms.setdefault(folded(name), name)
            if first != name:
                remark = "one file on a disk that ignores case or composition"
                self.remarks.add(remark, f"{shown(first)} and {shown(name)}")
            if remark := unportable_reason(name):
                self.remarks.add(remark, name)
        by_folders = sorted(forms, key=_folder_order)
        for form, following in pairwise(by_folders):
            if following.startswith(form + _FOLDER):
                remark = "a file and a folder on a disk that ignores case or composition"
                self.remarks.add(remark, f"{shown(forms[form])} and {shown(forms[following])}")

    def count_bytes(self, count: int) -> None:
        """Count unpacked bytes, also those of skipped members.

        Raises:
            Refused: CONTAINER_LIMIT; TIMEOUT, the worker's time is up.
        """
        check_time(self.remaining())
        self.unpacked_bytes += count
        if self.unpacked_bytes > MAX_OBJECT_BYTES:
            raise limit_exceeded(f"it unpacks to more than {MAX_OBJECT_BYTES} bytes")
        if self.unpacked_bytes > max(_ALWAYS_ALLOWED_BYTES, MAX_RATIO * self.container_bytes):
            raise limit_exceeded(f"it unpacks to more than {MAX_RATIO} times its size")


def _folder_order(path: str) -> str:
    """A sort key by which the content of a folder follows the folder."""
    return path.replace(_FOLDER, "\0")


def safe_name(name: str) -> str:
    """The name to store a member under: relative, without empty parts or dots.

    Of control characters only a carriage return is allowed: the names of Mac folder icons have one.

    Raises:
        Refused: CONTAINER_LIMIT, the name leaves its folder, or file systems do not allow it.
    """
    try:
        length = len(name.encode())
    except UnicodeEncodeError as error:
        raise limit_exceeded(f"the name {shown(name)} is not UTF-8") from error
    parts = [part for part in name.split("/") if part not in {"", "."}]
    folders = name.replace("\\", "/")
    if folders.startswith("/") or folders[1:3] == ":/" or ".." in folders.split("/"):
        raise limit_exceeded(f"the name {shown(name)} leads out of its folder")
    if not parts or any(unicodedata.category(each) == "Cc" and each != "\r" for each in name):
        raise limit_exceeded(f"the name {shown(name)} is empty or has control characters")
    if length > MAX_PATH_BYTES or any(len(part.encode()) > MAX_PART_BYTES for part in parts):
        raise limit_exceeded(f"the name {shown(name)} is too long")
    return "/".join(parts)


def shown(name: str) -> str:
    """A name, cleaned and shortened for a message."""
    return clean(name, _SHOWN_BYTES)


def broken(message: str) -> Refused:
    """The refusal of a container that cannot be unpacked."""
    return Refused(Failure.BAD_CONTAINER, message)


def limit_exceeded(message: str) -> Refused:
    """The refusal of a container that exceeds a limit."""
    return Refused(Failure.CONTAINER_LIMIT, message)
