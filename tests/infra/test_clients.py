"""Every AWS client sets its configuration, because the SDK's defaults change between versions."""

import ast
from collections.abc import Iterator
from pathlib import Path

from cli.local.emulator import ROOT

REQUIRED = {"retries", "connect_timeout", "read_timeout"}
FACTORIES = {"client", "create_client"}


def calls(text: str, names: set[str]) -> Iterator[ast.Call]:
    """The calls with arguments in `text` of functions that have one of `names`."""
    if not any(f"{name}(" in text for name in names):
        return  # parsing takes long
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and (node.args or node.keywords):
            called = node.func
            name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
            if name in names:
                yield node


def position(node: ast.expr) -> tuple[int, int]:
    """Line and column of a node."""
    return node.lineno, node.col_offset


def sources() -> Iterator[Path]:
    yield from (ROOT / "functions").rglob("*.py")
    yield from (ROOT / "layers" / "jobyard").rglob("*.py")


def test_every_client_has_a_configuration() -> None:
    made = [(path, call) for path in sources() for call in calls(path.read_text(), FACTORIES)]
    without_config = [
        f"{path.name}:{call.lineno}"
        for path, call in made
        if not any(each.arg == "config" for each in call.keywords)
    ]

    assert len(made) >= 4  # otherwise clients are made in a way that this test does not see
    assert without_config == []


def test_every_configuration_sets_retries_and_timeouts() -> None:
    """A configuration that is merged into another one may leave them out."""
    incomplete = []
    for path in sources():
        text = path.read_text()
        added = {position(each) for merge in calls(text, {"merge"}) for each in merge.args}
        incomplete += [
            f"{path.name}:{call.lineno}"
            for call in calls(text, {"Config"})
            if position(call) not in added and not {each.arg for each in call.keywords} >= REQUIRED
        ]

    assert incomplete == []
