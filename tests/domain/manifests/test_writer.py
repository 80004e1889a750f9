import string
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobyard.domain.errors import BadRequest
from jobyard.domain.manifests.entry import Entry
from jobyard.domain.manifests.profiles import INGEST, SINGLE_FILE_BATCH, Profile
from jobyard.domain.manifests.reader import ManifestReader
from jobyard.domain.manifests.writer import csv_manifest, json_lines, line, manifest
from tests.domain.manifests.manifest_texts import EVERY_PROFILE, NAMES, read

hexes = {"": 0, "md5": 32, "sha-256": 64, "sha-512": 128}
plain = st.text(
    st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="\ufffd"), max_size=12
)
# Values that Checkm can write: no literal escapes, and blanks at the ends are lost but in names.
values = st.text("aé |;,\"'#{\u200b", max_size=6).map(str.strip)
parts = st.text("aé |;,\"'#{\u200b-", min_size=1, max_size=6).map(lambda text: f"{text}.")


@st.composite
def entries(draw: st.DrawFn, profile: Profile) -> list[Entry]:
    names = draw(
        st.lists(st.lists(parts, min_size=1, max_size=3).map("/".join), unique=True, max_size=5)
    )
    made = []
    for number, name in enumerate(names, start=6):
        algorithm = draw(st.sampled_from(list(hexes)))
        length = hexes[algorithm]
        of_object = (
            {}
            if profile is INGEST
            else {
                "primary": draw(st.sampled_from(["", "ark:/99999/fk4"])),
                "local": tuple(draw(st.lists(values.filter(bool), max_size=3))),
                "creator": draw(values),
                "title": draw(values),
                "date": draw(values),
            }
        )
        made.append(
            Entry(
                line=number,
                kind=profile.kind,
                url="https://example.org/" + draw(st.text(string.ascii_letters + "%-._~/;,()")),
                name=name + NAMES[profile],
                algorithm=algorithm,
                digest=draw(st.text("0123456789abcdef", min_size=length, max_size=length)),
                size=draw(st.none() | st.integers(0, 10**18 - 1)),
                **of_object,  # type: ignore[arg-type]
            )
        )
    return made


@given(st.sampled_from(EVERY_PROFILE), st.data())
@settings(deadline=None)
def test_what_is_written_is_read_back_as_the_same_entries(
    profile: Profile, choice: st.DataObject
) -> None:
    given_entries = choice.draw(entries(profile).filter(bool))

    outcome = read(manifest(given_entries, profile))

    assert {finding.code for finding in outcome.findings} <= {"NAME_UNPORTABLE"}
    assert outcome.entries == given_entries
    assert outcome.reading.profile == profile.name


@pytest.mark.parametrize(
    ("write", "filename"), [(csv_manifest, "made.csv"), (json_lines, "made.jsonl")]
)
@given(st.sampled_from(EVERY_PROFILE), st.data())
@settings(deadline=None)
def test_other_formats_are_read_back_as_the_same_entries(
    write: Callable[..., Iterator[bytes]],
    filename: str,
    profile: Profile,
    choice: st.DataObject,
) -> None:
    given_entries = choice.draw(entries(profile).filter(bool))

    reading = ManifestReader(write(given_entries, profile), filename=filename, profile=profile.name)
    found = [each for part, _ in reading for each in part]

    assert [each._replace(line=0) for each in found] == [
        each._replace(line=0) for each in given_entries
    ]


@given(st.text(max_size=8), plain, plain, st.lists(plain, max_size=2))
@settings(deadline=None)
def test_an_entry_is_written_so_that_it_is_read_back_or_refused(
    name: str, title: str, url: str, local: list[str]
) -> None:
    entry = Entry(6, "file", url, name, title=title, local=tuple(local))
    try:
        text = b"".join(manifest([entry], SINGLE_FILE_BATCH))
    except BadRequest:
        return

    for each in read(text).entries:
        assert each == entry._replace(name=each.name, title=title.strip())
        assert not name.strip() or each.name == name


@pytest.mark.parametrize(
    "entry",
    [
        Entry(1, "file", "https://x/a", "a", parameters={"a": 1}),
        Entry(1, "file", "https://x/a", "a\nb"),
        Entry(1, "file", "https://x/a", "a\tb"),
        Entry(1, "file", "https://x/a", "a\0"),
        Entry(1, "file", "https://x/a", "a\udcff"),
        Entry(1, "file", "https://x/a", "a%7cb"),
        Entry(1, "file", "https://x/a", "%20a"),
        Entry(1, "file", "https://x/a", "a\u00a0"),
        Entry(1, "file", "https://x/a", "a" * 70_000),
        Entry(1, "file", "https://x/a|b", "a"),
        Entry(1, "file", "https://x/a", "a", local=("a%scb",)),
        Entry(1, "file", "https://x/a", "a", local=(" a",)),
    ],
)
def test_what_checkm_cannot_hold_is_refused(entry: Entry) -> None:
    with pytest.raises(BadRequest):
        line(entry, SINGLE_FILE_BATCH)
