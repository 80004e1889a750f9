"""One thing has one name, one name means one thing, and the words are those of the field.

The package, the command line and each function folder are checked one by one: they share no names.
Modules of tests share no names either, so that only the words of tests are checked.
"""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from cli.local.emulator import ROOT

PACKAGES = {
    "jobyard": ROOT / "layers/jobyard/jobyard",
    "cli": ROOT / "cli",
    **{
        f"functions/{folder.name}": folder
        for folder in sorted((ROOT / "functions").iterdir())
        if (folder / "__init__.py").exists()
    },
}
FOLDERS = PACKAGES | {"tests": ROOT / "tests"}
PAGES = [
    *sorted(set(ROOT.glob("*.md")) - {ROOT / "CHANGELOG.md"}),  # it names what is gone
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "examples").rglob("*.md")),
]
GLOSSARY = ROOT / "docs" / "glossary.md"

# PynamoDB reads the settings of a table from a class of this name inside of each model.
SHARED_CLASSES = {"Meta"}
# Words that end in -ing and are nouns in English.
NOUNS = {"planning", "rule_parsing", "wiring", "worker_scheduling"}

# Names that classes and modules once had.
FORMER_NAMES = {
    *("Almanac", "Asking", "BadFields", "Beside", "Busy", "Course", "Desk", "Late", "Look"),
    *("Looking", "Next", "Person", "Place", "Stop", "Stretch", "Surprise", "Told", "Touch"),
    *("Unknown", "Upkeep", "Visit", "Wait", "Word", "Work"),
    *("aside", "chapters", "courses", "desk", "letters", "manual", "minute", "remembered"),
    *("repeats", "stage", "tick", "timetable", "together", "upcoming"),
}
# Words of a private dialect, as regular expressions, and what the field says.
BANNED = {
    "almanacs?": "cache",
    "errands?": "pending work",
    "stretch(es)?": "work slice",
    "desks?": "context, clients",
    "yards?": "harness",
    "weathers?": "fault profile",
    "unkind(ness)?": "strict",
    "str(ike|ikes|iking|uck)": "inject a fault",
    "asking": "command context",
    "upkeep": "maintenance",
    "aside": "skip reason",
    "untold": "undelivered",
    "told": "notified, reported, refused",
    "(tak(e|es|en|ing)|took) up(?! to)": "recover",
    "let(s|ting)? go": "release",
    "c(o|a)mes? to nothing": "fail",
    "beside": "next to, compared with",
    "whom|whoever": "the person who",
    "anew": "again",
    "seldom": "rarely",
    "surprises?": "internal error",
    r"(?<=[._])sentences?|sentences?(?=_)": "description",
    "go(es)? on": "continue",
    "ma(k|d)es? up for|made up for": "catch up",
    "patience": "timeouts, retry policy",
    "breath": "pause",
    "at the most": "at most",
    "looks? after": "maintain",
    "astray": "misplaced",
    "unfit": "invalid",
    "tellings?": "run of a scenario",
    "fates?": "fault",
    "hear(s|d)?|unheard": "receive",
    "mend(s|ed|ing)?": "repair",
    "woken": "invoked",
    "spelt": "spelled",
    "sought": "searched for",
    "laid down|lay down": "stored",
}
# Keys of stored items, which keep the names they were first stored under. The code quotes them.
STORED_KEYS = ('"untold"',)  # the undeliverable recipients of a batch
PLACES = {
    "layers": sorted((ROOT / "layers/jobyard/jobyard").rglob("*.py")),
    "functions": sorted((ROOT / "functions").rglob("*.py")),
    "templates": sorted((ROOT / "functions/web/templates").rglob("*.html")),
    "cli": sorted((ROOT / "cli").rglob("*.py")),
    "infra": [
        ROOT / "template.yaml",
        *sorted(each for end in ("py", "yaml") for each in (ROOT / "infra").rglob(f"*.{end}")),
    ],
    "benchmarks": sorted((ROOT / "benchmarks").rglob("*.py")),
    "tests": sorted(set((ROOT / "tests").rglob("*.py")) - {Path(__file__)}),  # it lists the words
    **{page.relative_to(ROOT).as_posix(): [page] for page in PAGES},
}


@cache
def _texts(folder: str) -> dict[str, str]:
    """The text of each module of a folder by its path in the project."""
    return {
        file.relative_to(ROOT).as_posix(): file.read_text()
        for file in sorted(FOLDERS[folder].rglob("*.py"))
    }


def _class_names(text: str) -> list[str]:
    return re.findall(r"^\s*class (\w+)", text, re.MULTILINE)


@pytest.mark.parametrize("package", PACKAGES)
def test_no_two_classes_of_a_package_share_a_name(package: str) -> None:
    places = defaultdict(list)
    for path, text in _texts(package).items():
        for name in _class_names(text):
            if name not in SHARED_CLASSES:
                places[name].append(path)

    assert {name: paths for name, paths in places.items() if len(paths) > 1} == {}


@pytest.mark.parametrize("package", PACKAGES)
def test_no_public_constant_means_two_things(package: str) -> None:
    """A private constant (`_NAME`) belongs to its module alone, so two of them never meet."""
    values = defaultdict(dict)
    for path in _with_a_shared_constant(package):
        for name, value in _constants(ast.parse(_texts(package)[path])):
            values[name].setdefault(ast.dump(value), path)

    assert {name: [*paths.values()] for name, paths in values.items() if len(paths) > 1} == {}


def _with_a_shared_constant(package: str) -> set[str]:
    """The modules with a constant whose name another module has too: the others need no parser."""
    places = defaultdict(set)
    for path, text in _texts(package).items():
        for name in re.findall(r"^([A-Z][A-Z0-9_]*)\b", text, re.MULTILINE):
            places[name].add(path)
    return set().union(*(paths for paths in places.values() if len(paths) > 1))


def _constants(tree: ast.Module) -> Iterator[tuple[str, ast.expr]]:
    """The public constants of a module with the expressions of their values."""
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        if isinstance(node, ast.AnnAssign):
            targets = [node.target]
        for target in targets:
            if isinstance(target, ast.Name) and re.fullmatch(r"[A-Z][A-Z0-9_]*", target.id):
                assert isinstance(node, ast.Assign | ast.AnnAssign)
                if node.value is not None:
                    yield target.id, node.value


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_module_is_a_bare_gerund(folder: str) -> None:
    names = _module_names(folder)

    assert {name for name in names if name.endswith("ing")} - NOUNS == set()


def _module_names(folder: str) -> set[str]:
    return {Path(path).stem.removeprefix("test_") for path in _texts(folder)}


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_class_or_module_has_a_former_name(folder: str) -> None:
    names = _module_names(folder).union(*map(_class_names, _texts(folder).values()))

    assert names & FORMER_NAMES == set()


@pytest.mark.parametrize("place", PLACES)
def test_names_and_prose_use_the_words_of_the_field(place: str) -> None:
    text = "\n".join(file.read_text() for file in PLACES[place])
    for key in STORED_KEYS:
        text = text.replace(key, "")

    found = _banned_words(text)

    assert {word: BANNED[word] for word in found} == {}


def test_every_exempt_key_is_stored() -> None:
    store = "\n".join(file.read_text() for file in (FOLDERS["jobyard"] / "store").rglob("*.py"))

    assert [key for key in STORED_KEYS if key not in store] == []


def _banned_words(text: str) -> set[str]:
    """The banned words of a text, on their own or in names. Names of tests do not count."""
    text = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", re.sub(r"::\w+", "", text)).lower()
    words = set(re.findall(r"[a-z]+", text))
    phrases = {banned for banned in BANNED if " " in banned or "_" in banned}
    found = {each for each in phrases if re.search(rf"(?<![a-z])(?:{each})(?![a-z])", text)}
    return found | {
        banned
        for banned in BANNED.keys() - phrases
        if any(re.fullmatch(banned, word) for word in words)
    }


def test_every_word_of_the_glossary_is_used() -> None:
    """As whole words, in the code or in another page; the glossary itself does not count."""
    terms = re.findall(r"^- \*\*(.+?)\*\*:", GLOSSARY.read_text(), re.MULTILINE)
    pages = [page for page in PAGES if page != GLOSSARY]
    files = [*pages, *PLACES["layers"], *PLACES["functions"]]
    text = "\n".join(file.read_text() for file in files).replace("_", " ").casefold()

    assert len(terms) == len(set(terms))
    assert len(terms) >= 20
    unused = [term for term in terms if not re.search(rf"\b{re.escape(term.casefold())}s?\b", text)]
    assert unused == []
