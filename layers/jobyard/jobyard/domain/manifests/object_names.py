"""Conflicts of the file names of one object: repeated names, a file that is also a folder, and
names that are one file on some disks."""

from array import array
from collections.abc import Sequence

from jobyard.domain.manifests.file_names import NameConflict, repeated
from jobyard.domain.manifests.findings import Check, quoted
from jobyard.domain.paths import folded

MAX_FOLDERS = 1_000_000  # folders of one object; limits the memory for them
_SLOTS = 1_024
_SPELLING = 0xFFFF  # the bits of a key by which spellings of one folded form differ


class NameSpellings:
    """A set of names with 64 bits for each: 48 of its folded form, 16 of its spelling.

    Positions in it count from 1. Among a million names, the chance that two count as one is 3 in
    100 million, that they count as two spellings of one is 2 in a thousand. A name takes 8 bytes,
    and 5 to 8 for its slot.
    """

    def __init__(self) -> None:
        self._keys = array("q")
        self._slots = array("I", bytes(4)) * _SLOTS  # open addressing: positions; 0 is free

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, name: str, form: str) -> tuple[int, int]:
        """Add `name`, whose folded form is `form`, if it is new.

        Returns the positions of the same name and of another spelling; 0 if there is none.
        """
        same, other = self._find(_key(name, form), add=True)
        if other:  # a form has one slot: another spelling gets one by the hash of its text
            same, _ = self._find(hash((name,)), add=True)
        return same, other

    def find(self, name: str, form: str) -> tuple[int, int]:
        """The positions that `add` returns, without adding `name`."""
        same, other = self._find(_key(name, form), add=False)
        if other:
            same, _ = self._find(hash((name,)), add=False)
        return same, other

    def add_new(self, key: int) -> bool:
        """Add `key` if its slot is free, so that its name is new for sure. Returns whether it was.

        Otherwise the name may be new: `add` finds out.
        """
        if 4 * len(self._keys) >= 3 * len(self._slots):
            self._make_slots()
        slots = self._slots
        slot = (key >> 16) % len(slots)
        if slots[slot]:
            return False
        self._keys.append(key)
        slots[slot] = len(self._keys)
        return True

    def _find(self, key: int, *, add: bool) -> tuple[int, int]:
        if 4 * len(self._keys) >= 3 * len(self._slots):
            self._make_slots()
        keys, slots = self._keys, self._slots
        form = key >> 16
        slot = form % len(slots)
        while position := slots[slot]:
            found = keys[position - 1]
            if found == key:
                return position, 0
            if found >> 16 == form:
                return 0, position
            slot = (slot + 1) % len(slots)
        if add:
            keys.append(key)
            slots[slot] = len(keys)
        return 0, 0

    def _make_slots(self) -> None:
        """Make twice as many slots as there are names."""
        size = 2 * len(self._keys)
        self._slots = array("I")  # free the memory before allocating more
        self._slots = slots = array("I", bytes(4)) * size
        for position, key in enumerate(self._keys, start=1):
            slot = (key >> 16) % size
            while slots[slot]:
                slot = (slot + 1) % size
            slots[slot] = position


def _forms(names: Sequence[str]) -> Sequence[str]:
    joined = "\n".join(names)
    if not joined.isascii() or joined.count("\n") != len(names) - 1:
        return list(map(folded, names))
    return joined.lower().split("\n")


def _key(name: str, form: str) -> int:
    return (hash(form) & ~_SPELLING) | (hash(name) & _SPELLING)


class ObjectNames:
    """The first line of each file name of one object, and the folders in these names.

    A name takes at most 21 bytes, and a folder 17, of which there are at most `MAX_FOLDERS`.
    """

    def __init__(self) -> None:
        self._files = NameSpellings()
        self._lines = array("I")
        self._folders = NameSpellings()
        self._last_folder = ""  # the folder of the last name that has one
        self._is_full = False

    def add_and_check(self, names: Sequence[str], first: int) -> list[NameConflict]:
        """Add the names of the lines from `first` on, one for each line, none of them empty.

        Returns their conflicts with earlier names: one for each name or folder that conflicts.
        """
        found: list[NameConflict] = []
        files, lines = self._files, self._lines
        for index, (name, form) in enumerate(zip(names, _forms(names), strict=True)):
            same = other = 0
            if not files.add_new(_key(name, form)):
                same, other = files.add(name, form)
            if same:
                found.append(repeated(index, name, lines[same - 1]))
                continue
            if len(files) > len(lines):
                lines.append(first + index)
            if other:
                found.append(_one_on_disk(index, name, f"line {lines[other - 1]}"))
            if self._last_folder:
                found += self._as_folder(index, name, form)
            if "/" in name:
                folder = name.rpartition("/")[0]
                if folder != self._last_folder and not self._is_full:
                    self._last_folder = folder
                    found += self._in_folders(index, name, form)
        return found

    def _as_folder(self, index: int, name: str, form: str) -> list[NameConflict]:
        """The conflict of a file name with an earlier folder."""
        same, other = self._folders.find(name, form)
        if same:
            message = (
                f"fileName {quoted(name)} is a folder in a fileName of an earlier line: "
                "a name cannot be both a file and a folder"
            )
            return [NameConflict(index, Check.NAME_IS_FOLDER, message)]
        return [_one_on_disk(index, name, "a folder of an earlier line")] if other else []

    def _in_folders(self, index: int, name: str, form: str) -> list[NameConflict]:
        """Add the folders of `name`. Returns their conflicts with earlier files."""
        found: list[NameConflict] = []
        folder, form = name.rpartition("/")[0], form.rpartition("/")[0]
        while folder and not self._folders.add(folder, form)[0]:
            if len(self._folders) > MAX_FOLDERS:
                self._is_full = True
                message = f"the object has more than {MAX_FOLDERS:,} folders: divide it"
                return [*found, NameConflict(index, Check.TOO_MANY_FOLDERS, message)]
            same, other = self._files.find(folder, form)
            if same:
                message = (
                    f"fileName {quoted(name)} is in {quoted(folder)}, which is a file on line "
                    f"{self._lines[same - 1]}: a name cannot be both a file and a folder"
                )
                found.append(NameConflict(index, Check.NAME_IS_FOLDER, message))
            elif other:
                file = f"the file of line {self._lines[other - 1]}"
                found.append(_one_on_disk(index, folder, file))
            folder, form = folder.rpartition("/")[0], form.rpartition("/")[0]
        return found


def _one_on_disk(index: int, name: str, other: str) -> NameConflict:
    message = (
        f"{quoted(name)} and {other} differ only in case or Unicode composition: "
        "on macOS and Windows they are one file"
    )
    return NameConflict(index, Check.NAMES_MEET, message)
