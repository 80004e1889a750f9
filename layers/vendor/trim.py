"""Takes out of a folder of installed packages what our functions never read.

    python3 trim.py FOLDER

Run by the layer's Makefile and by the laptop's deployment, so that both layers are alike. A smaller
layer is unpacked and started faster, which is billed. services.txt lists the AWS services whose
descriptions stay; of these go the words for people, four fifths of what every new client reads.
"""

import gzip
import json
import shutil
import sys
from pathlib import Path
from typing import Any

# Nothing of ours imports these, and nothing that we import does; tests/infra holds it.
UNUSED = (
    "aws_lambda_powertools/event_handler/openapi/swagger_ui/*.js",
    "aws_lambda_powertools/event_handler/openapi/swagger_ui/*.css",
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
    "boto3/examples",
    "botocore/data/*/*/examples-1.json",
    "*.dist-info/RECORD",
    "bin",
    "**/__pycache__",
)


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
