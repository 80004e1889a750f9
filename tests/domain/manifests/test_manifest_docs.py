import re
from pathlib import Path

import pytest

from jobyard.domain.manifests.findings import Check, check_table
from jobyard.domain.manifests.profiles import PROFILES, Column
from tests.domain.manifests.manifest_texts import read

PAGE = (Path(__file__).parents[3] / "docs" / "manifests.md").read_text()
BLOCKS = re.findall(r"```\n(.*?)```", PAGE, flags=re.DOTALL)


def test_the_page_lists_every_check_as_the_code_has_it() -> None:
    listed = PAGE.split("findings.check_table -->\n")[1].split("<!-- /checks")[0]

    assert listed == check_table()


def test_every_check_has_one_of_three_levels_and_a_description() -> None:
    assert {check.level for check in Check} == {"error", "warning", "information"}
    assert all(check.description.endswith((".", ")")) for check in Check)


def test_the_page_names_every_profile_and_column() -> None:
    assert all(f"`{profile}`" in PAGE for profile in PROFILES)
    assert all(f"`{column.heading}`" in PAGE for column in Column)


@pytest.mark.parametrize("beginning", ["#%checkm", "fileUrl,", '{"url"'])
def test_the_examples_of_the_page_have_no_errors_or_warnings(beginning: str) -> None:
    (example,) = [block for block in BLOCKS if block.startswith(beginning)]

    outcome = read(example, filename="example")

    assert outcome.codes == []
    assert outcome.reading.profile == "mrt-single-file-batch-manifest"
