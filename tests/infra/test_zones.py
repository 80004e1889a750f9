"""Time zones come from the vendor layer, not from the system."""

import os
import subprocess
import sys

from cli.local.artifacts import pinned
from cli.local.emulator import ROOT

PROGRAM = """
from datetime import UTC, datetime
from jobyard.domain.schedules.rule_parsing import recurrence_of
rule = recurrence_of({"kind": "once", "at": "09:00", "anchor": "2026-11-25"})
print(rule.first_from(datetime(2026, 1, 1, tzinfo=UTC)))
"""


def test_a_rule_finds_its_zone_where_the_system_has_none() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={"PATH": os.defpath, "PYTHONTZPATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout == "2026-11-25 17:00:00+00:00\n"
    assert "tzdata" in dict(pinned((ROOT / "layers/vendor/requirements.txt").read_text()))
