"""docs/api.md, written from the OpenAPI document: `python -m api.openapi.markdown docs/api.md`."""

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from api.application import APP
from api.openapi.outline import Chapter, Document, Part, Request, chapters, documents
from api.openapi.spec import openapi_document
from api.problems import STATUS, slug_of, title_of

_NEEDED = " \\*"
_NOTE = "<!-- Written from the routes by `make docs`. Do not edit. -->"


def api_page() -> str:
    """The page, as Markdown."""
    return written(openapi_document(APP, "/"))


def written(described: Mapping[str, Any]) -> str:
    """The page of an OpenAPI document."""
    shown = documents(described)
    linked = frozenset(each.name for each in shown)
    parts = [
        _NOTE,
        "# The API",
        described["info"]["description"],
        "A running Jobyard shows the same at `/api/docs`, and gives it to programs at "
        f"`/api/openapi.json` (OpenAPI {described['openapi']}). Fields and parameters marked \\* "
        "are always there.",
        *(_chapter(each, linked) for each in chapters(described)),
        "## Documents",
        *(_document(each, linked) for each in shown),
        "## Problems",
        "The last part of a problem's `type` is its kind.",
        _table(
            ("kind", "status", "it says"),
            ((f"`{slug_of(k)}`", str(s.value), f"{title_of(k)}.") for k, s in STATUS.items()),
        ),
    ]
    return "\n\n".join(parts) + "\n"


def _chapter(chapter: Chapter, linked: frozenset[str]) -> str:
    requests = [_request(each, linked) for each in chapter.requests]
    return "\n\n".join([f"## {chapter.name}", chapter.description, *requests])


def _request(request: Request, linked: frozenset[str]) -> str:
    said = [f"### {request.method} {request.path}", f"{request.summary}. {request.description}"]
    if request.body:
        said.append(f"Send: {_link(request.body, linked)}.")
    if request.parts:
        said.append(_parts(request.parts, linked, "parameter"))
    replies = (
        (each.status, _link(each.document, linked), each.description) for each in request.replies
    )
    said.append(_table(("answer", "", ""), replies))
    refusals = (f"{status} {', '.join(kinds)}" for status, kinds in request.problems)
    said.append(f"Problems: {'; '.join(refusals)}.")
    return "\n\n".join(each.strip() for each in said)


def _document(shown: Document, linked: frozenset[str]) -> str:
    said = [f"### {shown.name}", shown.description]
    if shown.words:
        said.append(f"One of {', '.join(f'`{word}`' for word in shown.words)}.")
    if shown.parts:
        said.append(_parts(shown.parts, linked, "field"))
    return "\n\n".join(said)


def _parts(parts: tuple[Part, ...], linked: frozenset[str], heading: str) -> str:
    rows = (
        (
            f"`{part.name}`{_NEEDED if part.needed else ''}"
            + (f" ({part.place})" if part.place else ""),
            part.kind.replace(part.document, _link(part.document, linked), 1)
            if part.document in linked
            else part.kind,
            part.description,
        )
        for part in parts
    )
    return _table((heading, "is", ""), rows)


def _link(name: str, linked: frozenset[str]) -> str:
    return f"[{name}](#{name.lower()})" if name in linked else name


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [heads, ("---",) * len(heads), *rows]
    return "\n".join(
        f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines
    )


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(api_page())
