"""Holds, as lists and details show them."""

from jobyard.domain.errors import NotFound
from jobyard.domain.hold import Hold, active_hold, check_scope
from jobyard.services.access import authorize
from jobyard.services.context import QueryContext
from jobyard.store import holds


def list_holds(context: QueryContext) -> list[Hold]:
    """The holds in force, by scope.

    Raises:
        Forbidden: the actor may not see holds.
    """
    authorize(context.actor, "hold", "view")
    return sorted(
        (each for each in holds.list_all() if active_hold([each], context.now)),
        key=lambda hold: hold.scope,
    )


def hold(scope: str, context: QueryContext) -> Hold:
    """The hold on a scope.

    Raises:
        Forbidden: as for `list_holds`. BadRequest: `scope` is not a scope. NotFound: no hold is
            in force on it.
    """
    authorize(context.actor, "hold", "view")
    found = holds.find(check_scope(scope))
    if found is None or not active_hold([found], context.now):
        raise NotFound(f"there is no hold on {scope}")
    return found
