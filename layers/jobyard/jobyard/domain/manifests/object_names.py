"""The names of one object's files: which repeat, which are a file and a folder, which only meet."""

from array import array
from collections.abc import Sequence

from jobyard.domain.manifests.file_names import Clash, repeated
from jobyard.domain.manifests.findings import Check, shown
from jobyard.domain.paths import folded

FOLDERS = 1_000_000  # that the names of one object may lie in: bounds what is kept of them
_SLOTS = 1_024
_SPELLING = 0xFFFF  # the bits of a key that tell spellings of one folded form apart


class NameSpellings:
    """Names by 64 bits each: 48 of the folded form, 16 of the spelling. Positions count from 1.

    Two names are taken for one by chance 3 times in 100 million for a million names; that one is
    taken for another spelling of the other, 2 times in a thousand. A name costs 8 bytes and 5 to 8
    for its slot.
    """

    def __init__(self) -> None:
        self._keys = array("q")
        self._slots = array("I", bytes(4)) * _SLOTS  # open addressing: positions, 0 is free

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, name: str, form: str) -> tuple[int, int]:
        """The positions of the same name and of another spelling of its folded `form`, 0 for none.
        A name that is not there is added at the end."""
        same, other = self._find(_key(name, form), add=True)
        if other:  # a form has one slot: further spellings have those of their own hash
            same, _ = self._find(hash((name,)), add=True)
        return same, other

    def find(self, name: str, form: str) -> tuple[int, int]:
        """The same without adding it."""
        same, other = self._find(_key(name, form), add=False)
        if other:
            same, _ = self._find(hash((name,)), add=False)
        return same, other

    def add_new(self, key: int) -> bool:
        """Whether nothing of the folded form of `key` was there; then it is added."""
        if 4 * len(self._keys) >= 3 * len(self._slots):
            self._make_slots()
        slots = self._slots
        at = (key >> 16) % len(slots)
        if slots[at]:
            return False  # or not the first of its slot: `add` looks closer
        self._keys.append(key)
        slots[at] = len(self._keys)
        return True

    def _find(self, key: int, *, add: bool) -> tuple[int, int]:
        if 4 * len(self._keys) >= 3 * len(self._slots):
            self._make_slots()
        keys, slots = self._keys, self._slots
        form = key >> 16
        at = form % len(slots)
        while there := slots[at]:
            found = keys[there - 1]
            if found == key:
                return there, 0
            if found >> 16 == form:
                return 0, there
            at = (at + 1) % len(slots)
        if add:
            keys.append(key)
            slots[at] = len(keys)
        return 0, 0

    def _make_slots(self) -> None:
        """Twice as many slots as names."""
        size = 2 * len(self._keys)
        self._slots = array("I")  # the old ones go before the new ones come
        self._slots = slots = array("I", bytes(4)) * size
        for position, key in enumerate(self._keys, start=1):
            at = (key >> 16) % size
            while slots[at]:
                at = (at + 1) % size
            slots[at] = position


def _forms(names: Sequence[str]) -> Sequence[str]:
    joined = "\n".join(names)
    if not joined.isascii() or joined.count("\n") != len(names) - 1:
        return list(map(folded, names))
    return joined.lower().split("\n")


def _key(name: str, form: str) -> int:
    return (hash(form) & ~_SPELLING) | (hash(name) & _SPELLING)


class ObjectNames:
    """The first line of every file name of one object, and the folders that they lie in.

    At most 21 bytes a name, and 17 a folder, of which there are at most `FOLDERS`.
    """

    def __init__(self) -> None:
        self._files = NameSpellings()
        self._lines = array("I")
        self._folders = NameSpellings()
        self._folder = ""  # of the name before
        self._is_full = False

    def clashes(self, names: Sequence[str], first: int) -> list[Clash]:
        """Remember the names of the lines from `first` on, one each, none of them empty; what
        clashes with names before, each cause once."""
        found: list[Clash] = []
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
                found.append(_meets(index, name, f"line {lines[other - 1]}"))
            if self._folder:
                found += self._as_folder(index, name, form)
            if "/" in name:
                folder = name.rpartition("/")[0]
                if folder != self._folder and not self._is_full:
                    self._folder = folder
                    found += self._in_folders(index, name, form)
        return found

    def _as_folder(self, index: int, name: str, form: str) -> list[Clash]:
        """What is wrong with a file that has the name of a folder."""
        same, other = self._folders.find(name, form)
        if same:
            message = (
                f"fileName {shown(name)} is a folder in the name of an earlier line: "
                "nothing can be a file and a folder"
            )
            return [Clash(index, Check.NAME_IS_FOLDER, message)]
        return [_meets(index, name, "a folder of an earlier line")] if other else []

    def _in_folders(self, index: int, name: str, form: str) -> list[Clash]:
        """Remember the folders that `name` lies in; what is wrong with one that is a file."""
        found: list[Clash] = []
        folder, form = name.rpartition("/")[0], form.rpartition("/")[0]
        while folder and not self._folders.add(folder, form)[0]:
            if len(self._folders) > FOLDERS:
                self._is_full = True
                message = f"names of more than {FOLDERS:,} folders: divide the object"
                return [*found, Clash(index, Check.TOO_MANY_FOLDERS, message)]
            same, other = self._files.find(folder, form)
            if same:
                message = (
                    f"fileName {shown(name)} lies in {shown(folder)}, which is a file on line "
                    f"{self._lines[same - 1]}: nothing can be a file and a folder"
                )
                found.append(Clash(index, Check.NAME_IS_FOLDER, message))
            elif other:
                found.append(_meets(index, folder, f"the file of line {self._lines[other - 1]}"))
            folder, form = folder.rpartition("/")[0], form.rpartition("/")[0]
        return found


def _meets(index: int, name: str, what: str) -> Clash:
    message = (
        f"{shown(name)} and {what} differ in case or composed letters alone: "
        "on disks of macOS and Windows they are one"
    )
    return Clash(index, Check.NAMES_MEET, message)
