"""Checks the features of a file by rules that are given in another file."""

import json
from collections.abc import Iterator, Sequence

import typer

from cli.findings import EXIT_UNREADABLE, opened
from cli.terminal import print_error, printable_path
from jobyard.domain.datasets.feature import Feature
from jobyard.domain.datasets.geojson import FeatureReader
from jobyard.domain.datasets.geojson_checks import FeatureFinding
from jobyard.domain.datasets.rules import MAX_RULES_BYTES, RuleCheck, RuleSet, read_rules
from jobyard.domain.datasets.validation_report import ValidationReport
from jobyard.domain.errors import InvalidRule
from jobyard.domain.json_objects import RepeatedKey, object_of
from jobyard.domain.manifests.findings import Check, FindingLevels

_MAX_FILE_BYTES = 2 * MAX_RULES_BYTES  # a file for people has spaces and lines
_SKIPPED = RuleCheck.AREA_SKIPPED
_LEVELS = {each.value: each.level for each in RuleCheck}


def rules_in(file: str) -> RuleSet:
    """The rules of a file. Exits with 2 if it has none, and says why."""
    name = printable_path(file)
    with opened(file) as stream:
        content = stream.read(_MAX_FILE_BYTES + 1)
    if len(content) > _MAX_FILE_BYTES:
        print_error(
            f"{name}: larger than {_MAX_FILE_BYTES:,} bytes, which a file of rules may have"
        )
        raise typer.Exit(EXIT_UNREADABLE)
    try:
        rules = read_rules(json.loads(content, object_pairs_hook=object_of))
    except (InvalidRule, RepeatedKey) as error:
        print_error(f"{name}: {error}")
        raise typer.Exit(EXIT_UNREADABLE) from error
    except (ValueError, RecursionError) as error:
        print_error(f"{name}: not JSON: {error}")
        raise typer.Exit(EXIT_UNREADABLE) from error
    return rules


class RuledReading(FindingLevels):
    """A pass over GeoJSON, and then over its features by rules, if there are any.

    A file that cannot be loaded is not checked by rules. `failures` counts how they are broken.
    """

    def __init__(self, reading: FeatureReader, rules: RuleSet | None, precision: int) -> None:
        super().__init__()
        self.failures = 0
        self._reading = reading
        self._rules = rules
        self._precision = precision

    @property
    def count(self) -> int:
        """The number of features that can be loaded."""
        return self._reading.count

    def __iter__(self) -> Iterator[tuple[list[Feature], Sequence[FeatureFinding]]]:
        features: dict[str, Feature | None] = {}
        for found, findings in self._reading:
            self._levels.update(finding.level for finding in findings)
            if self._rules is not None:
                features.update({each.feature_id: each for each in found})
            yield found, findings
        if self._rules is None or self._reading.errors:
            return
        findings = self._findings_of(_report_of(features, self._rules, self._precision))
        self._levels.update(finding.level for finding in findings)
        yield [], findings

    def _findings_of(self, report: ValidationReport) -> list[FeatureFinding]:
        self.failures = len(report.failures) + report.more
        findings = [
            self._finding(each.code, each.feature_id, f"{each.rule}: {each.message}")
            for each in report.failures
        ]
        findings += [
            self._finding(_SKIPPED.value, each, "others may overlap it: it is invalid")
            for each in report.skipped
        ]
        if report.more:
            check, message = Check.MORE_FINDINGS, f"{report.more} more failures are not listed"
            findings.append(FeatureFinding(check.level, check.value, 0, 0, message))
        return findings

    def _finding(self, code: str, feature_id: str, message: str) -> FeatureFinding:
        line = self._reading.line_of(feature_id)
        return FeatureFinding(_LEVELS[code], code, line, 0, message, feature_id)


def _report_of(
    features: dict[str, Feature | None], rules: RuleSet, precision: int
) -> ValidationReport:
    from jobyard.validation.validate import validate

    return validate(features, {}, lambda _: (), lambda: (), rules, precision)
