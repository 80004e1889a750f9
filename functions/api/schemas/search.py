"""The result of a search."""

from datetime import datetime

from pydantic import Field

from api.context import RequestContext
from api.links import match_links
from api.schemas.fields import Links, Schema
from jobyard.services.queries import search as search_queries


class Match(Schema):
    """A thing that was found."""

    kind: str = Field(
        description="A `batch`, `job`, `campaign`, `schedule`, `object`, `collection`, `edit`, "
        "`fixup` or `review`."
    )
    found_id: str = Field(description="Its id, ark or name.")
    title: str = Field(
        description="What people call it: a manifest's name, a schedule's title, an object's "
        'collection; "" if it has no other name.'
    )
    why: str = Field(description="What of it matched, or why it is gone.")
    at: datetime | None = Field(
        description="When a batch was submitted, or a campaign, schedule or edit job created; null "
        "for others."
    )
    links: Links


class SearchResult(Schema):
    """What was found, and what was not searched."""

    items: list[Match]
    batches_since: datetime | None = Field(
        description="When the oldest of the searched batches was submitted; null if all were "
        "searched, or none had to be."
    )
    not_searched: list[str] = Field(description="What may match but was not searched.")
    more: list[str] = Field(
        description="The kinds of which more was found than is listed; `kind` asks for all of one."
    )

    @classmethod
    def of(cls, result: search_queries.SearchResult, request: RequestContext) -> "SearchResult":
        """The result of a search."""
        items = [
            Match(
                kind=each.kind,
                found_id=each.found_id,
                title=each.title,
                why=each.why,
                at=each.at,
                links=match_links(each.kind, each.found_id, request),
            )
            for each in result.matches
        ]
        return cls(
            items=items,
            batches_since=result.batches_since,
            not_searched=list(result.not_searched),
            more=list(result.more),
        )
