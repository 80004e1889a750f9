"""What people did."""

from collections.abc import Iterable
from datetime import datetime

from pydantic import Field

from api.context import RequestContext
from api.links import subject_links
from api.schemas.fields import Links, NextCursor, Schema
from jobyard.domain import activity as domain


class Act(Schema):
    """What a person did."""

    at: datetime = Field(description="When.")
    actor: str = Field(description="Who: a user name.")
    actor_id: str = Field(description="The actor's id in the user pool.")
    event: str = Field(description="The event, such as `submit`, `requeue` or `place`.")
    kind: str = Field(
        description="What it was sent to: a `batch`, `job`, `schedule`, `schedule job`, "
        "`campaign`, `task`, `calendar`, `collection`, `hold`, `webhook`, `dead letter`, "
        "`dataset`, `edit`, `fixup`, `review`, `attachment`, `edit settings` or `team`."
    )
    subject_id: str = Field(
        description="Its id, name or scope; for an operation on several jobs, their batch."
    )
    title: str = Field(
        description="What people call it: a manifest's name, a schedule's title, a campaign's "
        'name; "" if it has no other name.'
    )
    count: int = Field(
        description="Of an operation, the number of jobs, 0 if not known; otherwise 1."
    )
    reason: str = Field(description='Why; "" if not given.')
    changes: str = Field(
        description="What changed: the fields of an edit, or the hold that was replaced; "
        '"" if the event says it.'
    )
    cause: str = Field(description="The request, as in the history of the subject.")
    links: Links

    @classmethod
    def of(cls, act: domain.Act, request: RequestContext) -> "Act":
        """An act as it is stored."""
        subject = act.subject
        return cls(
            at=act.at,
            actor=act.actor,
            actor_id=act.sub,
            event=act.event,
            kind=subject.kind,
            subject_id=subject.subject_id,
            title=subject.title,
            count=subject.count,
            reason=act.reason,
            changes=act.changes,
            cause=act.cause,
            links=subject_links(subject, request),
        )


class ActivityList(Schema):
    """A page of what people did, newest first."""

    items: list[Act]
    next_cursor: NextCursor

    @classmethod
    def of(
        cls, acts: Iterable[domain.Act], next_cursor: str | None, request: RequestContext
    ) -> "ActivityList":
        """A page, and the cursor of the next one."""
        return cls(items=[Act.of(each, request) for each in acts], next_cursor=next_cursor)
