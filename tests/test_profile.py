"""Property tests pass on a busy machine."""

import re
from pathlib import Path

from hypothesis import HealthCheck, settings

HERE = Path(__file__).parent


def test_no_example_has_to_be_quick() -> None:
    assert settings.default is not None
    assert settings.default.deadline is None
    assert HealthCheck.too_slow in settings.default.suppress_health_check


def test_no_test_overrides_the_profile() -> None:
    for path in HERE.rglob("*.py"):
        text = path.read_text()
        assert set(re.findall(r"\bdeadline=(\w+)", text)) <= {"None"}, path
        for checks in re.findall(r"suppress_health_check=\[([^]]*)\]", text):
            assert "too_slow" in checks, path
