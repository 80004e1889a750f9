"""The session cookie: who is signed in, with our signature, until the roles are read again.

It has no token, so it stays far below the 4,096 bytes that browsers keep. SameSite is Lax, not
Strict: the sign-in page is another site, and the browser has to send the cookie when it returns.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from aws_lambda_powertools.shared.cookies import Cookie, SameSite

from jobyard.services.context import Actor
from jobyard.services.sessions import SESSION_TIME
from web.signer import Signer

ROLES_TIME = timedelta(minutes=15)  # until the roles of a person are read again, at most
_PURPOSE = "session"
_GROUPS_SHOWN = 100  # a person may be in more groups; their roles and the first by name are kept
_VALUE_BYTES = 3800  # browsers drop cookies of more than 4,096 bytes with name and attributes


@dataclass(frozen=True)
class Session:
    """A person who is signed in. Until `until` their roles are not asked for again."""

    session_id: str
    actor: Actor
    until: datetime


def cookie_name(name: str, *, secure: bool) -> str:
    """The name of a cookie. Browsers accept the prefix over HTTPS only, for our host and path."""
    return f"__Host-{name}" if secure else name


def cookie(name: str, value: str, max_age: int, *, secure: bool) -> Cookie:
    """A cookie for the whole site that scripts cannot read; `max_age` is in seconds, 0 deletes."""
    return Cookie(
        cookie_name(name, secure=secure),
        value,
        path="/",
        secure=secure,
        http_only=True,
        max_age=max_age,
        same_site=SameSite.LAX_MODE,
    )


def session_cookie(session: Session, signer: Signer, *, secure: bool) -> Cookie:
    """The cookie of a session."""
    actor = session.actor
    groups = [*sorted(actor.roles), *sorted(actor.groups - actor.roles)][:_GROUPS_SHOWN]
    text = _signed(session, groups, signer)
    while len(text) > _VALUE_BYTES and len(groups) > len(actor.roles):
        groups.pop()
        text = _signed(session, groups, signer)
    return cookie(_PURPOSE, text, int(SESSION_TIME.total_seconds()), secure=secure)


def _signed(session: Session, groups: list[str], signer: Signer) -> str:
    actor, until = session.actor, int(session.until.timestamp())
    value = {"i": session.session_id, "s": actor.sub, "n": actor.name, "g": groups, "u": until}
    return signer.dumps(value, _PURPOSE)


def ended_cookie(*, secure: bool) -> Cookie:
    """The cookie that deletes the session's."""
    return cookie(_PURPOSE, "", 0, secure=secure)


def session_of(cookies: dict[str, str], signer: Signer, *, secure: bool) -> Session | None:
    """The session in a request's cookies; None without a valid one. It may be over."""
    value = signer.loads(cookies.get(cookie_name(_PURPOSE, secure=secure), ""), _PURPOSE)
    if value is None:
        return None
    actor = Actor(value["s"], value["n"], frozenset(value["g"]))
    return Session(value["i"], actor, datetime.fromtimestamp(value["u"], UTC))
