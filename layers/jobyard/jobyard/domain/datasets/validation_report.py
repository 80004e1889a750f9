"""What the rules of a dataset say about changed features."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jobyard.domain.text import clean

MAX_FAILURES = 1_000  # that a report lists, and as many inherited ones
MAX_OTHERS = 20  # ids of other features that a failure lists
_MESSAGE_BYTES = 500


@dataclass(frozen=True, slots=True)
class RuleFailure:
    """A rule that a feature breaks, perhaps together with others.

    `code` is one of `RuleCheck`. `position` is a longitude and latitude where it can be seen.
    """

    rule: str
    code: str
    feature_id: str
    message: str
    others: tuple[str, ...] = ()
    position: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "message", clean(self.message, _MESSAGE_BYTES))
        object.__setattr__(self, "others", tuple(self.others[:MAX_OTHERS]))

    def document(self) -> dict[str, Any]:
        """The failure as JSON."""
        return {
            "rule": self.rule,
            "code": self.code,
            "feature_id": self.feature_id,
            "others": [*self.others],
            "message": self.message,
            "position": None if self.position is None else [*self.position],
        }


@dataclass(frozen=True, slots=True)
class ValidationReport:
    """The failures of changed features, in the order of rules, then of ids.

    `inherited` are failures that were there before the change: they do not count, unless the
    dataset says so. `more` counts the failures beyond `MAX_FAILURES`, inherited ones included.
    `skipped` are features whose geometry is invalid, so that no overlap or gap with them is found.
    """

    failures: tuple[RuleFailure, ...]
    inherited: tuple[RuleFailure, ...]
    rules_version: str
    more: int = 0
    skipped: tuple[str, ...] = ()

    @property
    def is_valid(self) -> bool:
        """Whether the change breaks no rule."""
        return not self.failures

    def document(self) -> dict[str, Any]:
        """The report as JSON."""
        return {
            "rules_version": self.rules_version,
            "failures": [each.document() for each in self.failures],
            "inherited": [each.document() for each in self.inherited],
            "more": self.more,
            "skipped": [*self.skipped],
        }


def report_from(document: Mapping[str, Any]) -> ValidationReport:
    """The report that `ValidationReport.document` describes."""
    return ValidationReport(
        tuple(map(_failure_from, document["failures"])),
        tuple(map(_failure_from, document["inherited"])),
        document["rules_version"],
        document["more"],
        tuple(document["skipped"]),
    )


def _failure_from(document: Mapping[str, Any]) -> RuleFailure:
    position = document["position"]
    return RuleFailure(
        document["rule"],
        document["code"],
        document["feature_id"],
        document["message"],
        tuple(document["others"]),
        None if position is None else (position[0], position[1]),
    )
