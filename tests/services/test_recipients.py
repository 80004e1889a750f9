"""Nobody can have strangers mailed: only recipients in the deployment's domains may be named."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from jobyard.domain.errors import BadRequest
from jobyard.services.context import Account, Actor, CommandContext
from jobyard.services.recipients import check_recipients

JANE = Actor("sub-1", "jane", frozenset({"depositor"}))


def context_of(account: Account | None) -> CommandContext:
    settings = cast(Any, SimpleNamespace(mail_domains=("example.org", "example.edu")))
    clients = cast(Any, None)
    return CommandContext(
        settings, clients, clients, clients, JANE, "key", account_of=lambda _: account
    )


def test_addresses_of_a_domain_and_of_those_below_it_are_allowed() -> None:
    check_recipients(("jo@example.org", "jo@maps.example.edu"), context_of(None))


def test_each_refused_recipient_is_named() -> None:
    named = ("jo@example.org", "a@badexample.org", "b@example.org.example.com")

    with pytest.raises(BadRequest) as refused:
        check_recipients(named, context_of(None))

    only = "this deployment sends mail to example.org and example.edu only"
    assert str(refused.value) == f"a@badexample.org: {only}; b@example.org.example.com: {only}"


@pytest.mark.parametrize(
    ("sub", "email", "is_allowed"),
    [
        ("sub-1", "jane@home.example.com", True),
        ("sub-2", "jane@home.example.com", False),  # the name is another person's by now
        ("sub-1", "", False),  # the address is not verified
    ],
)
def test_ones_own_verified_address_is_allowed_wherever_it_is(
    sub: str, email: str, is_allowed: bool
) -> None:
    context = context_of(Account(sub, "jane", email))

    if is_allowed:
        check_recipients(("jane@home.example.com",), context)
    else:
        with pytest.raises(BadRequest):
            check_recipients(("jane@home.example.com",), context)
