"""Search: recognizes ids, arks, local identifiers, days, failure codes and names.

Ids, arks and identifiers are one read by their key, the rest a bounded number of the newest items.
There is no index of words, so the result says what was not searched.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime

from jobyard.domain.access import is_allowed
from jobyard.domain.arks import normal_ark
from jobyard.domain.batches.batch import OPEN_BATCH_STATES, Batch, BatchState
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
from jobyard.domain.jobs.failures import Failure
from jobyard.domain.jobs.job import JobAddress, JobState
from jobyard.domain.plurals import plural
from jobyard.services.access import may_see, visible_batch
from jobyard.services.campaigns.access import visible_campaign
from jobyard.services.context import QueryContext
from jobyard.services.edits.access import id_of, kind_of, visible_job
from jobyard.services.origins import job_origin
from jobyard.services.queries.batches import batch_views
from jobyard.services.queries.chunk_search import search_chunks
from jobyard.services.queries.jobs import JobMatch, JobReader
from jobyard.services.queries.objects import object_with_local_id, stored_object
from jobyard.services.schedules.access import schedule_or_tombstone
from jobyard.store import batches, campaigns, collections, datasets, edits, schedules
from jobyard.store.documents import month_before
from jobyard.store.edits import Job

MAX_TEXT_LENGTH = 300
BATCHES_SEARCHED = 200  # the newest, by file name and submitter; of a day, the last
FAILING_SEARCHED = 50  # the newest batches with failed or open jobs, by failure code
_MONTHS_SEARCHED = 3
FILE_BATCHES = 10  # the newest of a collection, by file name
FILE_CHUNKS = 20  # of these batches together
_CODE_LENGTH = 4  # characters of a part of a failure code, at least
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
SCHEDULES_SEARCHED = 100  # by title
CAMPAIGNS_SEARCHED = 50  # the newest, by name and creator
COLLECTIONS_FOUND = 100  # whose names begin with the text
SHOWN_OF_A_KIND = 10  # unless one kind is asked for
EDITS_SEARCHED = 50  # the newest open ones of each dataset, by name
_DATASETS_SEARCHED = 5
_MAY_HAVE_FAILURES = frozenset({BatchState.FAILED, *OPEN_BATCH_STATES})
_EDIT_KINDS = ("edit", "fixup", "review")
MATCH_KINDS = ("batch", "job", "campaign", "schedule", "object", "collection", *_EDIT_KINDS)
# Between a collection and a local identifier of it.
_SEPARATORS = re.compile(r"[\s#:/]+")


@dataclass(frozen=True)
class Match:
    """A thing that was found: its kind, its id (or name), and what people call it.

    `why` says what of it matched. `at` is when a batch was submitted, or a campaign, schedule or
    edit job created; None for others.
    """

    kind: str
    found_id: str
    title: str
    why: str
    at: datetime | None = None


@dataclass(frozen=True)
class SearchResult:
    """What was found, ids first, and what was not searched. `batches_since` is when the oldest of
    the searched batches was submitted; None if all were searched, or none. `more` are the kinds of
    which more was found than `SHOWN_OF_A_KIND`. `files_of` is the collection of which only the
    newest batches were searched by file name; "" for none.
    """

    matches: tuple[Match, ...]
    batches_since: datetime | None
    not_searched: tuple[str, ...]
    more: tuple[str, ...] = ()
    files_of: str = ""


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
    files, unsearched = _by_file(wanted, context)
    of_day, has_whole_day = _of_day(wanted, context)
    failing, has_all_failing = _failing(wanted, recent, context)
    found = [
        *_collections(wanted, context, COLLECTIONS_FOUND if kind else SHOWN_OF_A_KIND + 1),
        *_once([*_by_local_id(wanted, context), *files]),
        *titled,
        *named,
        *edit_jobs,
        *_once([*_batches(wanted, recent), *of_day, *failing]),
    ]
    since = None if is_complete or not recent else recent[-1].submitted_at
    missing = tuple(
        _not_searched(
            since,
            unsearched,
            day="" if has_whole_day else wanted,
            has_all_failing=has_all_failing,
            has_all_titles=has_all_titles,
            has_all_campaigns=has_all_campaigns,
            has_all_edits=has_all_edits,
        )
    )
    if kind:
        of_kind = tuple(each for each in found if each.kind == kind)
        return SearchResult(of_kind, since, missing, files_of=unsearched)
    shown, more = _first_of_each_kind(found)
    return SearchResult(tuple(shown), since, missing, more, unsearched)


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
                yield Match("batch", text, batch.filename, "its id", batch.submitted_at)
            elif is_campaign_id(text):
                campaign = visible_campaign(text, actor)
                yield Match("campaign", text, campaign.name, "its id", campaign.created_at)
            elif is_schedule_id(text):
                schedule = schedule_or_tombstone(text, actor)
                yield Match("schedule", text, schedule.title, "its id", schedule.created_at)
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
    return Match(kind_of(job), id_of(job), name, why, job.created_at)


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


def _by_file(text: str, context: QueryContext) -> tuple[list[Match], str]:
    """The objects that the newest batches of a collection deposited from a file with such a name,
    if the text is "COLLECTION FILE"; and the collection if it has more batches or jobs than that.
    """
    parts = _SEPARATORS.split(text, maxsplit=1)
    collection = collections.find(parts[0]) if re.fullmatch(NAME_PATTERN, parts[0]) else None
    if len(parts) < 2 or not parts[1] or not collection or not may_see(collection, context.actor):
        return [], ""
    wanted = JobMatch(state=JobState.SUCCEEDED, name=parts[1])
    page = batches.of_collection(collection.name, limit=FILE_BATCHES)
    found: list[Match] = []
    read = 0
    for batch in page.items:
        search = search_chunks(batch, wanted.state, "", context)
        reader = JobReader(search, context)
        for number in search.forwards(0):
            if read == FILE_CHUNKS:
                return found, collection.name
            read += 1
            for view in filter(wanted.matches, reader.of_chunk(number)):
                if ark := str(view.job.data.get("ark", "")):
                    why = f"{view.row.get('name') or ark}, of {batch.filename or batch.batch_id}"
                    found.append(Match("object", ark, collection.name, why))
    return found, collection.name if page.after else ""


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
        Match("schedule", each.schedule_id, each.title, "its title", each.created_at)
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
        Match("campaign", each.campaign_id, each.name, why, each.created_at)
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
        Match("batch", each.batch_id, each.filename, why, each.submitted_at)
        for each in recent
        if (
            why := _matching_field(
                folded, {"its file name": each.filename, "its submitter": each.submitter}
            )
        )
    ]
    return sorted(found, key=lambda each: each.why != "its file name")


def _of_day(text: str, context: QueryContext) -> tuple[list[Match], bool]:
    """The batches submitted on the day (UTC) that the text is, newest first, and whether these are
    all that the actor may see.
    """
    actor = context.actor
    if not _is_day(text) or not is_allowed("batch", "list", actor.roles):
        return [], True
    sees_all = is_allowed("batch", "view", actor.roles)
    read, key = (batches.of_month, text[:7]) if sees_all else (batches.of_submitter, actor.sub)
    after_it = f"{text}~"  # the tilde sorts after every time of the day
    page = read(key, limit=BATCHES_SEARCHED, before=after_it)
    found = [
        Match("batch", each.batch_id, each.filename, f"submitted on {text}, UTC", each.submitted_at)
        for each in page.items
        if f"{each.submitted_at:%Y-%m-%d}" == text and (sees_all or each.is_submitted_by(actor.sub))
    ]
    return found, not page.after.startswith(text)


def _is_day(text: str) -> bool:
    """Whether the text is a day, such as 2026-11-30."""
    try:
        return bool(_DAY.fullmatch(text) and date.fromisoformat(text))
    except ValueError:
        return False


def _failing(text: str, recent: list[Batch], context: QueryContext) -> tuple[list[Match], bool]:
    """The recent batches with jobs that failed with the code that the text is, or is a part of; and
    whether all of them were searched.
    """
    part = "_".join(text.upper().split())
    codes = {each.value for each in Failure if part in each.value}
    if not codes or len(part) < _CODE_LENGTH:
        return [], True
    failing = [each for each in recent if each.state in _MAY_HAVE_FAILURES]
    views = batch_views(failing[:FAILING_SEARCHED], context)
    found = [
        Match(
            "batch",
            view.batch.batch_id,
            view.batch.filename,
            f"{plural(group.count, 'job')} with {group.code}",
            view.batch.submitted_at,
        )
        for view in views
        for group in view.failure_groups or ()
        if group.code in codes
    ]
    return found, len(views) == len(failing)


def _once(found: Iterable[Match]) -> list[Match]:
    """The matches, each thing once, by the first reason."""
    return [*{each.found_id: each for each in reversed([*found])}.values()][::-1]


def _not_searched(
    since: datetime | None,
    unsearched: str,
    *,
    day: str,
    has_all_failing: bool,
    has_all_titles: bool,
    has_all_campaigns: bool,
    has_all_edits: bool,
) -> Iterator[str]:
    if since is not None:
        yield (
            f"batches submitted before {since:%Y-%m-%d %H:%M} UTC, by file name, submitter and "
            "failure code"
        )
    if day:
        yield f"batches of {day} before the last {BATCHES_SEARCHED} of that day"
    if unsearched:
        yield (
            f"objects of {unsearched} by file name beyond {FILE_CHUNKS} chunks of jobs of its "
            f"newest {FILE_BATCHES} batches"
        )
    if not has_all_failing:
        yield f"failed and open batches before the newest {FAILING_SEARCHED}, by failure code"
    if not has_all_titles:
        yield f"schedules after the first {SCHEDULES_SEARCHED} titles in alphabetical order"
    if not has_all_campaigns:
        yield (
            f"campaigns (jobs on devices) before the newest {CAMPAIGNS_SEARCHED}, by name and "
            "creator"
        )
    if not has_all_edits:
        yield (
            f"edit jobs before the newest {EDITS_SEARCHED} open ones of each dataset, by name; "
            f"datasets after the first {_DATASETS_SEARCHED}"
        )
    yield "jobs by file name: search in the jobs of their batch"
    yield "jobs by error text: a failure code, or a part of one, finds their batches"
    yield "jobs and objects by date: a day, such as 2026-11-30, finds the batches submitted on it"
    yield "objects by title; by file name without their collection: write COLLECTION FILE"
    yield "local identifiers without their collection: write COLLECTION IDENTIFIER"
