"""What was found in an uploaded file of edits, and what became of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from jobyard.domain.datasets.geojson_checks import FeatureFinding
from jobyard.domain.edits.work import UploadOutcome

MAX_LISTED_FINDINGS = 1_000  # findings that a report lists, errors first
MAX_GIVEN_IDS = 2_000  # new ids that a report lists


@dataclass(frozen=True, slots=True)
class UploadReport:
    """The result of reading an uploaded file. `problem` says why it was refused, "" if it was not.

    `changes` counts the features that it changes. `found` counts the findings, `given` the features
    that got a new id, listed or not. `new_ids` are the new ids by the old ones, or by the places of
    features that had none, as `line:column`.
    """

    outcome: UploadOutcome
    problem: str = ""
    changes: int = 0
    findings: tuple[FeatureFinding, ...] = ()
    found: int = 0
    new_ids: Mapping[str, str] | None = None
    given: int = 0

    @classmethod
    def of(
        cls,
        outcome: UploadOutcome,
        findings: Sequence[FeatureFinding],
        new_ids: Mapping[str, str],
        *,
        problem: str = "",
        changes: int = 0,
    ) -> "UploadReport":
        """The report of a file, with as many findings and ids as it lists."""
        ordered = sorted(findings, key=lambda each: each.level != "error")
        listed = dict(islice(new_ids.items(), MAX_GIVEN_IDS))
        return cls(
            outcome,
            problem,
            changes,
            tuple(ordered[:MAX_LISTED_FINDINGS]),
            len(findings),
            listed,
            len(new_ids),
        )

    def document(self) -> dict[str, Any]:
        """The report as JSON."""
        return {
            "outcome": self.outcome.value,
            "problem": self.problem,
            "changes": self.changes,
            "findings": [
                [each.level, each.code, each.line, each.column, each.message, each.feature_id]
                for each in self.findings
            ],
            "found": self.found,
            "new_ids": dict(self.new_ids or {}),
            "given": self.given,
        }


def upload_report_from(document: Mapping[str, Any]) -> UploadReport:
    """The report that `UploadReport.document` describes."""
    return UploadReport(
        UploadOutcome(document["outcome"]),
        document["problem"],
        document["changes"],
        tuple(FeatureFinding(*each) for each in document["findings"]),
        document["found"],
        document["new_ids"],
        document["given"],
    )
