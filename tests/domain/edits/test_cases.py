"""What went wrong in other programs, by their public reports, and the tests that it cannot here."""

import re

import pytest

from cli.local.emulator import ROOT

DATASETS, EDITS = "domain/datasets", "domain/edits"
MERGE, UPLOAD, PACKAGE = f"{EDITS}/test_merge", f"{EDITS}/test_upload", f"{EDITS}/test_package"
GEOJSON, CHANGES = f"{DATASETS}/test_geojson", f"{DATASETS}/test_changes"
WORK, SCENARIOS = "services/edits/test_work", "scenarios/test_edits"
COMMIT, COMMANDS = "services/datasets/test_commit", "services/datasets/test_commands"
VALIDATE = "validation/test_validate"

# Number, report, what has to come out, and the tests that hold it: module, name.
CASES = (
    (1, "geodiff#146", "one sets x, the other y: both are kept",
     (MERGE, "different_properties_of_one_feature_are_merged")),
    (2, "geodiff#248", "updated here, deleted there, or the other way round: a conflict",
     (MERGE, "different_changes_of_both_sides_are_a_conflict")),
    (3, "geodiff#62", "inserts under ids that are taken: new ids, with a map",
     (UPLOAD, "inserted_ids_that_became_live_meanwhile_are_renumbered_with_a_map")),
    (4, "geodiff#210", "both insert one unique value: a failure of validation",
     (VALIDATE, "two_inserts_of_one_unique_value_are_a_failure"),
     (SCENARIOS, "two_clean_edits_that_break_a_rule_together_are_found_after_the_merge")),
    (5, "geogig#115", "what is exported and imported has no changes",
     (COMMANDS, "an_export_can_be_loaded_again_and_nothing_has_changed"),
     (SCENARIOS, "a_package_that_is_uploaded_as_it_is_changes_nothing")),
    (6, "QGIS#58169", "rounding breaks a polygon: the failure names the precision",
     (VALIDATE, "a_geometry_that_only_rounding_breaks_names_the_precision"),
     (GEOJSON, "a_ring_that_rounding_breaks_is_refused_and_the_precision_named")),
    (7, "kart#885", "both add one id: said so, and renumbered on request",
     (MERGE, "different_changes_of_both_sides_are_a_conflict"),
     (MERGE, "features_inserted_under_one_id_get_new_ids_on_request")),
    (8, "kart#484", "a height that was dropped is a finding",
     (UPLOAD, "a_missing_property_and_a_missing_height_are_found"),
     (CHANGES, "dropped_heights_are_noticed")),
    (9, "iD#5114", "deleted here, edited there: one conflict, decided once",
     (UPLOAD, "a_deletion_of_what_somebody_changed_is_decided_once"),
        (SCENARIOS, "a_conflict_is_decided_in_a_child_with_the_three_versions")),
    (10, "iD#9540, openstreetmap-website#2201", "an upload whose answer was lost is sent again",
     (WORK, "the_same_upload_again_is_ignored"),
     ("services/edits/test_crashes", "a_request_that_died_and_is_sent_again_is_done_once")),
    (11, "QFieldCloud#570", "equal ids in two datasets never meet",
     (COMMIT, "equal_ids_in_two_datasets_never_meet")),
    (12, "QFieldCloud#228", "one change set twice is one commit",
     (WORK, "the_same_upload_again_is_ignored"),
     (COMMIT, "a_commit_sent_twice_is_one_commit")),
    (13, "QField#6668", "an upload for another job is refused, with both names",
     (PACKAGE, "an_upload_for_another_job_is_refused_and_names_both"),
     (WORK, "an_upload_for_another_job_is_refused_with_both_names")),
    (14, "mobile#2382", "a file that was cut off deletes nothing",
     (UPLOAD, "a_file_that_was_cut_off_deletes_nothing"),
     (WORK, "a_file_that_is_not_what_was_sent_changes_nothing")),
    (15, "tasking-manager#4127", "what was approved is not activated again",
     (WORK, "what_has_ended_or_waits_is_not_activated_or_edited")),
    (16, "tasking-manager#1084", "the planner edits while a worker works: the claim stays",
     (WORK, "the_planner_edits_while_a_worker_works_and_the_claim_stays")),
    (17, "zappr#284", "no author approves their own part",
     (WORK, "no_author_reviews_whatever_their_roles"),
     (WORK, "an_author_by_a_later_fixup_cannot_end_a_review_that_was_theirs")),
    (18, "gitea#8439", "a change after the approval ends it",
     (WORK, "an_approval_is_bound_to_what_was_seen"),
     (SCENARIOS, "repairs_after_an_approval_are_reviewed_again")),
    (19, "camunda#4865", "the old worker is refused, with the name of the new one",
     (WORK, "the_old_worker_is_refused_with_the_name_of_the_new_one")),
    (20, "label-studio#795", "many take one job: one has it",
     (WORK, "the_first_to_activate_wins_and_the_others_get_the_name"),
     ("services/edits/test_crashes", "two_hundred_activate_one_job_at_once_and_one_has_it")),
    (21, "cvat#10361", "what is finished or rejected is not edited",
     (WORK, "what_has_ended_or_waits_is_not_activated_or_edited")),
    (22, "maproulette-backend#849", "one write claims and locks",
     (WORK, "the_first_to_activate_wins_and_the_others_get_the_name")),
    (23, "gdal#1109", "NaN is refused with line and column",
     (GEOJSON, "a_number_that_is_not_one_is_refused_with_its_position")),
    (24, "gdal#7258", "null ids among numbers get new ids, none repeated",
     (UPLOAD, "null_ids_get_new_ids_that_none_has_and_a_map_tells_them"),
     (GEOJSON, "features_without_id_get_ids_of_their_own_always_the_same")),
    (25, "geojson.io#561", "null in a GeometryCollection is refused",
     (GEOJSON, "a_geometry_that_is_none_is_refused")),
    (26, "geojson-rewind#17", "a byte order mark is dropped, with a warning",
     (GEOJSON, "a_byte_order_mark_is_dropped_with_a_warning")),
    (27, "turf#2061", "an extent in Europe does not have Alaska",
     (f"{DATASETS}/test_extent", "an_extent_in_europe_does_not_have_alaska"),
     ("services/datasets/test_load", "the_counties_are_loaded_and_alaska_is_not_in_europe")),
    (28, "gdal#1187", "null is not the same as missing, also after a round trip",
     (CHANGES, "equality_is_typed"),
     (COMMANDS, "an_export_can_be_loaded_again_and_nothing_has_changed")),
    (29, "wrf_hydro#16", "a zip whose names lead elsewhere is refused",
     (PACKAGE, "a_hostile_zip_is_refused")),
)  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[1])
def test_a_reported_case_has_tests_that_hold_it(
    case: tuple[int, str, str, tuple[str, str]],
) -> None:
    _, _, _, *tests = case

    for module, name in tests:
        text = (ROOT / "tests" / f"{module}.py").read_text()
        assert re.search(rf"^def test_{name}\(", text, re.MULTILINE), f"{module}: {name}"


def test_no_reported_case_is_left_out() -> None:
    assert [number for number, *_ in CASES] == [*range(1, 30)]
