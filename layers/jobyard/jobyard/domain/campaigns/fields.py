"""Reading the fields of a JSON object, with a finding for each field that is wrong."""

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Any, TypeVar

from jobyard.domain.errors import InvalidCampaign, InvalidRule

_Value = TypeVar("_Value")
_Member = TypeVar("_Member", bound=StrEnum)


class FieldReader:
    """The fields of a JSON object. A null field counts as missing.

    `where` names the object, "" for the campaign itself. What is wrong is collected, so that a
    person sees all of it at once. A field that is wrong reads as its default.
    """

    def __init__(self, document: object, allowed: Sequence[str], where: str = "") -> None:
        self._where = where
        self._values: dict[str, Any] = {}
        self.problems: list[InvalidRule] = []
        if not isinstance(document, Mapping):
            self.refuse("", f"a JSON object of {', '.join(allowed)}, not {document!r:.40}")
            return
        for name, value in document.items():
            if name not in allowed:
                self.refuse(str(name), f"no such field; the fields are {', '.join(allowed)}")
            elif value is not None:
                self._values[name] = value

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def value(self, name: str, default: Any = None) -> Any:
        """The value of a field as it is; `default` if it is missing."""
        return self._values.get(name, default)

    def read(self, name: str, parse: Callable[[str, object], _Value], default: _Value) -> _Value:
        """The parsed value of a field; `default` if it is missing or wrong.

        `parse` gets the field's name and value, and raises InvalidRule or InvalidCampaign.
        """
        if name not in self._values:
            return default
        try:
            return parse(self.path(name), self._values[name])
        except InvalidRule as error:
            self.problems.append(error)
        except InvalidCampaign as error:
            self.problems += error.problems
        return default

    def refuse(self, name: str, allowed: str) -> None:
        """Record that a field is wrong. `allowed` says which values are allowed."""
        self.problems.append(InvalidRule(self.path(name) or "campaign", allowed))

    def path(self, name: str) -> str:
        """The name of a field with that of its object."""
        return ".".join(filter(None, (self._where, name)))

    def check(self) -> None:
        """Raise what was wrong.

        Raises:
            InvalidCampaign: at least one field is wrong.
        """
        if self.problems:
            raise InvalidCampaign(self.problems)


def whole_number(least: int, most: int, unit: str = "") -> Callable[[str, object], int]:
    """A parser of whole numbers from `least` to `most`. `unit` is for the message."""

    def parse(where: str, value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            unit_text = f" {unit}" if unit else ""
            allowed = f"a whole number{unit_text} from {least:,} to {most:,}"
            raise InvalidRule(where, f"{allowed}, not {value!r:.40}")
        return value

    return parse


def one_of(members: type[_Member]) -> Callable[[str, object], _Member]:
    """A parser of the members of an enumeration."""

    def parse(where: str, value: object) -> _Member:
        if value not in tuple(members):
            raise InvalidRule(where, f"one of {', '.join(members)}, not {value!r:.40}")
        return members(str(value))

    return parse
