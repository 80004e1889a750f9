r"""Regular expressions that take time in proportion to a text, however they are written.

They are those of JSON schema, but for lookaround, references back to groups, word boundaries and
`\p`. All ways to match are followed at once, as states of an automaton, so none is tried again.
Source: Russ Cox, "Regular Expression Matching Can Be Simple And Fast", 2007.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

MAX_PATTERN = 500  # letters of a pattern
MAX_STATES = 500  # of its automaton; a repetition counts each time
MAX_MATCHED = 10_000  # letters of a text that is matched
_MAX_NESTED = 20  # groups
_MAX_REMEMBERED = 1_000  # transitions, each with up to all states

Ranges = tuple[tuple[str, str], ...]
_LAST = "\U0010ffff"
_DIGITS: Ranges = (("0", "9"),)
_WORD: Ranges = (*_DIGITS, ("A", "Z"), ("_", "_"), ("a", "z"))
_SPACE: Ranges = (
    *(("\t", "\r"), (" ", " "), ("\xa0", "\xa0"), ("\u1680", "\u1680"), ("\u2000", "\u200a")),
    *(("\u2028", "\u2029"), ("\u202f", "\u202f"), ("\u205f", "\u205f"), ("\u3000", "\u3000")),
    ("\ufeff", "\ufeff"),
)
_LINE_ENDS: Ranges = (("\n", "\n"), ("\r", "\r"), ("\u2028", "\u2029"))


def _others(ranges: Ranges) -> Ranges:
    """All letters that are not in sorted ranges."""
    found, first = [], 0
    for low, high in ranges:
        if first < ord(low):
            found.append((chr(first), chr(ord(low) - 1)))
        first = ord(high) + 1
    return (*found, (chr(first), _LAST)) if first <= ord(_LAST) else tuple(found)


_CLASSES = {
    **{"d": _DIGITS, "w": _WORD, "s": _SPACE},
    **{"D": _others(_DIGITS), "W": _others(_WORD), "S": _others(_SPACE)},
}
_CONTROLS = {"n": "\n", "r": "\r", "t": "\t", "f": "\f", "v": "\v"}
_SPECIAL = "^$\\.*+?()[]{}|/-"


class InvalidPattern(ValueError):
    """A text is no pattern, or one that is not allowed; the message says why."""


class _Step(NamedTuple):
    """A state of the automaton: a letter of `ranges` leads to the next one. Without ranges, `to` is
    where it leads without a letter; with `at`, only at the start (^) or the end ($) of the text.
    """

    ranges: Ranges = ()
    to: tuple[int, ...] = ()
    at: str = ""


_States = frozenset[int]


@dataclass(frozen=True)
class Pattern:
    """A regular expression."""

    text: str

    def __post_init__(self) -> None:
        if len(self.text) > MAX_PATTERN:
            raise InvalidPattern(f"a pattern has up to {MAX_PATTERN} letters")
        _ = self._steps

    @cached_property
    def _steps(self) -> tuple[_Step, ...]:
        return _Parser(self.text).steps()

    @cached_property
    def _remembered(self) -> dict[tuple[_States, str, bool], _States]:
        return {}

    def is_in(self, text: str) -> bool:
        """Whether some part of a text matches."""
        states = self._reached({0}, is_first=True, is_last=not text)
        end = len(self._steps)
        for index, letter in enumerate(text):
            if end in states:
                return True
            states = self._after(states, letter, is_last=index == len(text) - 1)
        return end in states

    def _after(self, states: _States, letter: str, *, is_last: bool) -> _States:
        """The states after a letter."""
        key = states, letter, is_last
        found = self._remembered.get(key)
        if found is None:
            following = {0} | {
                each + 1
                for each in states
                if each < len(self._steps)
                and any(low <= letter <= high for low, high in self._steps[each].ranges)
            }
            found = self._reached(following, is_first=False, is_last=is_last)
            if len(self._remembered) >= _MAX_REMEMBERED:
                self._remembered.clear()
            self._remembered[key] = found
        return found

    def _reached(self, states: set[int], *, is_first: bool, is_last: bool) -> _States:
        """The states that are reached from some without a letter."""
        remaining, reached = [*states], set(states)
        while remaining:
            number = remaining.pop()
            if number == len(self._steps):
                continue
            step = self._steps[number]
            if (step.at == "^" and not is_first) or (step.at == "$" and not is_last):
                continue
            new = set(step.to) - reached
            reached |= new
            remaining += new
        return frozenset(reached)


class _Parser:
    """Reads a pattern into the states of its automaton."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._place = 0
        self._nested = 0

    def steps(self) -> tuple[_Step, ...]:
        """The states. The one after the last is the match."""
        found = self._choice()
        if self._place < len(self._text):
            raise InvalidPattern(f"a ) at letter {self._place + 1} closes no group")
        return tuple(found)

    @property
    def _next(self) -> str:
        return self._text[self._place : self._place + 1]

    def _takes(self, text: str) -> bool:
        if not self._text.startswith(text, self._place):
            return False
        self._place += len(text)
        return True

    def _letter(self) -> str:
        if not self._next:
            raise InvalidPattern("it ends too early")
        self._place += 1
        return self._text[self._place - 1]

    def _choice(self) -> list[_Step]:
        """Alternatives, between |."""
        found = self._sequence()
        while self._takes("|"):
            other = self._sequence()
            # Both begin after a fork; the first one jumps over the other.
            jump = _Step(to=(len(found) + len(other) + 2,))
            fork = _Step(to=(1, len(found) + 2))
            found = [fork, *_moved(found, 1), jump, *_moved(other, len(found) + 2)]
            self._check_size(found)
        return found

    def _sequence(self) -> list[_Step]:
        found: list[_Step] = []
        while self._next and self._next not in "|)":
            found += _moved(self._repeated(self._atom()), len(found))
            self._check_size(found)
        return found

    def _check_size(self, found: list[_Step]) -> None:
        if len(found) > MAX_STATES:
            raise InvalidPattern(f"it has more than {MAX_STATES} states: repeat less")

    def _repeated(self, atom: list[_Step]) -> list[_Step]:
        bounds = self._bounds()
        if bounds is None:
            return atom
        self._takes("?")  # lazy or greedy, the same texts match
        if self._next and self._next in "*+?":
            raise InvalidPattern(f"{self._next!r} at letter {self._place + 1} repeats nothing")
        least, most = bounds
        count = least if most is None else most
        if (len(atom) + 2) * max(count, 1) > MAX_STATES:
            raise InvalidPattern(f"it has more than {MAX_STATES} states: repeat less")
        found: list[_Step] = []
        for _ in range(least):
            found += _moved(atom, len(found))
        if most is None:
            size = len(atom)
            loop = [_Step(to=(1, size + 2)), *_moved(atom, 1), _Step(to=(0,))]
            return [*found, *_moved(loop, len(found))]
        for _ in range(most - least):
            may = [_Step(to=(1, len(atom) + 1)), *_moved(atom, 1)]
            found += _moved(may, len(found))
        return found

    def _bounds(self) -> tuple[int, int | None] | None:
        """How often the last atom is repeated; None for once."""
        for sign, bounds in {"*": (0, None), "+": (1, None), "?": (0, 1)}.items():
            if self._takes(sign):
                return bounds
        if not self._takes("{"):
            return None
        inner, closed, _ = self._text[self._place :].partition("}")
        least, comma, most = inner.partition(",")
        if not closed or not _is_count(least) or (most and not _is_count(most)):
            raise InvalidPattern("a repetition is {2}, {2,} or {2,5}; write \\{ for the letter")
        self._place += len(inner) + 1
        bounds = int(least), (int(most) if most else None) if comma else int(least)
        if bounds[1] is not None and bounds[1] < bounds[0]:
            raise InvalidPattern("a repetition has its smaller number first")
        return bounds

    def _atom(self) -> list[_Step]:
        letter = self._letter()
        match letter:
            case "(":
                return self._group()
            case "[":
                return [_Step(self._class())]
            case ".":
                return [_Step(_others(_LINE_ENDS))]
            case "^" | "$":
                return [_Step(to=(1,), at=letter)]
            case "\\":
                return [_Step(self._escape())]
            case "*" | "+" | "?" | "{":
                raise InvalidPattern(f"{letter!r} at letter {self._place} repeats nothing")
        return [_Step(((letter, letter),))]

    def _group(self) -> list[_Step]:
        if self._takes("?") and not self._takes(":"):
            raise InvalidPattern("of groups, only (…) and (?:…) are allowed: no lookaround")
        self._nested += 1
        if self._nested > _MAX_NESTED:
            raise InvalidPattern(f"groups are nested up to {_MAX_NESTED} deep")
        found = self._choice()
        if not self._takes(")"):
            raise InvalidPattern("a group is not closed")
        self._nested -= 1
        return found

    def _class(self) -> Ranges:
        """The letters between brackets, sorted."""
        is_negated = self._takes("^")
        found: list[tuple[str, str]] = []
        while not self._takes("]"):
            low = self._class_part()
            if self._next == "-" and self._text[self._place + 1 : self._place + 2] not in ("]", ""):
                self._place += 1
                high = self._class_part()
                if len(low) > 1 or len(high) > 1 or low[0][0] > high[0][1]:
                    raise InvalidPattern("a range of letters has its first letter first")
                found.append((low[0][0], high[0][1]))
            else:
                found += low
        ranges = _joined(found)
        return _others(ranges) if is_negated else ranges

    def _class_part(self) -> Ranges:
        letter = self._letter()
        return self._escape() if letter == "\\" else ((letter, letter),)

    def _escape(self) -> Ranges:
        letter = self._letter()
        if letter in _CLASSES:
            return _CLASSES[letter]
        if letter in _CONTROLS:
            return ((_CONTROLS[letter],) * 2,)
        if letter in "xu":
            size = 2 if letter == "x" else 4
            digits = self._text[self._place : self._place + size]
            self._place += size
            if len(digits) < size or not set(digits) <= set("0123456789abcdefABCDEF"):
                raise InvalidPattern(f"\\{letter} needs hexadecimal digits")
            return ((chr(int(digits, 16)),) * 2,)
        if letter not in _SPECIAL:
            raise InvalidPattern(f"\\{letter} is not supported")
        return ((letter, letter),)


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 6


def _moved(steps: list[_Step], by: int) -> list[_Step]:
    """States that begin at a later number."""
    return [each._replace(to=tuple(to + by for to in each.to)) for each in steps]


def _joined(ranges: list[tuple[str, str]]) -> Ranges:
    """Ranges in order, without those that overlap."""
    found: list[tuple[str, str]] = []
    for low, high in sorted(ranges):
        if found and low <= found[-1][1]:
            found[-1] = (found[-1][0], max(high, found[-1][1]))
        else:
            found.append((low, high))
    return tuple(found)
