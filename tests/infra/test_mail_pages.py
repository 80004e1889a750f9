"""The documentation of mail retries matches the code."""

from pathlib import Path

import pytest

from cli.local.emulator import ROOT
from jobyard.services.reports.mail import MAIL_TRIES, QUICK_TRIES

_WORDS = {10: "ten"}


@pytest.mark.parametrize("page", ["operating.md", "aws.md"])
def test_the_pages_say_how_often_a_mail_is_retried(page: str) -> None:
    text = " ".join(Path(ROOT / "docs" / page).read_text().split())

    assert f"tried {_WORDS[QUICK_TRIES]} times, a minute apart" in text
    assert f"{MAIL_TRIES} times in all" in text
    assert "ten times in all" not in text
