"""What a function can write to its disk fits."""

import ast
from pathlib import Path
from typing import Any

from cli.local.emulator import ROOT
from jobyard.domain.datasets.json_stream import MAX_VALUE_LETTERS
from jobyard.domain.datasets.load import FEATURES_BYTES
from jobyard.domain.manifests.lines import LINE_BYTES
from jobyard.services.retention import chunked_archive
from jobyard.services.retention import schedules as schedule_retention
from tests.infra.template_reader import Resources, of_type

_DEFAULT_MB = 512  # of /tmp; source: Lambda developer guide, Configure ephemeral storage
_MB = 1024 * 1024
# Modules, functions and methods that write to a disk.
_WRITERS = {"tempfile", "mkdtemp", "mkstemp", "shutil", "write_bytes", "write_text", "extractall"}
# The most that a module has on a worker's disk at a time: one compressed part of the archive. A
# record has at most 16 KiB. A row holds no more than its line, but JSON escapes some letters with
# six characters. Compressed, that is a quarter more.
RECORD_BYTES = 16 * 1024
ROW_BYTES = LINE_BYTES * 5 // 4
AT_MOST = {
    "services/retention/archive.py": max(
        chunked_archive.JOBS_PER_PART * (ROW_BYTES + RECORD_BYTES),
        schedule_retention.OCCURRENCES_PER_PART * 2 * RECORD_BYTES,
    ),
    # The features of a dataset, while it is loaded.
    "services/datasets/load.py": FEATURES_BYTES + MAX_VALUE_LETTERS * 4,
}
# Modules that one handler alone runs.
ONLY_IN = {"services/datasets/load.py": "edit.load.handler"}


def test_only_known_modules_write_to_the_disk() -> None:
    found = {
        str(path.relative_to(ROOT / "layers/jobyard/jobyard"))
        if path.is_relative_to(ROOT / "layers")
        else str(path.relative_to(ROOT))
        for folder in ("layers/jobyard/jobyard", "functions")
        for path in (ROOT / folder).rglob("*.py")
        if _writes(path)
    }

    assert found == AT_MOST.keys()


def test_every_function_has_enough_disk(resources: Resources) -> None:
    for name, function in of_type(resources, "AWS::Lambda::Function").items():
        properties = function["Properties"]
        given = properties.get("EphemeralStorage", {"Size": _DEFAULT_MB})["Size"]
        written = [
            size
            for module, size in AT_MOST.items()
            if ONLY_IN.get(module, properties["Handler"]) == properties["Handler"]
        ]
        assert sum(written) < given * _MB, name


def _writes(path: Path) -> bool:
    text = path.read_text()
    if not any(word in text for word in (*_WRITERS, "open(")):
        return False  # parsing takes long
    return any(_is_writer(node) for node in ast.walk(ast.parse(text)))


def _is_writer(node: Any) -> bool:
    match node:
        case ast.Import(names):
            return any(each.name.split(".")[0] in _WRITERS for each in names)
        case ast.ImportFrom(module, names):
            named = {each.name for each in names}
            return bool(({(module or "").split(".")[0]} | named) & _WRITERS)
        case ast.Attribute(_, name):
            return name in _WRITERS
        case ast.Call(ast.Name("open"), [_, ast.Constant(str(mode)), *_]):
            return any(letter in mode for letter in "wax+")
    return False
