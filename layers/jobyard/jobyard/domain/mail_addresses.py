"""Lists of e-mail addresses as people and programs write them (RFC 5322, 3.4).

Names with commas in quotes, comments, groups and encoded words are read; what a mail service is
given is the bare address. One address that is none never costs the others theirs: it is told.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from encodings.idna import nameprep

from jobyard.domain.text import clean

MAX_RECIPIENTS = 20  # addresses of one list
SHAPE = "an e-mail address is name@host.tld"
_BAD = 5  # of a list's that are none, as they are told; the last may stand for the rest
_SHOWN = 100  # bytes of an address that is none, as it is told
_LOCAL, _LENGTH = 64, 254  # bytes (RFC 5321, 4.5.3.1; RFC 1035, 2.3.4)

# A list in its tokens: encoded words (one each, for they may hold commas), quoted strings, what
# may stand in an atom (RFC 6532 adds all that is no ASCII), blanks, and one special at a time.
_ENCODED_WORD = r"=\?[^?\s]{1,40}\?[bBqQ]\?[^?\s]{0,400}\?="
_ATEXT = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_TOKEN = re.compile(
    rf"(?P<encoded>{_ENCODED_WORD})|(?P<atom>{_ATEXT}|[^\x00-\x7f]+)"
    r"|(?P<blank>[ \t]+)|(?P<special>.)",
    re.DOTALL,
)
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_IN_COMMENT = re.compile(r"\\.|[()]", re.DOTALL)
_OPEN_COMMENTS = 8  # comments without an end that are looked for one
_FOLD = re.compile(r"\r?\n(?=[ \t])")
_ENCODED = re.compile(r"\s*(?:=\?[^?\s]+\?[bBqQ]\?[^?\s]*\?=\s*)+")
_ATOMS = re.compile(rf"{_ATEXT}(?:\.{_ATEXT})*")
_HOST = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+"
    r"(?![0-9]+\Z)[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])"
)
# What the first edition of IDNA made other letters of, and today's domain names keep (RFC 5892).
_KEPT = re.compile("[\u00df\u03c2\u200c\u200d]")


@dataclass(frozen=True)
class UndeliveredRecipient:
    """Somebody who could not be told, as it was written, and why."""

    address: str
    why: str

    @property
    def description(self) -> str:
        """One line of it."""
        return f"{self.address}: {self.why}"


@dataclass(frozen=True)
class Addresses:
    """Whom a list names: those that can be written to, each once, and those that cannot."""

    good: tuple[str, ...] = ()
    bad: tuple[UndeliveredRecipient, ...] = ()

    def __add__(self, other: "Addresses") -> "Addresses":
        return _few((*self.good, *other.good), (*self.bad, *other.bad))


def addresses(text: str) -> Addresses:
    """Whom `text`, a list of addresses with commas between them, names.

    A semicolon ends an address too, as some mail programs have it.
    """
    if _ENCODED.fullmatch(text):  # S3 hands on what is no ASCII as encoded words
        with suppress(HeaderParseError, LookupError, UnicodeError):
            text = str(make_header(decode_header(text)))
    good: list[str] = []
    bad: list[UndeliveredRecipient] = []
    for mailbox in _mailboxes(_FOLD.sub("", text)):
        written = "".join(words for _, words in mailbox).strip()
        try:
            good.append(_address(mailbox))
        except _BadAddress as fault:
            bad.append(UndeliveredRecipient(clean(written, _SHOWN), str(fault)))
    return _few(good, bad)


def all_addresses(texts: Iterable[str]) -> Addresses:
    """Whom several lists name together."""
    return sum((addresses(text) for text in texts), Addresses())


class _BadAddress(Exception):
    """An address that is none; the words say why."""


_Token = tuple[str, str]  # its kind and its text


def _few(good: Sequence[str], bad: Sequence[UndeliveredRecipient]) -> Addresses:
    once = tuple(dict.fromkeys(good))
    words = f"a list names at most {MAX_RECIPIENTS} addresses"
    over = tuple(UndeliveredRecipient(each, words) for each in once[MAX_RECIPIENTS:])
    told = tuple(dict.fromkeys((*bad, *over)))
    if len(told) > _BAD:
        told = (
            *told[: _BAD - 1],
            UndeliveredRecipient(f"{len(told) - _BAD + 1} more", "they cannot be told either"),
        )
    return Addresses(once[:MAX_RECIPIENTS], told)


def _mailboxes(text: str) -> Iterator[list[_Token]]:
    """The mailboxes of a list, each as its tokens; empty places are none."""
    mailbox: list[_Token] = []
    in_angle = in_literal = in_route = False
    for token in _tokens(text):
        kind, words = token
        special = words if kind == "special" else ""
        if special == "@" and in_angle and mailbox[-1] == ("special", "<"):
            in_route = True  # <@one,@two:name@host>
        elif special == ":" and not in_angle and not in_literal:
            if ("special", "@") in mailbox:
                yield mailbox
            mailbox = []  # the name of a group, whose members follow
            continue
        elif special in {",", ";"} and not in_literal and not in_route:
            if _is_any(mailbox):
                yield mailbox
            mailbox, in_angle = [], False
            continue
        in_angle = special == "<" or (in_angle and special != ">")
        in_literal = special == "[" or (in_literal and special != "]")
        in_route = in_route and special not in {":", ">"}
        mailbox.append(token)
    if _is_any(mailbox):
        yield mailbox


def _is_any(mailbox: Sequence[_Token]) -> bool:
    return any(kind not in {"blank", "comment"} for kind, _ in mailbox)


def _tokens(text: str) -> Iterator[_Token]:
    """The tokens of `text`. What opens a quote or a comment that never ends is a special: it spoils
    its own address, and not those that follow."""
    place, open_comments, may_quote = 0, 0, True
    while place < len(text):
        if text[place] == '"' and may_quote:
            found = _QUOTED.match(text, place)
            if found:
                yield "quoted", found.group()
                place = found.end()
                continue
            may_quote = False  # nor has any later one an end
        elif text[place] == "(" and open_comments < _OPEN_COMMENTS:
            end = _end_of_comment(text, place)
            if end:
                yield "comment", text[place:end]
                place = end
                continue
            open_comments += 1
        found = _TOKEN.match(text, place)
        assert found is not None  # it takes any letter
        yield found.lastgroup or "special", found.group()
        place = found.end()


def _end_of_comment(text: str, place: int) -> int:
    """Where the comment ends that begins at `place`, 0 when it has no end. Comments nest."""
    depth = 0
    for found in _IN_COMMENT.finditer(text, place):
        depth += {"(": 1, ")": -1}.get(found.group(), 0)
        if not depth:
            return found.end()
    return 0


def _address(mailbox: Sequence[_Token]) -> str:
    """The bare address of a mailbox.

    Raises:
        _BadAddress: it has none that can be written to.
    """
    told = [token for token in mailbox if token[0] != "comment"]
    if any(ord(letter) < 32 or ord(letter) == 127 for _, words in told for letter in words):
        raise _BadAddress("it holds a line break or another control character")
    opened = [number for number, token in enumerate(told) if token == ("special", "<")]
    if opened:
        inner = told[opened[0] + 1 :]
        if ("special", ">") not in inner:
            raise _BadAddress("it has a < without a >")
        closed = inner.index(("special", ">"))
        if _is_any(inner[closed + 1 :]):
            raise _BadAddress("something follows the >")
        told = inner[:closed]
        if ("special", ":") in told:  # a route, which is not followed any more
            told = told[told.index(("special", ":")) + 1 :]
    return _spec(_joined(told))


def _joined(told: Sequence[_Token]) -> list[_Token]:
    """The tokens without the blanks around them and beside "." and "@"."""
    kept: list[_Token] = []
    gap = False
    for kind, words in told:
        if kind == "blank":
            gap = bool(kept)
            continue
        if gap and words not in {".", "@"} and kept[-1][1] not in {".", "@"}:
            raise _BadAddress(f"there is a blank in it; {SHAPE}")
        gap = False
        kept.append((kind, words))
    return kept


def _spec(told: Sequence[_Token]) -> str:
    at = [number for number, token in enumerate(told) if token == ("special", "@")]
    if len(at) != 1:
        raise _BadAddress(f"it has {len(at) or 'no'} @; {SHAPE}")
    local = _local(told[: at[0]])
    domain = _domain("".join(words for _, words in told[at[0] + 1 :]))
    if len(local) > _LOCAL or len(local) + len(domain) + 1 > _LENGTH:
        raise _BadAddress(f"it is too long: {_LOCAL} bytes before the @, {_LENGTH} in all")
    return f"{local}@{domain}"


def _local(told: Sequence[_Token]) -> str:
    words = "".join(words for _, words in told)
    if not words.isascii():
        raise _BadAddress("the mail service takes ASCII only before the @")
    if [kind for kind, _ in told] == ["quoted"]:
        meant = re.sub(r"\\(.)", r"\1", words[1:-1])
        if _ATOMS.fullmatch(meant):
            return meant  # the quotes were not needed
        if meant.strip():
            return '"' + re.sub(r'(["\\])', r"\\\1", meant) + '"'
    if not _ATOMS.fullmatch(words):
        raise _BadAddress(f"what is before the @ is no name; {SHAPE}")
    return words


def _domain(words: str) -> str:
    """The host in ASCII, as the domain name system has it."""
    domain = words.replace("\u3002", ".").removesuffix(".").lower()
    try:
        domain = ".".join(_label(label) for label in domain.split("."))
    except UnicodeError:
        domain = ""
    if not _HOST.fullmatch(domain):
        raise _BadAddress(f"what follows the @ is no host; {SHAPE}")
    return domain


def _label(label: str) -> str:
    if label.isascii():
        return label
    if _KEPT.search(label):
        prepared = "".join(letter if _KEPT.match(letter) else nameprep(letter) for letter in label)
        return "xn--" + prepared.encode("punycode").decode("ascii")
    return label.encode("idna").decode("ascii")
