"""People's acts, as a list shows them."""

from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from jobyard.domain.activity import Act
from jobyard.services.access import authorize
from jobyard.services.context import QueryContext
from jobyard.services.queries.searched import Searched
from jobyard.store import activity

_MAX_READ = 1000  # acts that one page reads for those that the actor may see


@dataclass(frozen=True)
class ActivityPage:
    """Acts, newest first, and the position where the next page begins; None after the last.
    `searched` is how far a page that is not full was searched; None if that is to the end.
    """

    items: tuple[Act, ...]
    after: tuple[str, str] | None
    searched: Searched | None = None


def recent_activity(
    context: QueryContext, *, limit: int, after: tuple[str, str] | None = None
) -> ActivityPage:
    """A page of what people did, newest first, up to 90 days back.

    Acts on schedules and calendars are shown only to those who may see them. A page may be short
    although another follows.

    Raises:
        Forbidden: the actor may not see activity.
    """
    authorize(context.actor, "activity", "view")
    roles = context.actor.roles
    shown: list[Act] = []
    position = after
    stored = islice(activity.newest_first(context.now, after, limit + 1), _MAX_READ)
    read = 0
    last: datetime | None = None
    for each in stored:
        read += 1
        last = each.act.at
        if each.act.is_visible_to(roles):
            if len(shown) == limit:
                return ActivityPage(tuple(shown), position)
            shown.append(each.act)
        position = each.position
    if read < _MAX_READ:
        return ActivityPage(tuple(shown), None)
    return ActivityPage(tuple(shown), position, Searched(read, last))
