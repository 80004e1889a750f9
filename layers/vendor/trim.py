"""Removes from a folder of installed packages what our functions never read.

    python3 trim.py FOLDER

The layer's Makefile and the local deployment both run it, so that both layers are the same. Lambda
unpacks and starts a smaller layer faster, and bills that time. services.txt lists the AWS services
whose API models and endpoints are kept. Their documentation, four fifths of what a new client
reads, is removed with the code that renders it. Packages that only re-export import a name when it
is first used.
"""

import ast
import gzip
import json
import shutil
import sys
from pathlib import Path
from typing import Any

# Neither our code nor what it imports needs these; tests/infra checks it.
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

# Packages of which we use one class; importing all of their modules takes 5 to 10 ms.
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

# Replaces botocore's classes of that name, which render a method's documentation on demand.
_DOCSTRINGS = """
class LazyLoadedDocstring(str):
    def __new__(cls, *args, **kwargs):
        return super().__new__(cls)


ClientMethodDocstring = PaginatorDocstring = WaiterDocstring = LazyLoadedDocstring
"""

# The same for boto3, which only the API's idempotency imports.
_BOTO3_DOCSTRINGS = """
from botocore.docs.docstring import LazyLoadedDocstring


def __getattr__(name):
    if not name.endswith("Docstring"):
        raise AttributeError(name)
    return LazyLoadedDocstring
"""


def trim(folder: Path, services: frozenset[str]) -> None:
    """Trim the packages in `folder`; of botocore's and boto3's data, `services` stay."""
    for pattern in UNUSED:
        for path in list(folder.glob(pattern)):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
    for data in (folder / "botocore" / "data", folder / "boto3" / "data"):
        for service in data.iterdir():
            if service.is_dir() and service.name not in services:
                shutil.rmtree(service)
    for model in folder.glob("botocore/data/*/*/service-2.json.gz"):
        text = json.dumps(_without_documentation(json.loads(gzip.decompress(model.read_bytes()))))
        model.write_bytes(gzip.compress(text.encode(), mtime=0))
    _trim_endpoints(folder / "botocore" / "data")
    (folder / "botocore" / "docs" / "__init__.py").write_text("")
    (folder / "botocore" / "docs" / "docstring.py").write_text(_DOCSTRINGS)
    (folder / "boto3" / "docs" / "__init__.py").write_text("")
    (folder / "boto3" / "docs" / "docstring.py").write_text(_BOTO3_DOCSTRINGS)
    for package in LAZY:
        init = folder / package / "__init__.py"
        init.write_text(_lazy(init.read_text()))


def _trim_endpoints(data: Path) -> None:
    """Keep the endpoints of the services that have an API model, in all regions."""
    prefixes = {
        json.loads(gzip.decompress(model.read_bytes()))["metadata"]["endpointPrefix"]
        for model in data.glob("*/*/service-2.json.gz")
    }
    path = data / "endpoints.json"
    endpoints = json.loads(path.read_text())
    for partition in endpoints["partitions"]:
        services = partition["services"]
        partition["services"] = {name: services[name] for name in prefixes & services.keys()}
    path.write_text(json.dumps(endpoints, sort_keys=True))


def _lazy(source: str) -> str:
    """The source of a package's `__init__`, changed so that it imports what it re-exports at first
    use. What its own statements use is imported as before."""
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


def _without_documentation(model: Any) -> Any:
    """An API model with empty documentation. The keys stay, because botocore reads some of them,
    and so does a member of a shape that has this name."""
    if isinstance(model, list):
        return [_without_documentation(each) for each in model]
    if not isinstance(model, dict):
        return model
    return {
        name: ""
        if name == "documentation" and isinstance(value, str)
        else _without_documentation(value)
        for name, value in model.items()
    }


if __name__ == "__main__":
    trim(
        Path(sys.argv[1]),
        frozenset(Path(__file__).with_name("services.txt").read_text().split()),
    )
