"""Validates the changes of an edit job, as they would be live."""

from collections.abc import Iterable

from jobyard.domain.datasets.dataset import Dataset
from jobyard.domain.datasets.extent import Box
from jobyard.domain.datasets.feature import Feature
from jobyard.domain.datasets.rules import read_rules
from jobyard.domain.datasets.validation_report import ValidationReport
from jobyard.domain.edits.settings import EditSettings
from jobyard.domain.plurals import plural
from jobyard.services.edits.reconcile import Reconciled
from jobyard.validation.validate import validate


def validate_changes(reconciled: Reconciled, dataset: Dataset) -> ValidationReport:
    """What the rules of the dataset say about changes that were merged with what is live.

    Raises:
        InvalidRule: the rules were stored by an earlier version, and are not allowed any more.
    """
    changed: dict[str, Feature | None] = {}
    before: dict[str, Feature] = {}
    for feature_id, change in reconciled.candidate.items():
        changed[feature_id] = change.after
        if change.before is not None:
            before[feature_id] = change.before
    reader = reconciled.reader

    def neighbours(box: Box) -> Iterable[Feature]:
        return reader.features_near([box])

    rules = read_rules(dataset.rules)
    return validate(changed, before, neighbours, reader.all_features, rules, dataset.precision)


def problem_of(report: ValidationReport, settings: EditSettings) -> str:
    """Why the changes are invalid; "" if they are not."""
    failures = [*report.failures, *(report.inherited if settings.inherited_fails else ())]
    if not failures:
        return ""
    first = failures[0]
    return f"{plural(len(failures), 'failure')}: {first.feature_id}: {first.message}"
