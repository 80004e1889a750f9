import hashlib
import socket
from collections.abc import Iterator

import httpx
import pytest

from cli import demo
from cli.demo import EXAMPLES, LATE_FILE, ServedFiles
from cli.local import emulator
from cli.local.emulator import EmulatorError


@pytest.fixture
def files() -> Iterator[ServedFiles]:
    with demo.serve_files(emulator.free_port()) as files:
        yield files


def test_a_file_is_served_with_its_length_and_version(files: ServedFiles) -> None:
    content = (EXAMPLES / "objects" / "ratification" / "about.txt").read_bytes()
    url = f"{files.base_url}/objects/ratification/about.txt"

    got, head = httpx.get(url, trust_env=False), httpx.head(url, trust_env=False)

    assert got.content == content
    assert head.headers["Content-Length"] == str(len(content))
    assert head.headers["ETag"] == f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    assert head.content == b""


def test_one_file_is_missing_until_it_is_added(files: ServedFiles) -> None:
    url = f"{files.base_url}/{LATE_FILE.as_posix()}"
    before = httpx.get(url, trust_env=False).status_code

    files.add_late_file()

    assert before == 404
    assert httpx.get(url, trust_env=False).content == (EXAMPLES / LATE_FILE).read_bytes()


def test_the_manifests_name_where_the_files_are_served(files: ServedFiles) -> None:
    for manifest in ("objects.checkm", "containers.csv", "refused.checkm"):
        text = (files.folder / manifest).read_text()
        assert f"{files.base_url}/" in text
        assert "{base_url}" not in text


def test_a_used_port_is_refused_with_a_message() -> None:
    with socket.create_server((emulator.HOST, 0)) as taken:
        port = taken.getsockname()[1]

        with (
            pytest.raises(EmulatorError, match=f"port {port}, .* --files-port"),
            demo.serve_files(port),
        ):
            pass
