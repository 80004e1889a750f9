"""The build that runs: its version, and a digest of its code."""

from pathlib import Path

from jobyard import VERSION
from jobyard.services.build import build, code_digest


def test_a_build_is_the_version_with_the_digest_of_the_code() -> None:
    version, _, digest = build().partition("+")

    assert version == VERSION
    assert len(digest) == 8


def test_the_digest_differs_after_each_change_of_code_and_after_no_other(tmp_path: Path) -> None:
    code = tmp_path / "a" / "code.py"
    code.parent.mkdir()
    code.write_text("1")
    before = code_digest(tmp_path)

    (tmp_path / "code.pyc").write_text("compiled")
    again = code_digest(tmp_path)
    code.write_text("2")
    edited = code_digest(tmp_path)
    code.rename(tmp_path / "code.py")
    moved = code_digest(tmp_path)

    assert again == before
    assert len({before, edited, moved}) == 3
