"""Settles a campaign: sums up its tasks, moves it as the plan says, and decides what comes next.

Only the latest execution of a campaign settles it. It alone grants starts, through the index of the
next pass.
"""

from collections import Counter
from collections.abc import Container, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from jobyard.domain.batches.chunks import ChunkRecord, PassShare, sum_counts
from jobyard.domain.batches.report import ReportKind
from jobyard.domain.campaigns.campaign import Campaign
from jobyard.domain.campaigns.claim import CLAIM_FOR
from jobyard.domain.campaigns.leases import leased
from jobyard.domain.campaigns.planning import CampaignPlan, PlannedAction, TaskTotals, plan
from jobyard.domain.campaigns.rollout import SLICE, paced, shares
from jobyard.domain.campaigns.slots import SlotRequest, shared_slots
from jobyard.domain.campaigns.task_summary import TaskSummary, ended_chunks, totals_of
from jobyard.domain.cause_key import MAIN_RUN, Action
from jobyard.domain.errors import StaleState
from jobyard.domain.hold import Hold, active_hold
from jobyard.domain.jobs.job import JOB, JobAddress, JobState
from jobyard.domain.lifecycle import MACHINE, Cause
from jobyard.domain.plurals import plural
from jobyard.jobtypes import job_type_of
from jobyard.services.batches import rows
from jobyard.services.batches.settle import PASSES_PER_EXECUTION, SettleContext
from jobyard.services.campaigns.held import hold_on
from jobyard.services.executions import Executions
from jobyard.services.jobs.runner import CONCURRENT_JOBS
from jobyard.services.runs import NEVER_WAITED, ExecutionRun, NextStep, Waits
from jobyard.store import campaigns, chunks, holds, leases

_TRIES = 5
_OVERDUE = timedelta(minutes=5)  # how much too long a rest may last until the scheduler tick checks
_HELD_REST = timedelta(minutes=10)  # how long a rest under a hold lasts: others may lift it
_PASS_CHECK = timedelta(minutes=30)  # how long passes may take until the scheduler tick checks


def settle(
    campaign_id: str, run: ExecutionRun, context: SettleContext, waits: Waits = NEVER_WAITED
) -> NextStep:
    """Decide what comes after a pass, or after a rest.

    Raises:
        NotFound: there is no such campaign.
        StaleState: others changed the campaign at the same time, several times.
    """
    for tries in range(1, _TRIES + 1):
        campaign = campaigns.get(campaign_id)
        if not campaign.has_work or run.recoveries < campaign.generation:
            return NextStep(campaign_id, "end", run=run)
        if not campaign.is_open:
            return NextStep(campaign_id, "report", run=run)
        try:
            return _Settlement.read(campaign, run, context, waits.pass_began).next_step()
        except StaleState:
            if tries == _TRIES:
                raise
    raise AssertionError("unreachable")


def _records(campaign: Campaign) -> dict[int, ChunkRecord]:
    """The counts of the chunks whose tasks have not all ended."""
    found = chunks.of_batch(campaign.campaign_id, first=campaign.ended_chunks.number)
    return {record.chunk: record for record in found}


def _counts(campaign: Campaign, records: Mapping[int, ChunkRecord]) -> dict[str, int]:
    return sum_counts([campaign.ended_chunks.counts, *(each.counts for each in records.values())])


def _totals(campaign: Campaign, records: Mapping[int, ChunkRecord], now: datetime) -> TaskTotals:
    summaries = [TaskSummary.of_document(each.summary) for each in records.values()]
    totals = totals_of(campaign, summaries, _counts(campaign, records), now)
    return replace(totals, replaced=sum(len(each.replacements) for each in records.values()))


@dataclass
class _Settlement:
    """A settlement of a campaign, from one reading of its record and counts."""

    campaign: Campaign
    run: ExecutionRun
    context: SettleContext
    records: Mapping[int, ChunkRecord]
    now: datetime
    pass_began: datetime | None
    at_once: int = 0  # attempts that may run at the same time

    @classmethod
    def read(
        cls,
        campaign: Campaign,
        run: ExecutionRun,
        context: SettleContext,
        pass_began: datetime | None,
    ) -> "_Settlement":
        at_once = campaign.rules.at_once
        return cls(campaign, run, context, _records(campaign), context.now(), pass_began, at_once)

    def next_step(self) -> NextStep:
        campaign = self.campaign
        totals = _totals(campaign, self.records, self.now)
        hold = hold_on(campaign, self.now)
        planned = plan(campaign, totals, campaign.openings, hold, self.now)
        if hold is not None and planned.until:
            # A worker of the pass that the hold ends may not have saved its counts yet.
            was_in_pass = campaign.started_at and not campaign.rests_until
            longest = SLICE if was_in_pass else _HELD_REST
            planned = replace(planned, until=min(planned.until, self.now + longest))
        planned = self._with_lease(self._after_slice(planned, totals), totals)
        if planned.action is PlannedAction.END:
            self._remove_hold()
        saved = self._save(planned)
        if planned.places_hold:
            self._place_hold(planned)
        if saved.due_report is not None:
            return NextStep(campaign.campaign_id, "report", run=self.run)
        if planned.action is PlannedAction.REST:
            return self._rest(planned)
        return self._pass(planned)

    def _after_slice(self, planned: CampaignPlan, totals: TaskTotals) -> CampaignPlan:
        """The plan; a rest after a pass lasts until its slice is over, because another pass has a
        grant of its own. If attempts are between bound steps, the rest is not made longer.
        """
        has_rate = self.campaign.rules.rollout is not None and self.pass_began is not None
        if planned.action is not PlannedAction.REST or not has_rate or totals.bound:
            return planned
        return replace(planned, until=max(planned.until or self.now, self._begins()))

    def _with_lease(self, planned: CampaignPlan, totals: TaskTotals) -> CampaignPlan:
        """The plan, after a lease of slots of the job type is renewed, or given back; the campaign
        rests if no slot is free. A job type without a limit has no leases.
        """
        job_type, campaign_id = job_type_of(self.campaign.job_type), self.campaign.campaign_id
        if job_type.at_once is None:
            return planned
        wanted = 0
        if planned.action is PlannedAction.EXECUTE:
            startable = planned.grant + totals.waiting if planned.grant else 0
            wanted = min(self.at_once, startable + totals.bound)
        running = sum(self._running().values()) + totals.bound  # whose devices must not wait
        for _ in range(_TRIES):
            seen, version = leases.get(job_type.name)
            found = leased(seen, job_type.at_once, campaign_id, wanted, self.now, running)
            if found == seen:
                break
            with suppress(StaleState):
                leases.put(job_type.name, found, version)
                break
        else:
            raise StaleState(f"the leases of {job_type.name} change too fast")
        self.at_once = found[campaign_id].slots if campaign_id in found else 0
        if not wanted or self.at_once or planned.state is JobState.STOPPING:
            return planned
        others = plural(len(found) - 1, "other campaign")
        reason = f"all {job_type.at_once} slots of {job_type.name} are taken by {others}"
        until = self.now + SLICE
        return replace(planned, action=PlannedAction.REST, until=until, grant=0, reason=reason)

    def _place_hold(self, planned: CampaignPlan) -> None:
        """Put the campaign on hold, because too many tasks failed, unless it is already."""
        scope = f"campaign:{self.campaign.campaign_id}"
        seen = holds.find(scope)
        if active_hold(filter(None, [seen]), self.now) is None:
            hold = Hold(scope, MACHINE, planned.reason, self.now)
            try:
                holds.put(hold, seen=seen)
            except StaleState:
                return  # another one was first

    def _remove_hold(self) -> None:
        """Remove the hold on a campaign that ends now: it holds nothing any more. It is removed
        before the end is saved, so that a repeat finds what is left to do.
        """
        if (hold := holds.find(f"campaign:{self.campaign.campaign_id}")) is not None:
            holds.delete(hold)

    def _save(self, planned: CampaignPlan) -> Campaign:
        """Move the campaign as planned, note which report is due, and set when the scheduler tick
        must check it. Returns the stored campaign.
        """
        after = self.campaign
        cause = Cause(self.run.cause_of(Action.SETTLE), reason=planned.reason)
        for event in planned.events:
            after = after.moved(JOB.move(after.state, event, self.now, cause))
        changes: dict[str, Any] = {"stop_reason": after.stop_reason or planned.stop}
        changes["counts"] = _counts(self.campaign, self.records)
        changes["ended_chunks"] = ended_chunks(self.campaign, self.records)
        if planned.places_hold:
            changes["due_report"] = ReportKind.HELD
        elif planned.action is PlannedAction.END:
            changes["due_report"] = ReportKind.FIRST
        if planned.action is PlannedAction.REST and planned.until:
            changes |= {"rests_until": planned.until, "rest_reason": planned.reason}
            changes["check_at"] = planned.until + _OVERDUE
        else:
            changes |= {"rests_until": None, "rest_reason": ""}
            changes["check_at"] = self._pass_check(after)
        after = replace(after, **changes)
        if after == self.campaign:
            return after
        return campaigns.write(self.campaign, replace(after, version=self.campaign.version + 1))

    def _pass_check(self, campaign: Campaign) -> datetime:
        """When the tick must check a campaign that runs or is reported. It changes rarely, to save
        writes.
        """
        stored = campaign.check_at
        if stored and self.now + _PASS_CHECK / 2 <= stored <= self.now + _PASS_CHECK:
            return stored
        return self.now + _PASS_CHECK

    def _rest(self, planned: CampaignPlan) -> NextStep:
        run = self.run.next_pass()
        assert planned.until is not None
        return NextStep(
            self.campaign.campaign_id,
            "rest",
            run=run,
            until=planned.until,
            execution_name=_execution(self.campaign, run),
        )

    def _pass(self, planned: CampaignPlan) -> NextStep:
        run = self.run.next_pass()
        settings, begins = self.context.settings, self._begins()
        opening = self.campaign.openings.opening_at(begins)
        if planned.grant and opening is None:
            return self._rest(replace(planned, until=begins))
        until = min(begins + SLICE, opening.end) if opening else begins + SLICE
        chunk_shares = self._pass_shares(planned, begins, until)
        if not chunk_shares:  # the counts say that something waits, but no chunk has it
            return self._rest(replace(planned, until=self.now + SLICE))
        key = rows.pass_key(self.campaign.campaign_id, run.name, run.number)
        found = rows.chunks_of(self.context.s3, settings, self.campaign.campaign_id, chunk_shares)
        index = [replace(chunk, share=chunk_shares[chunk.number]) for chunk in found]
        is_last = self.run.number % PASSES_PER_EXECUTION == 0
        return NextStep(
            self.campaign.campaign_id,
            "continue_as_new" if is_last else "next_pass",
            run=run,
            until=begins,
            index_bucket=settings.work_bucket,
            index_key=key,
            index_version=rows.put_index(self.context.s3, settings, key, index),
            max_concurrency=self._workers,
            execution_name=_execution(self.campaign, run),
        )

    def _begins(self) -> datetime:
        """When the next pass begins: when the slice of the last one is over. So its grant is used
        once, and a pass that found all targets busy is not repeated at once.
        """
        return max(self.now, self.pass_began + SLICE) if self.pass_began else self.now

    @property
    def _workers(self) -> int:
        """How many workers a campaign has at the same time, for its `at_once` slots."""
        wanted = -(-self.at_once // CONCURRENT_JOBS)
        return max(min(wanted, self.context.settings.max_concurrency), 1)

    def _pass_shares(
        self, planned: CampaignPlan, begins: datetime, until: datetime
    ) -> dict[int, PassShare]:
        """What each chunk may do in the next pass.

        Each worker runs one chunk after the other. So the starts of its chunks follow each other,
        and all workers together start the grant evenly.
        """
        rules = self.campaign.rules
        grants = self._grants(planned.grant, until)
        if rules.rollout:
            grants = paced(grants, planned.grant)
        is_stopping = planned.state is JobState.STOPPING
        begun = self._chunks_to_continue(until, is_stopping=is_stopping)
        numbers = sorted({*grants, *begun})
        workers = max(min(self._workers, len(numbers)), 1)
        slots = self._slots(numbers, grants, workers, until)
        active = [number for number in numbers if slots[number]]
        is_spread = rules.rollout is not None
        turns = -(-len(active) // workers) if is_spread else 1
        turn = (until - begins) / max(turns, 1)
        kept_slots, found = Counter(self._kept_slots()), {}
        for index, number in enumerate(active):
            since = begins + (index // workers) * turn if is_spread else begins
            found[number] = PassShare(
                grants.get(number, 0),
                slots[number],
                since,
                min(since + turn, until),
                is_spread,
                kept_slots.total() - kept_slots[number],
            )
        for number in numbers:  # to end tasks, but to run none
            if not slots[number] and (is_stopping or self._has_ending(number)):
                found[number] = PassShare(0, 0, begins, until, is_spread)
        return found

    def _slots(
        self, numbers: Sequence[int], grants: Container[int], workers: int, until: datetime
    ) -> dict[int, int]:
        """How many attempts of each chunk may run at the same time."""
        request = SlotRequest(
            numbers,
            bound=[number for number in numbers if self._has_due_bound(number, until)],
            granted=[number for number in numbers if number in grants],
            begun=Counter(self._running()) + Counter(self._kept_slots()),
        )
        return shared_slots(request, self.at_once, workers, CONCURRENT_JOBS, self.run.number)

    def _has_due_bound(self, number: int, until: datetime) -> bool:
        """Whether a chunk has an attempt between bound steps that continues by `until`."""
        record = self.records.get(number)
        summary = TaskSummary.of_document(record.summary if record else {})
        return summary.bound_at is not None and summary.bound_at <= until

    def _has_ending(self, number: int) -> bool:
        """Whether tasks of a chunk are cancelled or replaced."""
        record = self.records.get(number)
        return record is not None and bool(record.cancels or record.replacements)

    def _running(self) -> dict[int, int]:
        """How many attempts of each chunk run, for workers of an execution before this one."""
        return {
            number: record.counts.get(JobState.RUNNING, 0)
            for number, record in self.records.items()
            if not self._lost(record, self.now)
        }

    def _kept_slots(self) -> dict[int, int]:
        """How many attempts of each chunk have begun and continue later."""
        summaries = {
            number: TaskSummary.of_document(record.summary)
            for number, record in self.records.items()
        }
        return {number: each.begun for number, each in summaries.items() if each.begun}

    def _lost(self, record: ChunkRecord | None, at: datetime) -> int:
        """How many attempts of a chunk have lost their worker by `at`."""
        since = TaskSummary.of_document(record.summary).running_since if record else None
        if record is None or since is None or since + CLAIM_FOR > at:
            return 0
        return record.counts.get(JobState.RUNNING, 0)

    def _grants(self, grant: int, until: datetime) -> dict[int, int]:
        """A grant divided among chunks: tasks without an attempt first, as in the simulation; then
        those that wait for a retry, the longest first.
        """
        untouched, due = self._may_start(until)
        workers = min(self._workers, max(-(-grant // CONCURRENT_JOBS), 1))
        first = shares(grant, untouched, workers)
        found, left = dict(first), grant - sum(first.values())
        for number in sorted(due, key=lambda each: due[each]):
            share = min(left, due[number][1])
            if share:
                found[number] = found.get(number, 0) + share
                left -= share
        return found

    def _may_start(self, until: datetime) -> tuple[dict[int, int], dict[int, tuple[datetime, int]]]:
        """How many tasks of each chunk have no attempt; and since when how many wait, that may
        start by `until`, those of a lost worker included.
        """
        untouched: dict[int, int] = {}
        due: dict[int, tuple[datetime, int]] = {}
        for number in range(self.campaign.ended_chunks.number, self.campaign.chunk_count):
            record = self.records.get(number)
            recorded = record.recorded if record else 0
            untouched[number] = self.campaign.task_count(number) - recorded
            summary = TaskSummary.of_document(record.summary if record else {})
            waits = summary.next_at is not None and summary.next_at <= until
            since = summary.running_since
            lost = self._lost(record, until)
            times = [
                at for at, counts in ((summary.next_at, waits), (since, lost)) if at and counts
            ]
            if times:
                due[number] = min(times), (summary.due_by(until) if waits else 0) + lost
        return untouched, due

    def _chunks_to_continue(self, until: datetime, *, is_stopping: bool) -> list[int]:
        """The chunks with attempts to continue, or with tasks to end if it is stopping."""
        found = []
        for number, record in self.records.items():
            summary = TaskSummary.of_document(record.summary)
            has_lost = summary.running_since is not None
            must_end = is_stopping and (summary.waiting or summary.bound)
            is_due = self._has_due_bound(number, until)
            if is_due or has_lost or must_end or self._has_ending(number):
                found.append(number)
        return found


def _execution(campaign: Campaign, run: ExecutionRun) -> str:
    """The name of the execution that continues a campaign from a pass on."""
    return f"{campaign.campaign_id}-{MAIN_RUN}-p{run.number}"


def restart(before: Campaign, after: Campaign, executions: Executions, now: datetime) -> Campaign:
    """Write `after` over `before`, and start an execution that settles it now. The one before does
    not settle it any more.

    If the execution is not started, because this function dies, the scheduler tick starts it.

    Raises:
        StaleState: the campaign changed meanwhile.
    """
    after = restarted(replace(after, generation=before.generation, version=before.version), now)
    campaigns.write(before, after)
    start_execution(after, executions)
    return after


def restarted(campaign: Campaign, now: datetime) -> Campaign:
    """The campaign as it is written before a new execution of it is started."""
    return replace(
        campaign,
        generation=campaign.generation + 1,
        version=campaign.version + 1,
        check_at=now + _OVERDUE,
    )


def start_execution(campaign: Campaign, executions: Executions) -> None:
    """Start the first execution of a campaign's generation, unless it has been started."""
    executions.start_batch(campaign.campaign_id, "settle", MAIN_RUN, campaign.generation)


def settle_job(address: JobAddress, run: ExecutionRun, _context: SettleContext) -> NextStep:
    """End an execution of a single task; there is none, as passes run all tasks."""
    return NextStep(address.origin_id, "end", run=run, address=address)
