"""Which file names collide, or are not allowed, on disks to which an object may be copied.

The archive keeps any name. To macOS and Windows `A.txt` and `a.txt` are one file; to macOS also `é`
as one code point or as two. Windows reserves characters, endings and the names of devices.
"""

import unicodedata

# Source: Microsoft, "Naming Files, Paths, and Namespaces".
_RESERVED = frozenset('<>:"|?*\\')
_DEVICES = frozenset(
    {"con", "prn", "aux", "nul", "conin$", "conout$"}
    | {f"{port}{number}" for port in ("com", "lpt") for number in "0123456789¹²³"}
)


def folded(name: str) -> str:
    """The form by which a disk compares names that ignores case and Unicode composition.

    Two names with the same folded form are one file on such a disk.
    """
    if name.isascii():
        return name.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", name).casefold())


def unportable_reason(name: str) -> str:
    """Why Windows cannot store a file under this path, with "/" between folders; "" if it can."""
    for part in name.split("/"):
        found = _RESERVED.intersection(part)
        if found:
            return f"Windows does not allow {min(found)} in a name"
        if any(letter < " " for letter in part):
            return "Windows does not allow control characters in a name"
        if part.endswith((".", " ")):
            return "Windows does not allow a name that ends in a dot or a space"
        if part.partition(".")[0].rstrip(" ").lower() in _DEVICES:
            return f"Windows reserves the name {part.partition('.')[0]} for a device"
    return ""
