"""Signing in by authorization code with PKCE (RFC 7636), and sessions that renew themselves.

The browser goes to the sign-in page of the user pool and returns with a code. The code is exchanged
for tokens over TLS with that page, so the tokens' signatures need not be checked. The tokens stay
on the server.
"""

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from botocore.exceptions import BotoCoreError, ClientError

from gateway.accounts import groups_of
from gateway.errors import Unauthenticated
from gateway.mfa import MfaCheck
from jobyard.services import sessions
from jobyard.services.context import Actor
from web.session_cookie import ROLES_TIME, Session
from web.site import Site

STATE_TIME_S = 600  # to sign in, from leaving our page to the return
RETURN_PATH = "/sign-in/return"
_PURPOSE = "sign-in"
_SECRET = re.compile(r"[A-Za-z0-9_-]{24}")  # as `Site.new_id` makes them


@dataclass(frozen=True)
class AuthorizationRequest:
    """The URL of an OAuth authorization request, and the secret that the browser keeps for it."""

    url: str
    secret: str


def authorization_request(back_to: str, secret: str, site: Site) -> AuthorizationRequest:
    """The request that sends a browser to the sign-in page. It returns to the path `back_to`.

    `secret` is the one that the browser has already, from another tab; "" if it has none. One that
    we did not make is replaced: who chose it could return with a code.
    """
    secret = secret if _SECRET.fullmatch(secret) else site.new_id()
    nonce = site.new_id()
    state = {"to": back_to, "n": nonce, "at": int(site.now().timestamp())}
    query = urlencode(
        {
            "response_type": "code",
            "client_id": site.settings.user_pool_client,
            "redirect_uri": site.settings.url + RETURN_PATH,
            "scope": "openid",
            "state": site.signer().dumps(state, _PURPOSE),
            "code_challenge_method": "S256",
            "code_challenge": _challenge(_verifier(secret, nonce)),
        }
    )
    return AuthorizationRequest(f"{site.settings.sign_in_url}/oauth2/authorize?{query}", secret)


def complete(query: Mapping[str, str], secret: str, site: Site) -> tuple[Session, str]:
    """Exchange the code of a browser that returns. Its new session, and the path it wanted to see.

    Raises:
        Unauthenticated: the code was not issued for this browser, or the sign-in page refuses it.
    """
    state = site.signer().loads(query.get("state", ""), _PURPOSE)
    if state is None or not secret or not query.get("code"):
        raise Unauthenticated("that sign-in was started in another browser; sign in again")
    if site.now().timestamp() - state["at"] > STATE_TIME_S:
        raise Unauthenticated("that sign-in took more than ten minutes; sign in again")
    tokens = site.exchange_code(
        {
            "grant_type": "authorization_code",
            "client_id": site.settings.user_pool_client,
            "code": query["code"],
            "redirect_uri": site.settings.url + RETURN_PATH,
            "code_verifier": _verifier(secret, state["n"]),
        }
    )
    if "access_token" not in tokens or "refresh_token" not in tokens:
        raise Unauthenticated("the sign-in page refused the code; sign in again")
    session = _session(site.new_id(), tokens["access_token"], site)
    sessions.open_session(session.session_id, tokens["refresh_token"], site.now())
    return session, local_path(state["to"])


def renew(session: Session, site: Site) -> Session | None:
    """Renew a session with the person's present roles; None if it has ended or was revoked.

    Refresh tokens are not rotated, so two requests that renew at once both succeed.
    """
    refresh_token = sessions.refresh_token(session.session_id, site.now())
    if not refresh_token:
        return None
    try:
        response = site.cognito.get_tokens_from_refresh_token(
            RefreshToken=refresh_token, ClientId=site.settings.user_pool_client
        )
    except (
        site.cognito.exceptions.NotAuthorizedException,
        site.cognito.exceptions.UserNotFoundException,
    ):
        sessions.close_session(session.session_id)
        return None
    token = response.get("AuthenticationResult", {}).get("AccessToken", "")
    return _session(session.session_id, token, site)


def end_session(session_id: str, site: Site) -> str:
    """End a session, and return the address at the sign-in page that signs out there too."""
    refresh_token = sessions.refresh_token(session_id, site.now())
    sessions.close_session(session_id)
    if refresh_token:
        try:
            site.cognito.revoke_token(Token=refresh_token, ClientId=site.settings.user_pool_client)
        except (ClientError, BotoCoreError) as error:  # nobody has the token any more
            site.log_unavailable(error)
    back_to = f"{site.settings.url}/signed-out"
    query = urlencode({"client_id": site.settings.user_pool_client, "logout_uri": back_to})
    return f"{site.settings.sign_in_url}/logout?{query}"


def local_path(path: str) -> str:
    """`path` if it is one of ours; "/" for an address of another site."""
    is_local = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return path if is_local else "/"


def _session(session_id: str, access_token: str, site: Site) -> Session:
    """The session of a token that came straight from the user pool.

    Raises:
        Unauthenticated: it is not an access token of a person.
        Unavailable: the user pool does not say whether they have a second factor.
    """
    try:
        claims = _claims(access_token)
        sub, name = str(claims["sub"]).lower(), str(claims["username"])
        groups = groups_of(claims.get("cognito:groups", []))
        until = datetime.fromtimestamp(claims["exp"], UTC)
    except (AttributeError, LookupError, OverflowError, TypeError, ValueError) as error:
        site.log_internal_error(error)
        raise Unauthenticated("the sign-in page returned no valid token; sign in again") from error
    if not sub or claims.get("token_use") != "access":
        raise Unauthenticated("the sign-in page returned another kind of token; sign in again")
    settings = site.settings
    mfa = MfaCheck(settings.mfa_roles, settings.user_pool, site.cognito, site.now)
    actor = Actor(sub, name, mfa.allowed_groups(name, frozenset(map(str, groups))))
    return Session(session_id, actor, min(until, site.now() + ROLES_TIME))


def _claims(token: str) -> dict[str, Any]:
    payload = token.split(".")[1]
    claims: dict[str, Any] = json.loads(
        base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
    )
    return claims


def _verifier(secret: str, nonce: str) -> str:
    """The code verifier: only the browser that has the secret can return with a valid code."""
    return _base64(hashlib.sha256(f"{secret}\n{nonce}".encode()).digest())


def _challenge(verifier: str) -> str:
    return _base64(hashlib.sha256(verifier.encode()).digest())


def _base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
