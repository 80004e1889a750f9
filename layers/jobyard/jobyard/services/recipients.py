"""Recipients that people name: those in the mail domains of the deployment, and themselves."""

from collections.abc import Sequence

from jobyard.domain.errors import BadRequest
from jobyard.domain.mail_addresses import Addresses, UndeliverableRecipient
from jobyard.services.context import CommandContext


def check_recipients(named: Sequence[str], context: CommandContext) -> None:
    """Check that the deployment may mail each of the `named` addresses.

    Raises:
        BadRequest: it may not; the message names each refused address.
    """
    refused = refused_recipients(named, context)
    if refused:
        raise BadRequest("; ".join(each.description for each in refused))


def refused_recipients(
    named: Sequence[str], context: CommandContext
) -> tuple[UndeliverableRecipient, ...]:
    """Those of the `named` addresses that the deployment may not mail, and why. The actor's own
    verified address is always allowed; it is looked up only if need be.
    """
    refused = Addresses(tuple(named)).within(context.settings.mail_domains).invalid
    if not refused:
        return ()
    own = context.own_email()
    return tuple(each for each in refused if each.address != own)
