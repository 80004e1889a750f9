"""Lists of e-mail addresses as people and programs write them (RFC 5322, 3.4).

It reads names with commas in quotes, comments, groups and encoded words, and returns the bare
addresses for the mail service. An invalid address does not affect the others of its list.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from encodings.idna import nameprep
from typing import NamedTuple

from jobyard.domain.text import clean

MAX_RECIPIENTS = 20  # addresses of one list
ADDRESS_FORM = "an e-mail address is name@host.tld"
_MAX_INVALID = 5  # invalid addresses that are reported; the last may stand for the rest
_SHOWN_BYTES = 100  # of an invalid address in a message
_MAX_LOCAL, _MAX_ADDRESS = 64, 254  # bytes (RFC 5321, 4.5.3.1; RFC 1035, 2.3.4)

# A list in its tokens: encoded words (one each, since they may contain commas), quoted strings,
# atoms (RFC 6532 adds everything that is not ASCII), blanks, and one special character at a time.
_ENCODED_WORD = r"=\?[^?\s]{1,40}\?[bBqQ]\?[^?\s]{0,400}\?="
_ATEXT = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_TOKEN = re.compile(
    rf"(?P<encoded>{_ENCODED_WORD})|(?P<atom>{_ATEXT}|[^\x00-\x7f]+)"
    r"|(?P<blank>[ \t]+)|(?P<special>.)",
    re.DOTALL,
)
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_IN_COMMENT = re.compile(r"\\.|[()]", re.DOTALL)
_MAX_UNCLOSED = 8  # comments without an end for which an end is searched
_FOLD = re.compile(r"\r?\n(?=[ \t])")
_ENCODED = re.compile(r"\s*(?:=\?[^?\s]+\?[bBqQ]\?[^?\s]*\?=\s*)+")
_ATOMS = re.compile(rf"{_ATEXT}(?:\.{_ATEXT})*")
_HOST = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+"
    r"(?![0-9]+\Z)[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])"
)
# Characters that IDNA 2003 maps to others and today's domain names keep (RFC 5892).
_DEVIATION_LETTERS = re.compile("[\u00df\u03c2\u200c\u200d]")


class _Token(NamedTuple):
    """A token of a list.

    Its kind is "encoded", "quoted", "atom", "blank", "comment" or "special".
    """

    kind: str
    text: str


_AT, _COLON = _Token("special", "@"), _Token("special", ":")
_OPEN_ANGLE, _CLOSE_ANGLE = _Token("special", "<"), _Token("special", ">")


@dataclass(frozen=True)
class UndeliverableRecipient:
    """A recipient who cannot get a report, as written, and why.

    In a long list the last one stands for the rest: its address is "3 more".
    """

    address: str
    why: str

    @property
    def description(self) -> str:
        """The address and the reason, in one line."""
        return f"{self.address}: {self.why}"


@dataclass(frozen=True)
class Addresses:
    """The recipients in a list: the valid ones, each once, and the others with the reason."""

    valid: tuple[str, ...] = ()
    invalid: tuple[UndeliverableRecipient, ...] = ()

    def __add__(self, other: "Addresses") -> "Addresses":
        return _limited((*self.valid, *other.valid), (*self.invalid, *other.invalid))

    def within(self, domains: Sequence[str]) -> "Addresses":
        """The same recipients; those that are not at one of `domains`, or below it, are invalid."""
        allowed = tuple(each for each in self.valid if _is_within(each, domains))
        why = f"this deployment sends mail to {' and '.join(domains)} only"
        others = (UndeliverableRecipient(each, why) for each in self.valid if each not in allowed)
        return _limited(allowed, (*self.invalid, *others))


class _BadAddress(Exception):
    """The address is not valid; the message says why."""


def addresses(text: str) -> Addresses:
    """The recipients in `text`, a list of addresses separated by commas.

    A semicolon separates too, as in some mail programs.
    """
    if _ENCODED.fullmatch(text):  # S3 returns metadata that is not ASCII as encoded words
        with suppress(HeaderParseError, LookupError, UnicodeError):
            text = str(make_header(decode_header(text)))
    valid: list[str] = []
    invalid: list[UndeliverableRecipient] = []
    for mailbox in _mailboxes(_FOLD.sub("", text)):
        written = _text(mailbox).strip()
        try:
            valid.append(_address(mailbox))
        except _BadAddress as error:
            invalid.append(UndeliverableRecipient(clean(written, _SHOWN_BYTES), str(error)))
    return _limited(valid, invalid)


def all_addresses(texts: Iterable[str]) -> Addresses:
    """The recipients in several lists."""
    return sum((addresses(text) for text in texts), Addresses())


def _is_within(address: str, domains: Sequence[str]) -> bool:
    host = address.rpartition("@")[2]
    return any(host == each or host.endswith(f".{each}") for each in domains)


def _limited(valid: Sequence[str], invalid: Sequence[UndeliverableRecipient]) -> Addresses:
    """At most `MAX_RECIPIENTS` valid and `_MAX_INVALID` invalid addresses, each once."""
    unique = tuple(dict.fromkeys(valid))
    why = f"a list may have at most {MAX_RECIPIENTS} addresses"
    surplus = tuple(UndeliverableRecipient(each, why) for each in unique[MAX_RECIPIENTS:])
    rejected = tuple(dict.fromkeys((*invalid, *surplus)))
    if len(rejected) > _MAX_INVALID:
        more = f"{len(rejected) - _MAX_INVALID + 1} more"
        rest = UndeliverableRecipient(more, "they cannot be notified either")
        rejected = (*rejected[: _MAX_INVALID - 1], rest)
    return Addresses(unique[:MAX_RECIPIENTS], rejected)


def _mailboxes(text: str) -> Iterator[list[_Token]]:
    """The mailboxes of a list, each as its tokens, without empty ones."""
    mailbox: list[_Token] = []
    in_angle = in_literal = in_route = False
    for token in _tokens(text):
        special = token.text if token.kind == "special" else ""
        if special == "@" and in_angle and mailbox[-1] == _OPEN_ANGLE:
            in_route = True  # <@one,@two:name@host>
        elif special == ":" and not in_angle and not in_literal:
            if _AT in mailbox:  # an address, not the name of a group: it must not be lost
                yield mailbox
            mailbox = []  # the name of a group, whose members follow
            continue
        elif special in {",", ";"} and not in_literal and not in_route:
            if _has_content(mailbox):
                yield mailbox
            mailbox, in_angle = [], False
            continue
        in_angle = special == "<" or (in_angle and special != ">")
        in_literal = special == "[" or (in_literal and special != "]")
        in_route = in_route and special not in {":", ">"}
        mailbox.append(token)
    if _has_content(mailbox):
        yield mailbox


def _has_content(tokens: Sequence[_Token]) -> bool:
    return any(token.kind not in {"blank", "comment"} for token in tokens)


def _text(tokens: Sequence[_Token]) -> str:
    return "".join(token.text for token in tokens)


def _tokens(text: str) -> Iterator[_Token]:
    """The tokens of `text`.

    A quote or a parenthesis that is never closed is a special character, so that it makes only its
    own address invalid.
    """
    position, unclosed, may_quote = 0, 0, True
    while position < len(text):
        if text[position] == '"' and may_quote:
            found = _QUOTED.match(text, position)
            if found:
                yield _Token("quoted", found.group())
                position = found.end()
                continue
            may_quote = False  # no later quote is closed either
        elif text[position] == "(" and unclosed < _MAX_UNCLOSED:
            end = _end_of_comment(text, position)
            if end:
                yield _Token("comment", text[position:end])
                position = end
                continue
            unclosed += 1
        found = _TOKEN.match(text, position)
        assert found is not None  # it matches any character
        yield _Token(found.lastgroup or "special", found.group())
        position = found.end()


def _end_of_comment(text: str, start: int) -> int:
    """The end of the comment that begins at `start`; 0 if it is not closed. Comments nest."""
    depth = 0
    for found in _IN_COMMENT.finditer(text, start):
        depth += {"(": 1, ")": -1}.get(found.group(), 0)
        if not depth:
            return found.end()
    return 0


def _address(mailbox: Sequence[_Token]) -> str:
    """The bare address of a mailbox.

    Raises:
        _BadAddress: it has no valid address.
    """
    tokens = [token for token in mailbox if token.kind != "comment"]
    if any(ord(letter) < 32 or ord(letter) == 127 for letter in _text(tokens)):
        raise _BadAddress("it contains a line break or another control character")
    if _OPEN_ANGLE in tokens:
        inner = tokens[tokens.index(_OPEN_ANGLE) + 1 :]
        if _CLOSE_ANGLE not in inner:
            raise _BadAddress("it has a < without a >")
        end = inner.index(_CLOSE_ANGLE)
        if _has_content(inner[end + 1 :]):
            raise _BadAddress("something follows the >")
        tokens = inner[:end]
        if _COLON in tokens:  # an obsolete source route, which is ignored
            tokens = tokens[tokens.index(_COLON) + 1 :]
    return _local_and_domain(_without_blanks(tokens))


def _without_blanks(tokens: Sequence[_Token]) -> list[_Token]:
    """The tokens without the blanks at both ends and around "." and "@"."""
    kept: list[_Token] = []
    after_blank = False
    for token in tokens:
        if token.kind == "blank":
            after_blank = bool(kept)
            continue
        if after_blank and token.text not in {".", "@"} and kept[-1].text not in {".", "@"}:
            raise _BadAddress(f"it contains a space; {ADDRESS_FORM}")
        after_blank = False
        kept.append(token)
    return kept


def _local_and_domain(tokens: Sequence[_Token]) -> str:
    ats = [index for index, token in enumerate(tokens) if token == _AT]
    if len(ats) != 1:
        raise _BadAddress(f"it has {len(ats) or 'no'} @; {ADDRESS_FORM}")
    local = _local(tokens[: ats[0]])
    domain = _domain(_text(tokens[ats[0] + 1 :]))
    if len(local) > _MAX_LOCAL or len(local) + len(domain) + 1 > _MAX_ADDRESS:
        raise _BadAddress(
            f"it is too long: at most {_MAX_LOCAL} bytes before the @, {_MAX_ADDRESS} in total"
        )
    return f"{local}@{domain}"


def _local(tokens: Sequence[_Token]) -> str:
    text = _text(tokens)
    if not text.isascii():
        raise _BadAddress("the mail service accepts only ASCII before the @")
    if [token.kind for token in tokens] == ["quoted"]:
        content = re.sub(r"\\(.)", r"\1", text[1:-1])
        if _ATOMS.fullmatch(content):
            return content  # it needs no quotes
        if content.strip():
            return '"' + re.sub(r'(["\\])', r"\\\1", content) + '"'
    if not _ATOMS.fullmatch(text):
        raise _BadAddress(f"the part before the @ is not a valid name; {ADDRESS_FORM}")
    return text


def _domain(text: str) -> str:
    """The host in ASCII, as the DNS has it."""
    domain = text.replace("\u3002", ".").removesuffix(".").lower()
    try:
        domain = ".".join(_label(label) for label in domain.split("."))
    except UnicodeError:
        domain = ""
    if not _HOST.fullmatch(domain):
        raise _BadAddress(f"the part after the @ is not a host name; {ADDRESS_FORM}")
    return domain


def _label(label: str) -> str:
    if label.isascii():
        return label
    if _DEVIATION_LETTERS.search(label):
        prepared = "".join(
            letter if _DEVIATION_LETTERS.match(letter) else nameprep(letter) for letter in label
        )
        return "xn--" + prepared.encode("punycode").decode("ascii")
    return label.encode("idna").decode("ascii")
