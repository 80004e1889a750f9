"""`jobyard manifest`, which needs no stack."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from cli.findings import SHOWN_FINDINGS
from cli.manifest import Algorithm, Format, ProfileName, app
from jobyard.domain.manifests.findings import MAX_FINDINGS
from jobyard.domain.manifests.profiles import PROFILES
from jobyard.domain.manifests.reader import ManifestReader
from jobyard.domain.manifests.validation import HEX_LENGTHS

HEADER = """\
#%checkm_0.7
#%profile | http://uc3.cdlib.org/registry/ingest/manifest/mrt-ingest-manifest
#%prefix | mrt: | http://merritt.cdlib.org/terms#
#%prefix | nfo: | http://www.semanticdesktop.org/ontologies/2007/03/22/nfo#
#%fields | nfo:fileUrl | nfo:hashAlgorithm | nfo:hashValue | nfo:fileSize | nfo:fileLastModified \
| nfo:fileName | mrt:mimeType
"""
SINGLE_FILES = "mrt-single-file-batch-manifest"
GOOD = HEADER + "https://x.y/a | | | 3 | | a | \n#%eof\n"
WARNED = GOOD.replace("| a |", "| |")
BAD = GOOD.replace("https", "gopher")


def run(*arguments: str | Path, standard_input: str | None = None) -> Result:
    return CliRunner().invoke(app, [str(each) for each in arguments], input=standard_input)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of files, some of which a manifest should not list."""
    folder = tmp_path / "folder"
    (folder / "b" / ".git").mkdir(parents=True)
    for name in ("a file.txt", "b/ä|c.txt", "b.zip", "z.checkm", ".hidden", "b/.git/config"):
        (folder / name).write_text(f"this is {name}")
    (folder / "empty").touch()
    (folder / "loop").symlink_to(folder)
    (folder / "nowhere").symlink_to("gone")
    return folder


def check_json(*arguments: str | Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(run("check", "--json", *arguments).stdout)
    return document


@pytest.mark.parametrize(
    ("text", "verdict", "exit_code"),
    [(GOOD, "pass", 0), (WARNED, "warning", 0), (BAD, "error", 1)],
)
def test_check_as_json_has_the_verdict(
    tmp_path: Path, text: str, verdict: str, exit_code: int
) -> None:
    file = tmp_path / "manifest.checkm"
    file.write_text(text)

    result = run("check", file, "--json")

    document = json.loads(result.stdout)
    assert list(document) == ["verdict", "profile", "entries", "files", "findings"]
    assert document["verdict"] == verdict
    assert document["profile"] == "mrt-ingest-manifest"
    assert document["entries"] == (0 if verdict == "error" else 1)
    assert document["files"] == 1
    assert result.exit_code == exit_code


def test_check_as_json_has_every_finding(tmp_path: Path) -> None:
    file = tmp_path / "manifest.checkm"
    file.write_text(BAD.replace("| 3 |", "| three |"))

    findings = check_json(file)["findings"]

    assert [list(each) for each in findings] == [["level", "code", "line", "column", "message"]] * 2
    assert [(each["code"], each["line"], each["column"]) for each in findings] == [
        ("URL_BAD", 6, 1),
        ("SIZE_BAD", 6, 22),
    ]


def test_check_prints_line_and_column_and_the_verdict(tmp_path: Path) -> None:
    file = tmp_path / "manifest.checkm"
    file.write_text(BAD)

    result = run("check", file)

    finding, summary = result.stdout.splitlines()
    assert finding.startswith(f'{file}:6:1 error fileUrl "gopher://x.y/a" must begin with')
    assert finding.endswith("(URL_BAD)")
    assert summary == f"{file}: no objects will be created: 1 error"
    assert result.exit_code == 1


@pytest.mark.parametrize(
    ("text", "summary"),
    [
        (GOOD, "1 object of 1 file will be created (mrt-ingest-manifest): no errors or warnings"),
        (WARNED, "1 object of 1 file will be created (mrt-ingest-manifest): 1 warning"),
        (
            "fileUrl,fileName,title\nhttp://x.y/a,a,\nhttp://x.y/b,b,\n",
            "2 objects of 2 rows will be created (mrt-single-file-batch-manifest): "
            "no errors or warnings",
        ),
    ],
)
def test_check_prints_what_will_be_created(text: str, summary: str) -> None:
    result = run("check", "-", standard_input=text)

    assert result.stdout.splitlines()[-1] == f"-: {summary}"
    assert result.exit_code == 0


def test_a_finding_without_a_column_or_line_shows_none(tmp_path: Path) -> None:
    file = tmp_path / "manifest.checkm"
    file.write_text(GOOD.replace("| a | \n#%eof\n", "| a\n"))

    lines = run("check", file).stdout.splitlines()

    assert [line.split()[0] for line in lines[:-1]] == [f"{file}:6"] * 2
    assert [(each["line"], each["column"]) for each in check_json(file)["findings"]] == [
        (6, None),
        (6, None),
    ]


def test_a_listing_does_not_flood_the_terminal_and_the_document_is_whole(tmp_path: Path) -> None:
    file = tmp_path / "manifest.jsonl"
    file.write_text("nonsense\n" * (SHOWN_FINDINGS + 5))

    lines = run("check", file).stdout.splitlines()

    assert len(lines) == SHOWN_FINDINGS + 2
    assert lines[-2] == "… and 5 more: --json lists all of them"
    assert len(check_json(file)["findings"]) == SHOWN_FINDINGS + 5


def test_many_warnings_hide_no_error(tmp_path: Path) -> None:
    file = tmp_path / "manifest.csv"
    rows = (f"http://x.y/a,a{number}:,\n" for number in range(SHOWN_FINDINGS + 7))
    file.write_text(f"fileUrl,fileName,title\n{''.join(rows)}gopher://x.y/a,b,\n")

    lines = run("check", file).stdout.splitlines()

    assert "(URL_BAD)" in lines[-3]
    assert lines[-2] == "… and 7 more: --json lists all of them"


def test_a_binary_file_gives_a_bounded_document(tmp_path: Path) -> None:
    file = tmp_path / "manifest.jsonl"
    file.write_text("nonsense\n" * (MAX_FINDINGS + 5))

    assert (
        run("check", file)
        .stdout.splitlines()[-2]
        .endswith("--json lists up to 10,000 of each level")
    )
    *_, last, more = check_json(file)["findings"]
    assert (last["line"], more["code"], more["line"]) == (MAX_FINDINGS, "MORE_FINDINGS", None)
    assert more["message"].startswith("and 5 more")


def test_text_of_a_manifest_is_not_markup(tmp_path: Path) -> None:
    file = tmp_path / "manifest.csv"
    file.write_text("fileUrl\n[bold]x[/bold]\n")

    assert '"[bold]x[/bold]"' in run("check", file).stdout


def test_check_takes_a_profile(tmp_path: Path) -> None:
    file = tmp_path / "manifest.checkm"
    file.write_text(GOOD)

    codes = [
        each["code"] for each in check_json(file, "--profile", "mrt-batch-manifest")["findings"]
    ]

    assert codes == ["PROFILE_DIFFERS"]
    assert run("check", file, "--profile", "mrt-no-manifest").exit_code == 2


@pytest.mark.parametrize("as_json", [[], ["--json"]])
def test_an_unreadable_file_exits_with_2(tmp_path: Path, as_json: list[str]) -> None:
    for file, words in ((tmp_path / "none", "No such file"), (tmp_path, "directory")):
        result = run("check", file, *as_json)

        assert result.exit_code == 2
        assert result.stdout == ""
        assert words in result.stderr


@pytest.mark.parametrize("profile", PROFILES)
def test_what_make_writes_passes_check(folder: Path, tmp_path: Path, profile: str) -> None:
    output = tmp_path / "made.checkm"

    result = run(
        "make", folder, "--base-url", "https://x/f/", "--profile", profile, "--output", output
    )

    assert result.exit_code == 0
    assert result.stdout == ""
    document = check_json(output, "--profile", profile)
    assert {each["level"] for each in document["findings"]} <= {"warning"}
    assert (
        document["files"]
        == {
            "mrt-ingest-manifest": 5,
            "mrt-batch-manifest": 1,
            "mrt-container-batch-manifest": 1,
            "mrt-single-file-batch-manifest": 4,
        }[profile]
    )


@pytest.mark.parametrize(
    ("algorithm", "hashed"),
    [("md5", hashlib.md5), ("sha-256", hashlib.sha256), ("sha-512", hashlib.sha512)],
)
def test_make_sorts_quotes_and_hashes_files_and_lists_what_it_skips(
    folder: Path, algorithm: str, hashed: Any
) -> None:
    result = run("make", folder, "--base-url", "https://x/f", "--algorithm", algorithm)

    rows = [line for line in result.stdout.splitlines() if not line.startswith("#")]
    assert [row.split(" | ")[0] for row in rows] == [
        "https://x/f/a%20file.txt",
        "https://x/f/b.zip",
        "https://x/f/b/%C3%A4%7Cc.txt",
        "https://x/f/empty",
        "https://x/f/z.checkm",
    ]
    content = (folder / "b" / "ä|c.txt").read_bytes()
    digest = hashed(content).hexdigest()
    assert rows[2].split(" | ")[1:] == [
        algorithm,
        digest,
        str(len(content)),
        "",
        "b/ä%7cc.txt |",
    ]
    skipped = [line for line in result.stderr.splitlines() if line.startswith("skipped")]
    assert skipped == [
        "skipped '.hidden': is hidden",
        "skipped 'b/.git': is hidden",
        "skipped 'loop': is a link to a folder",
        "skipped 'nowhere': is a broken link",
    ]
    assert "5 files written" in result.stderr


def test_s3_urls_are_not_percent_encoded(folder: Path) -> None:
    (folder / "b" / "ä|c.txt").unlink()

    result = run("make", folder, "--base-url", "s3://bucket/f")

    assert "s3://bucket/f/a file.txt | sha-256" in result.stdout


def test_a_manifest_does_not_list_itself(folder: Path) -> None:
    output = folder / "manifest.checkm"
    for _ in range(2):
        result = run("make", folder, "--base-url", "https://x", "--output", output)

    assert "skipped 'manifest.checkm': is the output file" in result.stderr
    assert "manifest.checkm" not in output.read_text()
    assert not list(folder.glob(".*.part"))


@pytest.mark.parametrize(
    "base_url", ["x", "ftp://x/", "https://", "https://x/?a=", "https://x/#a", "s3://"]
)
def test_a_base_url_that_jobs_cannot_fetch_from_is_refused(folder: Path, base_url: str) -> None:
    result = run("make", folder, "--base-url", base_url)

    assert result.exit_code == 1
    assert f"--base-url {base_url.rstrip('/')}" in result.stderr
    assert result.stdout == ""


def test_invalid_names_are_refused_before_anything_is_written(folder: Path, tmp_path: Path) -> None:
    for name in ("tab\there", "escape%7chere"):
        (folder / name).touch()
        output = tmp_path / "made.checkm"

        result = run("make", folder, "--base-url", "https://x", "--output", output)

        assert result.exit_code == 1
        assert "here" in result.stderr
        assert not output.exists()
        (folder / name).unlink()


def test_all_invalid_names_are_listed_at_once(folder: Path) -> None:
    for name in (
        b"tab\there",
        b"escape%7chere",
        b"latin-\xe9",
        *(b"bad\t%d" % n for n in range(20)),
    ):
        (folder / "b" / os.fsdecode(name)).touch()

    shown = run("make", folder, "--base-url", "https://x").stderr

    assert "latin-" in shown
    assert "is not UTF-8" in shown
    assert "escape%7chere" in shown
    assert shown.count("bad") >= 20
    assert "nothing was written" in shown


@pytest.mark.parametrize("form", Format)
@pytest.mark.parametrize("profile", PROFILES)
def test_each_format_has_the_same_entries(
    folder: Path, tmp_path: Path, profile: str, form: Format
) -> None:
    output = tmp_path / f"made.{form}"

    made = run("make", folder, "--base-url", "https://x", "--profile", profile, "--output", output)

    assert made.exit_code == 0
    checked = check_json(output, "--profile", profile)
    assert {each["level"] for each in checked["findings"]} <= {"warning"}
    with output.open("rb") as stream:
        reading = ManifestReader(stream, filename=output.name, profile=profile)
        entries = [entry for found, _ in reading for entry in found]
    assert entries
    for entry in entries:
        content = (folder / entry.name).read_bytes()
        assert entry.digest == hashlib.sha256(content).hexdigest()
        assert entry.size == len(content)
        assert entry.local == (() if PROFILES[profile].is_one_object else (entry.name,))


def test_local_identifiers_are_names_have_a_prefix_or_are_left_out(folder: Path) -> None:
    make = (
        "make",
        folder,
        "--base-url",
        "https://x",
        "--profile",
        "mrt-single-file-batch-manifest",
    )

    named = run(*make, "--local-ids", "name", "--local-prefix", "maps/").stdout
    assert "| maps/ä%7cc.txt |" in named or "| maps/ä%7cc.txt\n" in named
    without = run(*make, "--local-ids", "none", "--format", "jsonl").stdout
    assert "local" not in without


def test_two_files_of_one_name_have_no_local_identifier_by_name(folder: Path) -> None:
    (folder / "b" / "a file.txt").touch()
    make = (
        "make",
        folder,
        "--base-url",
        "https://x",
        "--profile",
        "mrt-single-file-batch-manifest",
    )

    refused = run(*make, "--local-ids", "name")

    assert refused.exit_code == 1
    assert "2 files would have the local identifier a file.txt" in refused.stderr


def test_links_out_of_the_folder_and_hidden_files_are_taken_on_request(
    folder: Path, tmp_path: Path
) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    (folder / "out").symlink_to(secret)
    (folder / "in").symlink_to(folder / "a file.txt")

    careful = run("make", folder, "--base-url", "https://x")
    assert "skipped 'out': is a link out of the folder" in careful.stderr
    assert "https://x/in " in careful.stdout
    asked = run("make", folder, "--base-url", "https://x", "--follow-links", "--hidden")
    for name in ("out", "in", ".hidden", "b/.git/config"):
        assert f"https://x/{name} " in asked.stdout
    assert "skipped 'loop': is a link to a folder that contains it" in asked.stderr


def test_a_folder_without_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").touch()

    result = run("make", tmp_path, "--base-url", "https://x", "--profile", "mrt-batch-manifest")

    assert result.exit_code == 1
    assert "has no file that mrt-batch-manifest accepts" in result.stderr


def test_a_missing_folder_exits_with_2(tmp_path: Path) -> None:
    (tmp_path / "a.txt").touch()

    for folder in (tmp_path / "none", tmp_path / "a.txt"):
        result = run("make", folder, "--base-url", "https://x")

        assert result.exit_code == 2
        assert "is not a folder" in result.stderr


def test_the_command_line_offers_what_the_domain_knows() -> None:
    assert list(ProfileName) == list(PROFILES)
    assert list(Algorithm) == list(HEX_LENGTHS)
