from pathlib import Path

import pytest

from cli.connections import StackNotRunning, local_connection


def test_without_a_running_stack_the_error_says_how_to_start_it(tmp_path: Path) -> None:
    with pytest.raises(StackNotRunning, match="`jobyard local up`"):
        local_connection(tmp_path)
