"""Stores the refresh tokens of people who are signed in to the pages, until they expire."""

from datetime import datetime

from jobyard.store.tables import SessionItem


def put(session_id: str, refresh_token: str, until: datetime) -> None:
    """Store the refresh token of a session."""
    SessionItem(id=session_id, content=refresh_token, expires=int(until.timestamp())).save()


def find(session_id: str, now: datetime) -> str:
    """The refresh token of a session; "" if there is none, or it has expired."""
    try:
        item = SessionItem.get(session_id, consistent_read=True)
    except SessionItem.DoesNotExist:
        return ""
    return item.content if item.expires > now.timestamp() else ""


def delete(session_id: str) -> None:
    """Delete a session, if it exists."""
    SessionItem(id=session_id).delete()
