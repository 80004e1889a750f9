"""Objects in the archive, stored as a deposit would."""

import hashlib
import json

import boto3

from jobyard.domain.objects import ObjectVersion
from jobyard.jobtypes.deposit.keys import content_key, version_key
from jobyard.store import objects
from tests.functions.api.batch_records import HOUR_AGO
from tests.tables import REGION


def a_version(
    ark: str, version: int = 1, *, collection: str = "maps", files: int = 2, batch_id: str = "b1"
) -> ObjectVersion:
    """A version of an object with `files` files, a.txt, b.txt and so on, and its manifest."""
    names = [f"{chr(ord('a') + number)}.txt" for number in range(files)]
    digests = {name: hashlib.sha256(name.encode()).hexdigest() for name in names}
    manifest = {
        "ark": ark,
        "metadata": {"title": "Maps"},
        "source": {"kind": "file", "name": "a.txt"},
        "files": [
            {"name": name, "size": 5, "digests": {"sha256": sha}, "key": content_key(sha)}
            for name, sha in digests.items()
        ],
    }
    body = json.dumps(manifest).encode()
    s3 = boto3.client("s3", region_name=REGION)
    s3.put_object(Bucket="archive", Key=version_key(ark, version), Body=body)
    found = ObjectVersion(
        ark,
        version,
        collection,
        batch_id,
        f"{batch_id}.0.{version}",
        files,
        5 * files,
        hashlib.sha256(body).hexdigest(),
        ("box-1",),
        HOUR_AGO,
    )
    objects.record(found)
    return found
