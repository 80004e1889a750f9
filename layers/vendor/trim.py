"""Takes out of a folder of installed packages what our functions never read.

    python3 trim.py FOLDER

The layer's Makefile and the laptop's deployment both run it, so that both layers are alike. A
smaller layer is unpacked and started faster, which is billed. services.txt lists the AWS services
whose descriptions and endpoints stay. Their documentation goes, four fifths of what a new client
reads, and so does the code that renders it. Packages that only re-export load a name when it is
first asked for.
"""

import ast
import gzip
import json
import shutil
import sys
from pathlib import Path
from typing import Any

# Nothing of ours imports these, and nothing that we import does; tests/infra holds it.
UNUSED = (
    "aws_lambda_powertools/utilities/auth_alpha",
    "aws_lambda_powertools/utilities/batch",
    "aws_lambda_powertools/utilities/circuit_breaker",
    "aws_lambda_powertools/utilities/data_masking",
    "aws_lambda_powertools/utilities/feature_flags",
    "aws_lambda_powertools/utilities/kafka",
    "aws_lambda_powertools/utilities/parameters",
    "aws_lambda_powertools/utilities/parser",
    "aws_lambda_powertools/utilities/streaming",
    "aws_lambda_powertools/utilities/validation",
    "boto3/docs/[!_du]*.py",
    "boto3/examples",
    "botocore/docs/bcdoc",
    "botocore/docs/[!_du]*.py",
    "botocore/data/*/*/examples-1.json",
    "*.dist-info/RECORD",
    "bin",
    "**/__pycache__",
)

# Of each, one class is what we use, and importing all takes 5 to 10 ms of a cold start.
LAZY = (
    "aws_lambda_powertools",
    "aws_lambda_powertools/event_handler",
    "aws_lambda_powertools/utilities/data_classes",
)

_LAZY = """

def __getattr__(name):
    if name not in _EXPORTED:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    module, original = _EXPORTED[name]
    value = globals()[name] = getattr(import_module(module, __name__), original)
    return value
"""

# Stands for botocore's classes of that name, which render a method's documentation when asked.
_DOCSTRINGS = """
class LazyLoadedDocstring(str):
    def __new__(cls, *args, **kwargs):
        return super().__new__(cls)


ClientMethodDocstring = PaginatorDocstring = WaiterDocstring = LazyLoadedDocstring
"""

# The same for boto3, which only the idempotency of a POST imports.
_BOTO3_DOCSTRINGS = """
from botocore.docs.docstring import LazyLoadedDocstring


def __getattr__(name):
    if not name.endswith("Docstring"):
        raise AttributeError(name)
    return LazyLoadedDocstring
"""


def trim(folder: Path, services: frozenset[str]) -> None:
    for pattern in UNUSED:
        for path in list(folder.glob(pattern)):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
    for data in (folder / "botocore" / "data", folder / "boto3" / "data"):
        for described in data.iterdir():
            if described.is_dir() and described.name not in services:
                shutil.rmtree(described)
    for model in folder.glob("botocore/data/*/*/service-2.json.gz"):
        bare = json.dumps(_wordless(json.loads(gzip.decompress(model.read_bytes()))))
        model.write_bytes(gzip.compress(bare.encode(), mtime=0))
    _trim_endpoints(folder / "botocore" / "data")
    (folder / "botocore" / "docs" / "__init__.py").write_text("")
    (folder / "botocore" / "docs" / "docstring.py").write_text(_DOCSTRINGS)
    (folder / "boto3" / "docs" / "__init__.py").write_text("")
    (folder / "boto3" / "docs" / "docstring.py").write_text(_BOTO3_DOCSTRINGS)
    for package in LAZY:
        init = folder / package / "__init__.py"
        init.write_text(_lazy(init.read_text()))


def _trim_endpoints(data: Path) -> None:
    """Leave the endpoints of the services whose descriptions are there, in all regions."""
    prefixes = {
        json.loads(gzip.decompress(model.read_bytes()))["metadata"]["endpointPrefix"]
        for model in data.glob("*/*/service-2.json.gz")
    }
    path = data / "endpoints.json"
    known = json.loads(path.read_text())
    for partition in known["partitions"]:
        of_services = partition["services"]
        partition["services"] = {name: of_services[name] for name in prefixes & of_services.keys()}
    path.write_text(json.dumps(known, sort_keys=True))


def _lazy(source: str) -> str:
    """A package's `__init__` that imports what it re-exports when that is first asked for. What its
    own statements use is imported as before."""
    tree = ast.parse(source)
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    exported: dict[str, tuple[str, str]] = {}
    kept: list[ast.stmt] = []
    for statement in tree.body:
        names = statement.names if isinstance(statement, ast.ImportFrom) else []
        if not isinstance(statement, ast.ImportFrom) or used & {each.name for each in names}:
            kept.append(statement)
            continue
        module = "." * statement.level + (statement.module or "")
        exported |= {each.asname or each.name: (module, each.name) for each in names}
    return f"{ast.unparse(ast.Module(kept, []))}\n\n_EXPORTED = {exported!r}\n{_LAZY}"


def _wordless(description: Any) -> Any:
    """A service's description with its documentation empty, for botocore reads some of it; a field
    of that name stays."""
    if isinstance(description, dict):
        return {
            name: "" if name == "documentation" and isinstance(value, str) else _wordless(value)
            for name, value in description.items()
        }
    if isinstance(description, list):
        return [_wordless(each) for each in description]
    return description


if __name__ == "__main__":
    trim(
        Path(sys.argv[1]),
        frozenset(Path(__file__).with_name("services.txt").read_text().split()),
    )
