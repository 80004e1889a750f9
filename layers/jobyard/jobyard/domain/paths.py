"""Which file names meet, or cannot be kept, on the disks that an object may be taken out to.

The archive keeps any name. macOS and Windows take `A.txt` and `a.txt` for one file, macOS also `é`
written as one letter or as two; Windows reserves letters, endings and the names of devices.
"""

import unicodedata

# Source: Microsoft, "Naming Files, Paths, and Namespaces".
_RESERVED = frozenset('<>:"|?*\\')
_DEVICES = frozenset(
    {"con", "prn", "aux", "nul", "conin$", "conout$"}
    | {f"{port}{number}" for port in ("com", "lpt") for number in "0123456789¹²³"}
)


def folded(name: str) -> str:
    """The name as a disk compares it that ignores case and composition.

    Two names with one folded form are one file there.
    """
    if name.isascii():
        return name.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", name).casefold())


def unportable(name: str) -> str:
    """Why Windows cannot hold a file of this name, folders by slashes; "" when it can."""
    for part in name.split("/"):
        found = _RESERVED.intersection(part)
        if found:
            return f"Windows allows no {min(found)} in a name"
        if any(letter < " " for letter in part):
            return "Windows allows no control characters in a name"
        if part.endswith((".", " ")):
            return "Windows allows no name that ends in a dot or a space"
        if part.partition(".")[0].rstrip(" ").lower() in _DEVICES:
            return f"Windows keeps the name {part.partition('.')[0]} for a device"
    return ""
