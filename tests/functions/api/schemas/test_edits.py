"""Edit jobs in the API: answers have a size that they cannot pass."""

import json

from api.schemas.edits import MAX_GIVEN_IDS, MAX_WARNINGS, EditJob, UploadedEdits
from jobyard.domain.datasets.change_file import MAX_CHANGES
from jobyard.domain.datasets.geojson import MAX_ID_LETTERS
from jobyard.domain.edits.upload import UploadCheck, upload_finding
from jobyard.domain.edits.work import ChangeSet
from jobyard.services.edits.uploads import ConfirmedUpload
from jobyard.services.edits.workspaces import WrittenWorkspace
from tests.domain.edits.edit_jobs import an_edit_job

MAX_ITEM_BYTES = 400 * 1024  # of DynamoDB; an answer is kept in one for repeats of its request
MAX_EDIT_JOB_BYTES = 64 * 1024


def test_an_upload_with_a_warning_for_each_change_has_an_answer_that_can_be_kept() -> None:
    check, feature_id = UploadCheck.PROPERTY_DROPPED, "é" * MAX_ID_LETTERS
    warnings = [upload_finding(check, feature_id, "m" * 500)] * 2 * MAX_CHANGES
    given_ids = {2_000_000 + number: f"{number:016x}-99" for number in range(MAX_CHANGES)}
    changes = ChangeSet("edits/c", "d" * 64, MAX_CHANGES)
    confirmed = ConfirmedUpload(
        an_edit_job("uploaded"), WrittenWorkspace(changes, warnings, given_ids)
    )

    answer = UploadedEdits.of(confirmed, EditJob.model_construct())

    assert (len(answer.findings), answer.warnings) == (MAX_WARNINGS, 2 * MAX_CHANGES)
    assert len(answer.given_ids) == MAX_GIVEN_IDS
    stored = json.dumps(answer.model_dump(exclude={"job"}))
    assert len(stored) + MAX_EDIT_JOB_BYTES < MAX_ITEM_BYTES
