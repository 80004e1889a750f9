"""Sessions of people who are signed in to the pages, and the keys that signer their cookies.

The browser has no token. Its cookie names a session, and the session's refresh token stays here.
"""

from datetime import datetime, timedelta

from jobyard.store import key_values, sessions

SESSION_TIME = timedelta(hours=12)  # as long as the user pool's refresh tokens are valid


def open_session(session_id: str, refresh_token: str, now: datetime) -> None:
    """Store the refresh token of a new session."""
    sessions.put(session_id, refresh_token, now + SESSION_TIME)


def refresh_token(session_id: str, now: datetime) -> str:
    """The refresh token of a session; "" if it has ended."""
    return sessions.find(session_id, now)


def close_session(session_id: str) -> None:
    """End a session. It may have ended already."""
    sessions.delete(session_id)


def signing_keys(now: datetime, candidate: str) -> tuple[str, ...]:
    """The keys that signer cookies and forms, oldest first: last month's, if it was used, and this
    month's.

    Each month has a key of its own, so a change of keys signs nobody out. `candidate` is a random
    one, which is stored if this month has none yet.
    """
    last_month = now.replace(day=1) - timedelta(days=1)
    previous = key_values.find_secret(f"pages-{last_month:%Y-%m}")
    name = f"pages-{now:%Y-%m}"
    current = key_values.find_secret(name) or key_values.get_or_create_secret(name, candidate)
    return (previous, current) if previous else (current,)
