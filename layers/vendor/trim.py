"""Takes out of a folder of installed packages what our functions never read.

    python3 trim.py FOLDER

Run by the layer's Makefile and by the laptop's deployment, so that both layers are alike. A smaller
layer is unpacked and started faster, which is billed. services.txt lists the AWS services whose
descriptions stay.
"""

import shutil
import sys
from pathlib import Path

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


if __name__ == "__main__":
    trim(
        Path(sys.argv[1]),
        frozenset(Path(__file__).with_name("services.txt").read_text().split()),
    )
