"""The text of a report's mail, as plain text and as HTML, which is also the report's page."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape

from jobyard.domain.text import clean

MAX_LISTED_JOBS = 50  # jobs that a mail lists; jobs.csv lists all
_MAX_TEXT_BYTES = 400  # of a name or message in a mail


@dataclass(frozen=True)
class MailSection:
    """A list in a mail: as `lines` of text, and as `rows` of a table with the head `columns`.

    `more` says what is not listed, "" if all is.
    """

    title: str
    lines: Sequence[str]
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    more: str = ""


@dataclass(frozen=True)
class MailText:
    """A mail. `outcome` is OK, FAIL or "" for none; `facts` and `links` are names with values."""

    subject: str
    outcome: str
    headline: str
    facts: Sequence[tuple[str, str]]
    sections: Sequence[MailSection]
    links: Sequence[tuple[str, str]]

    def as_text(self) -> str:
        """The mail as plain text."""
        lines = [self.headline, ""]
        lines += [f"{name + ':':<12} {value}" for name, value in self.facts]
        for section in self.sections:
            lines += ["", f"{section.title}:"] if section.lines else []
            lines += [f"  {line}" for line in section.lines]
            lines += [f"  {section.more}"] if section.more else []
        lines += ["", *(f"{name}: {value}" for name, value in self.links), ""]
        return "\n".join(lines)

    def as_html(self) -> str:
        """The mail as HTML. All text from outside is escaped."""
        css_class = "ok" if self.outcome == "OK" else "fail"
        outcome = f'<span class="{css_class}">{self.outcome}</span>: ' if self.outcome else ""
        parts = [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            f"<title>{escape(self.subject)}</title><style>{_STYLE}</style></head><body>",
            f"<h1>{outcome}{escape(self.headline)}</h1>",
            _table((), self.facts),
        ]
        for section in self.sections:
            if section.rows:
                parts += [f"<h2>{section.title}</h2>", _table(section.columns, section.rows)]
            if section.more:
                parts.append(f"<p>{section.more}</p>")
        links = (f"{name}: {_link(value)}" for name, value in self.links)
        parts += [f"<p>{'<br>'.join(links)}</p>", "</body></html>\n"]
        return "".join(parts)


def _link(value: str) -> str:
    """An address or a command, as HTML."""
    shown = escape(value)
    is_address = value.startswith(("http://", "https://"))
    return f'<a href="{shown}">{shown}</a>' if is_address else f"<code>{shown}</code>"


_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;color:#1b1b1b;background:#fff;margin:2rem auto;"
    "max-width:60rem;padding:0 1rem}h1{font-size:1.3rem}h2{font-size:1.05rem;margin-top:1.6rem}"
    "table{border-collapse:collapse}td,th{text-align:left;padding:.25rem .9rem .25rem 0;"
    "vertical-align:top;border-bottom:1px solid #ddd}th{font-weight:600}"
    ".ok{color:#0b6b2e}.fail{color:#a4161a}"
    "@media print{body{margin:0;max-width:none}h2{break-after:avoid}tr{break-inside:avoid}"
    "a{color:inherit;text-decoration:none}}"
)


def short(text: str) -> str:
    """A name or message from outside, as a mail shows it."""
    return clean(text, _MAX_TEXT_BYTES)


def time_text(at: datetime | None) -> str:
    """A time in a mail; "-" for none."""
    return "-" if at is None else at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    top = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in head)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>" for cells in rows
    )
    return f"<table>{f'<tr>{top}</tr>' if top else ''}{body}</table>"
