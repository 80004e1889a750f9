"""Arks: which texts are one, and the one spelling by which an object is known.

Source: draft-kunze-ark, "The ARK Anatomy" and "Normalization and Lexical Equivalence". `ark:` and
`ark:/` are the same label, hyphens do not count, and a name may begin with a digit. An escape of a
letter that needs none is that very letter, as servers and resolvers read it (RFC 3986, 6.2.2.2).
"""

import re

ARK_LENGTH = 255  # characters of an ark: the draft asks providers to stay below 256
EXPECTED = "ark:/12345/x1234abcd"  # how an ark looks, for messages

# The label with a resolver's address before it, the number of the name assigning authority (digits,
# and the consonants that the draft keeps for later), and the rest.
_ARK = re.compile(
    r"(?:https?://[A-Za-z0-9.:-]+/)?ark:/?([0-9bcdfghjkmnpqrstvwxz]+)/([!-~]+)",
    re.IGNORECASE | re.ASCII,
)
_PLAIN = re.compile(r"ark:/[0-9]+/[A-Za-z0-9]+")  # already in its normal form, as most arks are
_NAME = re.compile(r"(?:[A-Za-z0-9=~*+@_$./]|%[0-9A-Fa-f]{2})+")
_ESCAPE = re.compile("%(..)")
_NEEDS_NO_ESCAPE = re.compile(r"[A-Za-z0-9._~-]")
_OUTERMOST = 8
_RUN = re.compile("([./])[./]+")
_HYPHENS = dict.fromkeys(map(ord, "-\u2010\u2011\u2012\u2013\u2014\u2015"))


def normal_ark(text: str) -> str:
    """The normal form of the ark that `text` spells: `ark:/NAAN/name`; "" if it is none.

    Two spellings of one ark have one normal form, which holds no hyphen. Qualifiers, `/part` and
    `.variant`, are kept; variants are sorted.
    """
    if len(text) > 2 * ARK_LENGTH:
        return ""
    if _PLAIN.fullmatch(text):
        return text if len(text) <= ARK_LENGTH else ""
    found = _ARK.fullmatch(text.translate(_HYPHENS))
    if not found or found[1] != found[1].lower():
        return ""
    name = _normal_name(found[2])
    ark = f"ark:/{found[1]}/{name}"
    return ark if name and len(ark) <= ARK_LENGTH else ""


def naan_of(ark: str) -> str:
    """The name assigning authority of an ark in any spelling; "" if it is no ark."""
    found = re.match(r"ark:/?([^/]+)/", ark, re.IGNORECASE)
    return found[1].lower() if found else ""


def enclosing_arks(ark: str) -> tuple[str, ...]:
    """The arks of what the object of `ark`, in its normal form, is a part or a variant of, from the
    outermost on; no more than the outermost `_OUTERMOST`. An escaped slash may be one to others."""
    path = ark.partition(".")[0].replace("%2F", "/").split("/")
    wholes = ("/".join(path[:length]) for length in range(3, len(path) + 1))
    return tuple(each for each in wholes if each != ark)[:_OUTERMOST]


def _unescaped(escape: "re.Match[str]") -> str:
    letter = chr(int(escape[1], 16))
    return letter if _NEEDS_NO_ESCAPE.fullmatch(letter) else escape[0].upper()


def _normal_name(text: str) -> str:
    """The name with its qualifiers in the draft's normal form; "" if they are malformed."""
    if not _NAME.fullmatch(text):
        return ""
    text = _ESCAPE.sub(_unescaped, text).replace("-", "")
    text = _RUN.sub(r"\1", text).strip("./")
    path, *variants = text.split(".")
    if any("/" in variant for variant in variants):  # a part of a variant: the draft refuses it
        return ""
    return ".".join((path, *sorted(set(variants))))
