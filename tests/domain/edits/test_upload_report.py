"""Reports of uploaded files: what they list is bounded."""

import json

from jobyard.domain.datasets.feature import MAX_ID_LETTERS
from jobyard.domain.edits.upload import UploadCheck, upload_finding
from jobyard.domain.edits.upload_report import (
    MAX_GIVEN_IDS,
    MAX_LISTED_FINDINGS,
    UploadReport,
    upload_report_from,
)
from jobyard.domain.edits.work import UploadOutcome

MAX_ANSWER_BYTES = 6 * 1024 * 1024  # of a function


def test_a_report_lists_errors_first_and_has_a_size_that_an_answer_may_have() -> None:
    feature_id = "é" * MAX_ID_LETTERS
    warning = upload_finding(UploadCheck.PROPERTY_DROPPED, feature_id, "m" * 500)
    error = upload_finding(UploadCheck.DELETED_BAD, feature_id, "m" * 500)
    new_ids = {f"{number}{feature_id}": feature_id for number in range(2 * MAX_GIVEN_IDS)}

    report = UploadReport.of(
        UploadOutcome.REFUSED, [warning] * 2 * MAX_LISTED_FINDINGS + [error], new_ids
    )

    assert (len(report.findings), report.found) == (
        MAX_LISTED_FINDINGS,
        2 * MAX_LISTED_FINDINGS + 1,
    )
    assert report.findings[0] == error
    assert (len(report.new_ids or ()), report.given) == (MAX_GIVEN_IDS, 2 * MAX_GIVEN_IDS)
    document = report.document()
    assert len(json.dumps(document)) < MAX_ANSWER_BYTES
    assert upload_report_from(json.loads(json.dumps(document))) == report
