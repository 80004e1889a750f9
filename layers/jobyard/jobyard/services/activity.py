"""Records what people do: each command calls `record` once, after its change is stored.

If the record fails, so does the request, and its repeat finds the change made and records it.
"""

from datetime import datetime

from jobyard.domain.activity import Act, Subject
from jobyard.services.context import CommandContext
from jobyard.store import activity


def record(
    context: CommandContext, event: str, subject: Subject, at: datetime, changes: str = ""
) -> None:
    """Record that the actor sent `event` to `subject`. `at` is the stored time of the change, which
    is the same when the request is repeated. `changes` says what changed.
    """
    actor = context.actor
    act = Act(at, actor.name, actor.sub, event, subject, context.reason, context.run, changes)
    activity.put(act)
