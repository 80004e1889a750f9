"""Packs folders into zip and tar.gz files, deposits them as objects, and reads the objects back.

Run it on a local stack; README.md says how. It uses the client of examples/api_client.
"""

import hashlib
import io
import json
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from examples.api_client.client import Client

OBJECTS = Path(__file__).with_name("objects")
FORMATS = {"harbour-charts": "zip", "tide-tables": "gztar"}  # as shutil names them


def pack(target: Path) -> list[Path]:
    """Pack each folder of `objects` into a container in `target`."""
    return [
        Path(shutil.make_archive(str(target / name), kind, OBJECTS / name))
        for name, kind in FORMATS.items()
    ]


def manifest(containers: list[Path], base_url: str) -> bytes:
    """A CSV manifest with one row for each container. Jobyard verifies size and digest."""
    rows = ["fileUrl,hashAlgorithm,hashValue,fileSize,fileName,localIdentifier,title"]
    for path in containers:
        content = path.read_bytes()
        title = path.name.partition(".")[0]
        digest = hashlib.sha256(content).hexdigest()
        rows.append(
            f"{base_url}/{path.name},sha-256,{digest},{len(content)},{path.name},"
            f"example:{title},{title}"
        )
    return "\n".join([*rows, ""]).encode()


@contextmanager
def serving(folder: Path, port: int) -> Iterator[None]:
    """Serve `folder` on the loopback address, from which the local stack may fetch files."""
    handler = partial(SimpleHTTPRequestHandler, directory=str(folder))
    server = ThreadingHTTPServer(("127.0.0.1", port), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def read_back(s3: Any, bucket: str, result: Mapping[str, Any]) -> dict[str, bytes]:
    """The files of the object version that a job stored, by name.

    `result` is the job's. The version's manifest lists the files with their keys and digests.
    """
    ark = result["ark"].replace(":/", "-").replace("/", "-")
    version = json.load(get(s3, bucket, f"objects/{ark}/v{result['version']}.json"))
    files = {}
    for file in version["files"]:
        content = get(s3, bucket, file["key"]).read()
        if hashlib.sha256(content).hexdigest() != file["digests"]["sha-256"]:
            raise ValueError(f"{file['name']} is damaged")
        files[file["name"]] = content
    return files


def get(s3: Any, bucket: str, key: str) -> io.BytesIO:
    """The content of an object in S3."""
    return io.BytesIO(s3.get_object(Bucket=bucket, Key=key)["Body"].read())


def deposit(client: Client, s3: Any, bucket: str, files_port: int) -> dict[str, dict[str, bytes]]:
    """Deposit the containers and return the archived files of each, by its name.

    Raises:
        RuntimeError: a job failed.
    """
    with tempfile.TemporaryDirectory() as made:
        containers = pack(Path(made))
        text = manifest(containers, f"http://127.0.0.1:{files_port}")
        with serving(Path(made), files_port):
            batch_id = client.submit(text, "containers.csv", "demo")
            print(f"batch {batch_id}")
            batch = client.wait(batch_id)
    print(f"{batch['state']}: {batch['counts']['succeeded']} of {batch['counts']['total']} jobs")
    archived = {}
    for job in client.items(f"/batches/{batch_id}/jobs"):
        if job["state"] != "succeeded":
            raise RuntimeError(f"{job['name']}: {job['failure_code']}, {job['failure_message']}")
        result = client.get(f"/jobs/{job['job_id']}")["result"]
        archived[job["name"]] = read_back(s3, bucket, result)
        print(f"{job['name']} is {result['ark']}, version {result['version']}")
        for name, content in archived[job["name"]].items():
            print(f"  {name}: {len(content)} bytes")
    return archived


def main() -> None:
    """Deposit to the stack in the environment variable JOBYARD_STATUS."""
    stack = json.loads(os.environ["JOBYARD_STATUS"])  # of `jobyard local status --json`
    client = Client(stack["api_url"], lambda: os.environ["JOBYARD_TOKEN"])
    s3 = boto3.client(
        "s3",
        endpoint_url=stack["endpoint"],
        region_name=stack["region"],
        aws_access_key_id=stack["access_key_id"],
        aws_secret_access_key=stack["secret_access_key"],
        config=Config(s3={"addressing_style": "path"}),
    )
    with closing(client):
        deposit(client, s3, stack["archive_bucket"], stack["files_port"])


if __name__ == "__main__":
    main()
