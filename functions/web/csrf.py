"""Protection against forged forms: where a form may come from, and the token it carries."""

from jobyard.domain.errors import Forbidden
from web.request import PageRequest

_PURPOSE = "form"
_HEADER = "x-csrf-token"  # of a request by a script, which sends no form


def token(request: PageRequest) -> str:
    """The token in the forms of a person; "" for someone who is not signed in.

    It depends on the person, not on the session: someone who signs in again in the middle of a form
    can still send it. Pages without a person have no forms of ours, and need no key.
    """
    if not request.actor.sub:
        return ""
    return request.site.signer().signature(request.actor.sub, _PURPOSE)


def check(request: PageRequest) -> None:
    """Check that one of our pages sent the form, for this person.

    Raises:
        Forbidden: another site did, or another person's page.
    """
    check_sender(request)
    given = request.event["headers"].get(_HEADER, "") or request.field("csrf")
    if not request.site.signer().verify(given, request.actor.sub, _PURPOSE):
        raise Forbidden("this form belongs to another person or is too old; load the page again")


def check_sender(request: PageRequest) -> None:
    """Check that one of our pages sent the form.

    Raises:
        Forbidden: another site did.
    """
    headers = request.event["headers"]
    sender = headers.get("sec-fetch-site")
    own = request.site.settings.url
    is_ours = sender == "same-origin" if sender else headers.get("origin") == own
    if not is_ours:
        raise Forbidden("this form was not sent by one of our pages; open the page and try again")
