import hashlib
import tarfile
import zipfile

from cli.demo import EXAMPLES, LATE_FILE
from jobyard.domain.manifests.entry import Entry
from jobyard.domain.manifests.findings import Finding
from jobyard.domain.manifests.reader import ManifestReader

BASE_URL = "https://files.example.org"
OBJECTS = EXAMPLES / "objects"


def read(name: str) -> tuple[ManifestReader, list[Entry], list[Finding]]:
    """Read an example manifest to its end."""
    text = (EXAMPLES / name).read_text().replace("{base_url}", BASE_URL)
    reading = ManifestReader([text.encode()], filename=name)
    entries: list[Entry] = []
    findings: list[Finding] = []
    for some_entries, some_findings in reading:
        entries += some_entries
        findings += some_findings
    return reading, entries, findings


def test_each_object_has_a_folder_its_manifest_is_made_of() -> None:
    reading, entries, _ = read("objects.checkm")

    made = {f"{BASE_URL}/objects/{folder.name}.checkm" for folder in OBJECTS.iterdir()}
    assert reading.worst_level == "pass"
    assert {entry.url for entry in entries} == made


def test_the_containers_are_as_the_manifest_describes_them() -> None:
    reading, entries, _ = read("containers.csv")

    assert reading.profile == "mrt-container-batch-manifest"
    for entry in entries:
        content = (EXAMPLES / entry.url.removeprefix(f"{BASE_URL}/")).read_bytes()
        assert (entry.size, entry.digest) == (len(content), hashlib.sha256(content).hexdigest())
    assert f"{BASE_URL}/{LATE_FILE.as_posix()}" in {entry.url for entry in entries}


def test_the_containers_hold_the_objects_own_files() -> None:
    packed: dict[str, dict[str, bytes]] = {}
    for file in (EXAMPLES / "containers").iterdir():
        name = file.name.partition(".")[0]
        if file.suffix == ".zip":
            with zipfile.ZipFile(file) as container:
                packed[name] = {each: container.read(each) for each in container.namelist()}
        else:
            with tarfile.open(file) as container:
                members = {each.name: container.extractfile(each) for each in container}
                packed[name] = {each: file.read() for each, file in members.items() if file}

    assert packed == {
        folder.name: {file.name: file.read_bytes() for file in folder.iterdir()}
        for folder in OBJECTS.iterdir()
    }


def test_the_refused_manifest_has_an_error_of_each_kind_the_demo_shows() -> None:
    reading, _, findings = read("refused.checkm")

    wrong = [(each.code, each.line) for each in findings if each.level == "error"]
    assert reading.worst_level == "error"
    assert wrong == [
        ("DIGEST_BAD", 7),
        ("ALGORITHM_UNKNOWN", 8),
        ("SIZE_BAD", 8),
        ("URL_MISSING", 9),
        ("PRIMARY_BAD", 9),
        ("NAME_REPEATED", 10),
    ]
