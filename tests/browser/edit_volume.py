"""Edit jobs at volume, written directly: one in each state with all it may have, some 300 others,
twelve teams, thirty datasets, twenty commits."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from itertools import cycle

from jobyard.domain.datasets.changes import change_of
from jobyard.domain.datasets.commit import Author, CommitOrigin
from jobyard.domain.datasets.export import ExportRequest
from jobyard.domain.datasets.extent import parse_extent
from jobyard.domain.edits.team import Team, TeamMember
from jobyard.domain.edits.work import Priority
from jobyard.domain.ids import export_id_of
from jobyard.services.datasets.commit import commit
from jobyard.services.datasets.export import export
from jobyard.store import teams
from tests.functions.api.api_client import NOW
from tests.functions.web.browser import Browser
from tests.functions.web.edit_records import (
    BEN,
    DATASET,
    REVIEWER,
    STANISLAUS,
    TEAM,
    WORKER,
    EditRecords,
    counties,
    link_of,
    store_edits,
)
from tests.services.datasets.datasets import make_dataset
from tests.services.edits.edit_records import user

_STATES = (
    "proposed", "blocked", "allocated", "allocated", "activated", "prepared", "downloaded",
    "downloaded", "uploaded", "committed", "completed", "completed", "abandoned", "archived",
)  # fmt: skip
_NAMES = (
    "Straighten the border between Alameda and Contra Costa along the ridge",
    "境界線の修正 北部",
    "Names",
    "a-name-without-a-space-that-no-column-has-room-for-2026-11-sheet-48-second-try",
    "تصحيح الحدود",
)


def store_edit_volume(browser: Browser) -> Mapping[str, str]:
    """Store them in the empty tables. Returns the address of each page, by a name for a file;
    the person who is to look follows an @.
    """
    site = browser.function.SITE
    made = store_edits(site.settings, site.s3)
    names = cycle(_NAMES)
    for number in range(300):
        state = _STATES[number % len(_STATES)]
        west, south = -124 + number % 19 * 0.45, 33 + number // 19 * 0.55
        made.job(
            f"many-{number}",
            state,
            name=f"{next(names)} {number}",
            edit_type=("border", "names")[number % 2],
            extent=parse_extent({"box": [west, south, west + 0.4, south + 0.5]}),
            priority=Priority.HIGH if number % 11 == 0 else Priority.NORMAL,
            planned_end=NOW + timedelta(hours=9 * (number % 40) - 90) if number % 3 else None,
            created_at=NOW - timedelta(hours=number + 49),
        )
    _store_teams()
    for number in range(30):
        make_dataset(f"blatt-{number:02}-der-flurbereinigung", [], made.context)
    _commits(made)
    request = ExportRequest(export_id_of(b"counties"), DATASET, 2)
    export(request.document(), made.context)
    late = made.late_upload("failed")
    jobs, children = made.jobs, made.children
    child = {name: f"/edits/{each.child_id}" for name, each in children.items()}
    job = {name: f"/edits/{each.edit_id}" for name, each in jobs.items()}
    return {
        "planner": f"/planner?dataset={DATASET}",
        "planner-ended": f"/planner?dataset={DATASET}&list=ended",
        "edit-new": f"/edits/new?dataset={DATASET}",
        "edit-proposed": job["proposed"],
        "edit-blocked": job["blocked"],
        "edit-attachment": f"{job['blocked']}/attachments/1",
        "edit-allocated": job["allocated"],
        "edit-downloaded": job["downloaded"],
        "edit-upload": f"{job['downloaded']}/upload",
        "edit-uploads": f"{job['failed']}/uploads",
        "edit-late": late,
        "edit-invalid": child["invalid"],
        "edit-invalid-parent": job["invalid"],
        "edit-cost": f"{job['downloaded']}/cost",
        "edit-changes": f"{job['invalid']}/changes",
        "edit-review": child["quarantined"],
        "edit-corrected": child["corrected"],
        "edit-conflicted": child["conflicted"],
        "edit-conflicts": f"{child['conflicted']}/conflicts",
        "edit-failed": job["failed"],
        "edit-completed": job["completed"],
        "edit-log": f"{job['archived']}/log",
        "edit-change": f"{job['proposed']}/edit",
        "custodian": link_of(browser, made.jobs["blocked"]),
        "custodian-invalid": "/attachments/x",
        "edit-types": f"/datasets/{DATASET}/edit-types",
        "teams": "/teams",
        "team": f"/teams/{TEAM}",
        "datasets": "/datasets",
        "dataset-new": "/datasets/new",
        "dataset": f"/datasets/{DATASET}",
        "dataset-revision": f"/datasets/{DATASET}/revisions/2",
        "dataset-feature": f"/datasets/{DATASET}/feature?id={STANISLAUS}",
        "dataset-export": f"/datasets/{DATASET}/exports/{request.export_id}",
        "worklist-team": f"/worklist?team={TEAM}",
        "worklist-column": f"/worklist?team={TEAM}&column=allocated",
        # As people who do the work see them.
        "worklist@worker": "/worklist",
        "worklist-panel@worker": f"/worklist?job={jobs['downloaded'].edit_id}",
        "worklist-review@reviewer": f"/worklist?job={children['quarantined'].child_id}",
        "home@worker": "/",
        "edit-review@reviewer": child["quarantined"],
        "edit-downloaded@worker": job["downloaded"],
        "edit-conflicts@worker": f"{child['conflicted']}/conflicts",
    }


def _store_teams() -> None:
    for number in range(11):
        people = [
            TeamMember(
                user(f"person-{each}"), f"person-{each}@example.org", is_reviewer=each % 4 == 0
            )
            for each in range(number * 3)
        ]
        teams.write(None, Team(f"team-{number:02}", f"Region {number}", tuple(people)))


def _commits(made: EditRecords) -> None:
    """Twenty commits after the first."""
    before = replace(counties()[STANISLAUS], properties={"name": "Stanislaus County"})
    for number in range(20):
        after = replace(before, properties={"name": f"Stanislaus County {number}"})
        change = change_of(STANISLAUS, before, after)
        assert change
        people = (WORKER, BEN, REVIEWER)[: 1 + number % 3]
        authors = tuple(Author(each.sub, each.name) for each in people)
        edit_id = made.jobs[f"many-{number}"].edit_id
        commit(
            DATASET,
            number + 2,
            [change],
            CommitOrigin(edit_id, 1, authors, "a name " * number),
            made.context,
        )
        before = after
