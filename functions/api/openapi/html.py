"""The page at /api/docs: the OpenAPI document for people. No script, and nothing from elsewhere."""

import base64
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from html import escape
from typing import Any

from api.openapi.outline import Chapter, Document, Part, Reply, Request, chapters, documents
from api.problems import STATUS, slug_of, title_of

_STYLE = """\
:root{color-scheme:light dark;--line:#8884;--dim:#767676;--mark:#0a6cbd;--code:#8881}
@media(prefers-color-scheme:dark){:root{--mark:#6ab7ff;--dim:#9a9a9a}}
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:0 auto;padding:1.5rem 1rem 6rem}
h1{margin:.2em 0}h2{margin:2.5em 0 .3em;border-bottom:2px solid var(--line)}
h3{margin:1.8em 0 .2em;font-size:1.05rem}a{color:var(--mark)}
code{font:.88em ui-monospace,monospace;background:var(--code);padding:.1em .3em;border-radius:3px}
h3 code{font-size:.95em}b.get{color:#16803c}b.post{color:#0a6cbd}b.put{color:#a15c00}
b.delete{color:#c02626}@media(prefers-color-scheme:dark){b.get{color:#5fd38a}b.post{color:#6ab7ff}
b.put{color:#f0b45a}b.delete{color:#ff8a8a}}
.wide{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:.92rem}
th,td{text-align:left;vertical-align:top;padding:.3rem .8rem .3rem 0;
border-top:1px solid var(--line)}
th{font-weight:600;border-top:0;color:var(--dim)}td:first-child{white-space:nowrap}
.dim{color:var(--dim)}nav ul{columns:2;padding-left:1.1rem}
@media(max-width:40rem){nav ul{columns:1}}"""
_DIGEST = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
HEADERS = {
    "Cache-Control": "public, max-age=300",
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_DIGEST}'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
}


def html_page(described: Mapping[str, Any]) -> str:
    """The whole page."""
    info = described["info"]
    found, shown = chapters(described), documents(described)
    linked = frozenset(each.name for each in shown)
    body = [
        f"<h1>{escape(info['title'])} API</h1>",
        f'<p class="dim">Version {escape(info["version"])} at '
        f"<code>{escape(described['servers'][0]['url'])}</code>. "
        'The same for programs: <a href="openapi.json">openapi.json</a> (OpenAPI '
        f"{escape(described['openapi'])}).</p>",
        _paragraphs(info["description"]),
        _contents(found),
        *(_chapter(each, linked) for each in found),
        '<h2 id="documents">Documents</h2>',
        *(_document(each, linked) for each in shown),
        '<h2 id="problems">Problems</h2><p>A problem\'s <code>type</code> leads here.</p>',
        _table(("kind", "status", "it says"), map(_problem, STATUS)),
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(info['title'])} API</title><style>{_STYLE}</style></head><body>"
        f"{''.join(body)}</body></html>\n"
    )


def _words(text: str) -> str:
    """Text with its `code` marked up."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text, quote=False))


def _paragraphs(text: str) -> str:
    """Paragraphs and lists, told apart as Markdown does."""
    return "".join(
        f"<ul>{''.join(f'<li>{_words(line[2:])}</li>' for line in each.splitlines())}</ul>"
        if each.startswith("- ")
        else f"<p>{_words(each)}</p>"
        for each in text.split("\n\n")
    )


def _contents(found: Iterable[Chapter]) -> str:
    lines = (
        f'<li><a href="#{each.name}">{_method(each)} <code>{escape(each.path)}</code></a></li>'
        for chapter in found
        for each in chapter.requests
    )
    return f"<nav><ul>{''.join(lines)}</ul></nav>"


def _method(request: Request) -> str:
    return f'<b class="{request.method.lower()}">{request.method}</b>'


def _chapter(chapter: Chapter, linked: frozenset[str]) -> str:
    requests = "".join(_request(each, linked) for each in chapter.requests)
    return f"<h2>{escape(chapter.name)}</h2><p>{_words(chapter.description)}</p>{requests}"


def _request(request: Request, linked: frozenset[str]) -> str:
    parts = [
        f'<h3 id="{request.name}">{_method(request)} <code>{escape(request.path)}</code></h3>',
        f"<p>{_words(request.summary)}.</p>",
        f"<p>{_words(request.description)}</p>" if request.description else "",
        f"<p>Send: {_link(request.body, linked)}.</p>" if request.body else "",
        _parts(request.parts, linked, "parameter"),
        _table(("answer", "", ""), (_reply(each, linked) for each in request.replies)),
        f'<p class="dim">Problems: {"; ".join(_refusals(request))}.</p>',
    ]
    return "".join(parts)


def _parts(parts: tuple[Part, ...], linked: frozenset[str], heading: str) -> str:
    if not parts:
        return ""
    rows = ((_named(part), _kind(part, linked), _words(part.description)) for part in parts)
    return _table((f"{heading} (* always there)", "is", ""), rows)


def _named(part: Part) -> str:
    name = f"<code>{escape(part.name)}</code>{' <b>*</b>' if part.needed else ''}"
    return f'{name}<br><span class="dim">{part.place}</span>' if part.place else name


def _kind(part: Part, linked: frozenset[str]) -> str:
    words = escape(part.kind)
    if part.document not in linked:
        return words
    return words.replace(part.document, _link(part.document, linked), 1)


def _reply(reply: Reply, linked: frozenset[str]) -> tuple[str, str, str]:
    return f"<b>{reply.status}</b>", _link(reply.document, linked), _words(reply.description)


def _refusals(request: Request) -> Iterator[str]:
    for status, kinds in request.problems:
        linked = ", ".join(f'<a href="#{kind}">{kind}</a>' for kind in kinds)
        yield f"{status} {linked}"


def _document(document: Document, linked: frozenset[str]) -> str:
    return (
        f'<h3 id="{escape(document.name)}">{escape(document.name)}</h3>'
        f"{_paragraphs(document.description)}{_parts(document.parts, linked, 'field')}"
        + (f"<p>One of {_any_of(document.words)}.</p>" if document.words else "")
    )


def _any_of(words: Iterable[str]) -> str:
    return ", ".join(f"<code>{escape(word)}</code>" for word in words)


def _link(name: str, linked: frozenset[str]) -> str:
    return f'<a href="#{escape(name)}">{escape(name)}</a>' if name in linked else escape(name)


def _problem(kind: Any) -> tuple[str, str, str]:
    slug = slug_of(kind)
    return f'<code id="{slug}">{slug}</code>', str(STATUS[kind].value), f"{_words(title_of(kind))}."


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    head = "".join(f"<th>{each}</th>" for each in heads)
    lines = "".join(f"<tr>{''.join(f'<td>{each}</td>' for each in row)}</tr>" for row in rows)
    return f'<div class="wide"><table><tr>{head}</tr>{lines}</table></div>'
