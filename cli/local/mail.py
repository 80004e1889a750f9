"""Reads the mails that were sent. The emulator stores them and delivers none."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx

from cli.local.clients import ACCOUNT

PATH = "/_ministack/ses/messages"  # where the emulator lists them


@dataclass(frozen=True)
class Mail:
    """One sent mail. `at` is ISO in UTC."""

    message_id: str
    at: str
    sender: str
    to: tuple[str, ...]
    cc: tuple[str, ...]
    bcc: tuple[str, ...]
    subject: str
    text: str
    html: str


def sent(endpoint: str) -> list[Mail]:
    """Every mail sent so far, oldest first."""
    response = httpx.get(
        f"{endpoint}{PATH}",
        params={"account": ACCOUNT},
        timeout=30,
        trust_env=False,
        verify=False,  # without TLS; to read the certificates takes 20 ms of CPU
    )
    response.raise_for_status()
    return parse(response.json())


def parse(document: dict[str, Any]) -> list[Mail]:
    """The mails of the emulator's account in its list of them."""
    return [_mail(row) for row in document["messages"].get(ACCOUNT, [])]


def _mail(row: dict[str, Any]) -> Mail:
    return Mail(
        message_id=row["MessageId"],
        at=datetime.fromtimestamp(row["Timestamp"], UTC).isoformat(timespec="milliseconds"),
        sender=row["Source"],
        to=tuple(row["To"]),
        cc=tuple(row["CC"]),
        bcc=tuple(row["BCC"]),
        subject=row["Subject"],
        text=row["BodyText"] or "",
        html=row["BodyHtml"] or "",
    )
