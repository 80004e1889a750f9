"""Search: recognizes ids, arks, local identifiers and names, and searches recent batches.

Everything but the recent batches and campaigns and the titles of schedules is one read by its key.
There is no index of words, so the result says what was not searched.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from jobyard.domain.access import is_allowed
from jobyard.domain.arks import normal_ark
from jobyard.domain.batches.batch import Batch
from jobyard.domain.edits.child import ChildJob
from jobyard.domain.edits.edit_job import EditJob
from jobyard.domain.errors import BadRequest, Forbidden, Gone, NotFound
from jobyard.domain.ids import (
    NAME_PATTERN,
    Origin,
    is_batch_id,
    is_campaign_id,
    is_child_id,
    is_edit_id,
    is_schedule_id,
)
from jobyard.domain.jobs.job import JobAddress
from jobyard.services.access import may_see, visible_batch
from jobyard.services.campaigns.access import visible_campaign
from jobyard.services.context import QueryContext
from jobyard.services.edits.access import id_of, kind_of, visible_job
from jobyard.services.origins import job_origin
from jobyard.services.queries.objects import object_with_local_id, stored_object
from jobyard.services.schedules.access import schedule_or_tombstone
from jobyard.store import batches, campaigns, collections, datasets, edits, schedules
from jobyard.store.documents import month_before
from jobyard.store.edits import Job

MAX_TEXT_LENGTH = 300
BATCHES_SEARCHED = 200  # the newest, by file name and submitter
_MONTHS_SEARCHED = 3
SCHEDULES_SEARCHED = 100  # by title
CAMPAIGNS_SEARCHED = 50  # the newest, by name and creator
COLLECTIONS_FOUND = 100  # whose names begin with the text
SHOWN_OF_A_KIND = 10  # unless one kind is asked for
EDITS_SEARCHED = 50  # the newest open ones of each dataset, by name
_DATASETS_SEARCHED = 5
_EDIT_KINDS = ("edit", "fixup", "review")
MATCH_KINDS = ("batch", "job", "campaign", "schedule", "object", "collection", *_EDIT_KINDS)
# Between a collection and a local identifier of it.
_SEPARATORS = re.compile(r"[\s#:/]+")


@dataclass(frozen=True)
class Match:
    """A thing that was found: its kind, its id (or name), and what people call it.

    `why` says what of it matched.
    """

    kind: str
    found_id: str
    title: str
    why: str


@dataclass(frozen=True)
class SearchResult:
    """What was found, ids first, and what was not searched. `batches_since` is when the oldest of
    the searched batches was submitted; None if all were searched, or none. `more` are the kinds of
    which more was found than `SHOWN_OF_A_KIND`.
    """

    matches: tuple[Match, ...]
    batches_since: datetime | None
    not_searched: tuple[str, ...]
    more: tuple[str, ...] = ()


def find(text: str, context: QueryContext, kind: str = "") -> SearchResult:
    """What the actor may see and `text` may mean: some of each kind, or all of one `kind`.

    Raises:
        BadRequest: the text is empty or too long, or there is no such kind.
    """
    wanted = text.strip()
    if not wanted or len(wanted) > MAX_TEXT_LENGTH:
        raise BadRequest(f"search for 1 to {MAX_TEXT_LENGTH} characters")
    if kind and kind not in MATCH_KINDS:
        raise BadRequest(f"there is no kind {kind!r}: {', '.join(MATCH_KINDS)}")
    exact = [*_by_id(wanted, context)]
    if exact:
        return SearchResult(tuple(exact), None, ())
    recent, is_complete = _recent_batches(context)
    titled, has_all_titles = _schedules(wanted, context)
    named, has_all_campaigns = _campaigns(wanted, context)
    edit_jobs, has_all_edits = _edits(wanted, context)
    found = [
        *_collections(wanted, context, COLLECTIONS_FOUND if kind else SHOWN_OF_A_KIND + 1),
        *_by_local_id(wanted, context),
        *titled,
        *named,
        *edit_jobs,
        *_batches(wanted, recent),
    ]
    since = None if is_complete or not recent else recent[-1].submitted_at
    missing = tuple(
        _not_searched(
            since,
            has_all_titles=has_all_titles,
            has_all_campaigns=has_all_campaigns,
            has_all_edits=has_all_edits,
        )
    )
    if kind:
        return SearchResult(tuple(each for each in found if each.kind == kind), since, missing)
    shown, more = _first_of_each_kind(found)
    return SearchResult(tuple(shown), since, missing, more)


def _first_of_each_kind(found: Iterable[Match]) -> tuple[list[Match], tuple[str, ...]]:
    """The first matches of each kind, and the kinds that have more."""
    shown = []
    numbers: Counter[str] = Counter()
    for each in found:
        numbers[each.kind] += 1
        if numbers[each.kind] <= SHOWN_OF_A_KIND:
            shown.append(each)
    return shown, tuple(kind for kind, number in numbers.items() if number > SHOWN_OF_A_KIND)


def _by_id(text: str, context: QueryContext) -> Iterator[Match]:
    """The one thing whose id or ark the text is. What is gone is found too, and says so."""
    actor, now = context.actor, context.now
    address = JobAddress.parse(text)
    with suppress(NotFound, Forbidden):
        try:
            if is_batch_id(text):
                batch = visible_batch(text, actor, now)
                yield Match("batch", text, batch.filename, "its id")
            elif is_campaign_id(text):
                campaign = visible_campaign(text, actor)
                yield Match("campaign", text, campaign.name, "its id")
            elif is_schedule_id(text):
                schedule = schedule_or_tombstone(text, actor)
                yield Match("schedule", text, schedule.title, "its id")
            elif is_edit_id(text) or is_child_id(text):
                yield _edit_match(visible_job(text, actor), "its id")
            elif address and address.origin in Origin:
                job_origin(text, actor, now)
                yield Match("job", text, "", "its id")
            elif ark := normal_ark(text):
                found = stored_object(ark, context, limit=1)
                yield Match("object", ark, found.collection, "its ark")
        except Gone as gone:
            kind = "edit" if is_edit_id(text) else "job" if address else "batch"
            yield Match(kind, text, "", str(gone))


def _edit_match(job: Job, why: str) -> Match:
    name = job.title if isinstance(job, ChildJob) else job.name
    return Match(kind_of(job), id_of(job), name, why)


def _edits(text: str, context: QueryContext) -> tuple[list[Match], bool]:
    """The newest open edit jobs whose names have the text, and whether all were searched. Who sees
    only those of their teams finds them in the worklist.
    """
    if not is_allowed("edit", "view", context.actor.roles):
        return [], True
    folded = text.casefold()
    found: list[Match] = []
    searched = datasets.by_name(after="", limit=_DATASETS_SEARCHED + 1)
    has_all = len(searched) <= _DATASETS_SEARCHED
    for each in searched[:_DATASETS_SEARCHED]:
        keys = edits.of_dataset(each.name, edits.OPEN, after="", limit=EDITS_SEARCHED + 1)
        has_all = has_all and len(keys) <= EDITS_SEARCHED
        found += [
            _edit_match(job, "its name")
            for job in edits.read([key.job_id for key in keys[:EDITS_SEARCHED]])
            if isinstance(job, EditJob) and folded in job.name.casefold()
        ]
    return found, has_all


def _by_local_id(text: str, context: QueryContext) -> Iterator[Match]:
    """The object with a local identifier, if the text is "COLLECTION IDENTIFIER"."""
    parts = _SEPARATORS.split(text, maxsplit=1)
    if len(parts) == 2 and re.fullmatch(NAME_PATTERN, parts[0]) and parts[1]:
        with suppress(NotFound):
            found = object_with_local_id(parts[0], parts[1], context)
            yield Match("object", found.ark, found.collection, f"local identifier {parts[1]}")


def _collections(text: str, context: QueryContext, limit: int) -> Iterator[Match]:
    """The collection of this name, and up to `limit` of those whose names begin with it."""
    exact = collections.find(text)
    if exact and may_see(exact, context.actor):
        yield Match("collection", exact.name, "", "its name")
    for each in collections.by_name(after=text, limit=limit):
        if each.name.startswith(text) and may_see(each, context.actor):
            yield Match("collection", each.name, "", "its name begins so")


def _schedules(text: str, context: QueryContext) -> tuple[list[Match], bool]:
    """The schedules whose titles have the text, and whether all titles were searched."""
    if not is_allowed("schedule", "view", context.actor.roles):
        return [], True
    folded = text.casefold()
    page = schedules.by_title(system=False, limit=SCHEDULES_SEARCHED)
    found = [
        Match("schedule", each.schedule_id, each.title, "its title")
        for each in page.items
        if folded in each.title.casefold()
    ]
    return found, not page.after


def _campaigns(text: str, context: QueryContext) -> tuple[list[Match], bool]:
    """The newest campaigns whose name or creator has the text, and whether all were searched."""
    if not is_allowed("campaign", "view", context.actor.roles):
        return [], True
    folded = text.casefold()
    page = campaigns.newest(CAMPAIGNS_SEARCHED)
    found = [
        Match("campaign", each.campaign_id, each.name, why)
        for each in page.items
        if (why := _matching_field(folded, {"its name": each.name, "its creator": each.creator}))
    ]
    return found, not page.after


def _matching_field(folded: str, fields: Mapping[str, str]) -> str:
    """The name of the first field that has the text; "" if none has."""
    return next((name for name, value in fields.items() if folded in value.casefold()), "")


def _recent_batches(context: QueryContext) -> tuple[list[Batch], bool]:
    """The newest batches that the actor may see, newest first, and whether these are all."""
    actor = context.actor
    if not is_allowed("batch", "list", actor.roles):
        return [], True
    if not is_allowed("batch", "view", actor.roles):
        page = batches.of_submitter(actor.sub, limit=BATCHES_SEARCHED)
        return [each for each in page.items if each.is_submitted_by(actor.sub)], not page.after
    found: list[Batch] = []
    month, first = context.now.strftime("%Y-%m"), batches.first_month()
    for _ in range(_MONTHS_SEARCHED):
        if not first or month < first:
            return found, True
        page = batches.of_month(month, limit=BATCHES_SEARCHED - len(found))
        found += page.items
        if page.after or len(found) == BATCHES_SEARCHED:
            return found, False
        month = month_before(month)
    return found, not first or month < first


def _batches(text: str, recent: list[Batch]) -> list[Match]:
    """The recent batches whose file name has the text, then those of a submitter of this name."""
    folded = text.casefold()
    found = [
        Match("batch", each.batch_id, each.filename, why)
        for each in recent
        if (
            why := _matching_field(
                folded, {"its file name": each.filename, "its submitter": each.submitter}
            )
        )
    ]
    return sorted(found, key=lambda each: each.why != "its file name")


def _not_searched(
    since: datetime | None, *, has_all_titles: bool, has_all_campaigns: bool, has_all_edits: bool
) -> Iterator[str]:
    if since is not None:
        yield f"batches submitted before {since:%Y-%m-%d %H:%M} UTC, by file name and submitter"
    if not has_all_titles:
        yield f"schedules after the first {SCHEDULES_SEARCHED} titles in alphabetical order"
    if not has_all_campaigns:
        yield f"campaigns before the newest {CAMPAIGNS_SEARCHED}, by name and creator"
    if not has_all_edits:
        yield (
            f"edit jobs before the newest {EDITS_SEARCHED} open ones of each dataset, by name; "
            f"datasets after the first {_DATASETS_SEARCHED}"
        )
    yield "jobs by file name: search in the jobs of their batch"
    yield "jobs by error text: the jobs of a batch are filtered by failure code"
    yield "anything by date: the list of batches has the newest first"
    yield "objects by file name or title: search in the jobs of the batch that deposited them"
    yield "local identifiers without their collection: write COLLECTION IDENTIFIER"
