"""Arks: parsing and normalization, so that each object has one spelling of its identifier.

Source: draft-kunze-ark, "The ARK Anatomy" and "Normalization and Lexical Equivalence". `ark:` and
`ark:/` are the same label, hyphens are ignored, and a name may begin with a digit. An escaped
character that needs no escape is read as the character itself (RFC 3986, 6.2.2.2).
"""

import re

ARK_LENGTH = 255  # characters of an ark: the draft asks providers to stay below 256
NAAN_PATTERN = "[0-9a-z]{5,10}"  # a NAAN in the list of a collection, as a regular expression
EXAMPLE_ARK = "ark:/12345/x1234abcd"  # an example for messages

# A resolver's address (optional), the label, the NAAN (digits, and the consonants that the draft
# reserves), and the rest.
_ARK = re.compile(
    r"(?:https?://[A-Za-z0-9.:-]+/)?ark:/?([0-9bcdfghjkmnpqrstvwxz]+)/([!-~]+)",
    re.IGNORECASE | re.ASCII,
)
_PLAIN = re.compile(r"ark:/[0-9]+/[A-Za-z0-9]+")  # already in its normal form, as most arks are
_NAME = re.compile(r"(?:[A-Za-z0-9=~*+@_$./]|%[0-9A-Fa-f]{2})+")
_ESCAPE = re.compile("%(..)")
_NEEDS_NO_ESCAPE = re.compile(r"[A-Za-z0-9._~-]")
_MAX_ENCLOSING = 8
_SEPARATORS = re.compile("([./])[./]+")
_HYPHENS = dict.fromkeys(map(ord, "-\u2010\u2011\u2012\u2013\u2014\u2015"))


def normal_ark(text: str) -> str:
    """The normal form of the ark in `text`, `ark:/NAAN/name`; "" if `text` is not an ark.

    All spellings of an ark have the same normal form, without hyphens. Qualifiers, `/part` and
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


def object_id_of(ark: str) -> str:
    """The id of an object in paths and keys, `ark-NAAN-name`: it is unique, because an ark in its
    normal form has no hyphen.
    """
    return ark.replace(":/", "-").replace("/", "-")


def ark_of_object_id(object_id: str) -> str:
    """The ark of the object with this id, in its normal form; "" if it is no such id."""
    label, *parts = object_id.split("-")
    return normal_ark(f"{label}:/{'/'.join(parts)}")


def naan_of(ark: str) -> str:
    """The NAAN of an ark in any spelling; "" if `ark` is not an ark."""
    found = re.match(r"ark:/?([^/]+)/", ark, re.IGNORECASE)
    return found[1].lower() if found else ""


def enclosing_arks(ark: str) -> tuple[str, ...]:
    """The arks of which `ark`, in its normal form, is a part or a variant.

    Outermost first, at most `_MAX_ENCLOSING`. An escaped slash counts as a slash, because other
    programs may read it as one.
    """
    path = ark.partition(".")[0].replace("%2F", "/").split("/")
    enclosing = ("/".join(path[:length]) for length in range(3, len(path) + 1))
    return tuple(each for each in enclosing if each != ark)[:_MAX_ENCLOSING]


def _unescaped(escape: "re.Match[str]") -> str:
    letter = chr(int(escape[1], 16))
    return letter if _NEEDS_NO_ESCAPE.fullmatch(letter) else escape[0].upper()


def _normal_name(text: str) -> str:
    """The name with its qualifiers in the draft's normal form; "" if it is malformed."""
    if not _NAME.fullmatch(text):
        return ""
    text = _ESCAPE.sub(_unescaped, text).replace("-", "")
    text = _SEPARATORS.sub(r"\1", text).strip("./")
    path, *variants = text.split(".")
    if any("/" in variant for variant in variants):  # the draft does not allow a part of a variant
        return ""
    return ".".join((path, *sorted(set(variants))))
