"""Holds as those who look at them want them."""

from jobyard.domain.errors import Forbidden, Unknown
from jobyard.domain.hold import Hold, checked_scope
from jobyard.services.asking import READERS
from jobyard.services.views.looking import Looking
from jobyard.store import holds


def list_holds(looking: Looking) -> list[Hold]:
    """All holds by scope, those that have run out and were not lifted among them.

    Raises:
        Forbidden: the person may see no batch, so none of what stops them.
    """
    if not looking.person.roles & {*READERS, "depositor"}:
        raise Forbidden(f"holds are shown to depositor, {', '.join(sorted(READERS))}")
    return sorted(holds.every(), key=lambda hold: hold.scope)


def hold(scope: str, looking: Looking) -> Hold:
    """The hold on a scope.

    Raises:
        Forbidden: as for `list_holds`. BadRequest: no such scope. Unknown: nothing holds it.
    """
    if not looking.person.roles & {*READERS, "depositor"}:
        raise Forbidden(f"holds are shown to depositor, {', '.join(sorted(READERS))}")
    found = holds.get(checked_scope(scope))
    if found is None:
        raise Unknown(f"there is no hold on {scope}")
    return found
