"""The whole access table, sent through the services themselves: every event by every role."""

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from itertools import count
from typing import Any

import boto3
import pytest

from jobyard import services
from jobyard.domain.access import ACCESS, MEMBER, OWNER, RELATIONS, ROLES, SUBMITTER, listed
from jobyard.domain.batches.operation import Filter
from jobyard.domain.collection import Collection
from jobyard.domain.datasets.extent import parse_extent
from jobyard.domain.datasets.load import UPLOADS_PREFIX
from jobyard.domain.edits.child import FailureType
from jobyard.domain.edits.edit_job import EditJob
from jobyard.domain.edits.upload import upload_digest
from jobyard.domain.errors import Forbidden, NotFound
from jobyard.domain.hold import Hold
from jobyard.domain.jobs.job import JOB, Attempt, JobAddress, JobRecord, JobState, new_job
from jobyard.domain.lifecycle import MACHINE, Cause
from jobyard.domain.lifecycles import LIFECYCLES
from jobyard.domain.rates import RateRange
from jobyard.domain.schedules.calendar import Calendar
from jobyard.domain.schedules.rule_parsing import recurrence_of
from jobyard.domain.schedules.schedule import Policy
from jobyard.domain.upload_keys import upload_key
from jobyard.domain.webhooks import WebhookEvent
from jobyard.services import calendars, collections, dead_letters, holds, webhooks
from jobyard.services.access import authorize
from jobyard.services.batches import operations
from jobyard.services.batches.commands import send_batch_event
from jobyard.services.batches.submissions import Submission, submit
from jobyard.services.campaigns import commands as campaigns
from jobyard.services.campaigns.uploaded_targets import targets_upload
from jobyard.services.context import Actor, CommandContext, QueryContext
from jobyard.services.datasets import commands as dataset_commands
from jobyard.services.datasets.commands import DatasetEdit, NewDataset
from jobyard.services.edits import (
    allocations,
    attachments,
    claims,
    proposals,
    publications,
    reviews,
    uploads,
)
from jobyard.services.edits import settings as edit_settings
from jobyard.services.edits import teams as edit_teams
from jobyard.services.jobs.commands import send_job_event
from jobyard.services.queries import activity as activity_queries
from jobyard.services.queries import batches as batch_queries
from jobyard.services.queries import calendars as calendar_queries
from jobyard.services.queries import campaigns as campaign_queries
from jobyard.services.queries import collections as collection_queries
from jobyard.services.queries import costs as cost_queries
from jobyard.services.queries import datasets as dataset_queries
from jobyard.services.queries import edit_details, job_logs
from jobyard.services.queries import edits as edit_queries
from jobyard.services.queries import holds as hold_queries
from jobyard.services.queries import jobs as job_queries
from jobyard.services.queries import rates as rate_queries
from jobyard.services.queries import schedules as schedule_queries
from jobyard.services.queries import system as system_queries
from jobyard.services.reports import commands as report_commands
from jobyard.services.schedules import commands as schedules
from jobyard.services.webhooks import WebhookEdit, WebhookSettings
from jobyard.store import calendars as stored_calendars
from jobyard.store import collections as stored_collections
from jobyard.store import edits
from jobyard.store import holds as stored_holds
from jobyard.store import jobs as stored_jobs
from jobyard.store import webhooks as stored_webhooks
from tests.functions.api.api_client import Api
from tests.functions.api.batch_records import (
    HOUR_AGO,
    a_batch,
    a_delivery,
    a_job,
    a_report,
    a_report_of,
)
from tests.functions.api.campaign_requests import an_ended_campaign, campaign_request
from tests.functions.api.dead_letter_messages import manifest_event, put_letter
from tests.functions.api.schedule_records import DAILY, a_schedule, sweep, work
from tests.open_collections import an_open_collection
from tests.people import sub_of
from tests.services.edits.edit_records import (
    CHANGES as EDITED,
)
from tests.services.edits.edit_records import (
    a_dataset,
    a_stored_child,
    a_stored_job,
    a_team,
    member,
    requested,
    sent_attachments,
)

RULE = recurrence_of(DAILY)
FAILED = Filter(JobState.FAILED)
_numbers = count(1)
REFUSALS = (Forbidden, NotFound)  # NotFound for those who may not see it


@dataclass
class Caller:
    """The arguments of requests to services."""

    api: Api

    def command(self, who: Actor) -> CommandContext:
        app = _app()
        key = f"{who.name} at {self.api.tick()}"
        return CommandContext(
            app.settings,
            app.s3,
            app.machines,
            self.api.tick,
            who,
            key,
            "why",
            account_of=app.account_of,
            signing_key=app.cursor_key,
        )

    def admin(self) -> CommandContext:
        """The context for a test's set-up."""
        return self.command(actor("admin"))

    def query(self, who: Actor) -> QueryContext:
        app = _app()
        return QueryContext(app.settings, app.s3, who, self.api.tick())


def _app() -> Any:
    from api.handler import CONTEXT

    return CONTEXT


def actor(role: str, sub: str = "") -> Actor:
    """A person with a role ("": with none), who owns nothing and submitted nothing."""
    return Actor(sub or sub_of("passer-by"), "passer-by", frozenset({role} if role else ()))


def an_uploaded_dataset(admin: CommandContext) -> NewDataset:
    """A dataset to load from a file that the passer-by uploaded."""
    key = upload_key(UPLOADS_PREFIX, sub_of("passer-by"), "key", "roads.geojson")
    admin.s3.put_object(Bucket=admin.settings.intake_bucket, Key=key, Body=b"{}")
    return NewDataset("roads", key)


def another_persons_batch(state: str = "processing", *, opened: bool = True) -> str:
    whose = {"submitter": "somebody else", "submitter_sub": sub_of("somebody else")}
    if not opened:
        return a_batch(state, **whose).batch_id
    batch = a_batch(state, **whose, entries=5, last_report=1)
    a_job(batch, 0, "failed")
    a_job(batch, 2, "held")
    return batch.batch_id


def a_reported_batch() -> str:
    batch = a_batch("failed", submitter="somebody else", submitter_sub=sub_of("somebody else"))
    a_report(batch)
    return batch.batch_id


def closed_collection() -> str:
    """A collection whose only group is no role."""
    closed = replace(an_open_collection("closed"), groups=frozenset({"students"}))
    stored = stored_collections.find("closed")
    if stored is None:
        stored_collections.put(closed)
    else:
        stored_collections.put(replace(closed, version=stored.version + 1))
    return "closed"


def a_calendar(admin: CommandContext) -> str:
    calendar = Calendar("holidays")
    if stored_calendars.find_any("holidays") is None:
        calendars.put(calendar, None, admin)
    return "holidays"


def a_hold() -> str:
    held = Hold("everything", "an-operator", "moving", HOUR_AGO)
    stored_holds.put(held, seen=stored_holds.find("everything"))
    return "everything"


def no_hold() -> str:
    found = stored_holds.find("everything")
    if found:
        stored_holds.delete(found)
    return "everything"


def suspended(admin: CommandContext) -> str:
    schedule_id = a_schedule().schedule_id
    schedules.suspend(schedule_id, None, admin)
    return schedule_id


def job_of_schedule(admin: CommandContext, *, failed: bool = False) -> str:
    run = schedules.run_now(a_schedule().schedule_id, admin)
    if failed:
        work(run.address, "failed", run.scheduled_for, timedelta(seconds=1))
    return run.address.job_id


def a_campaign(admin: CommandContext) -> str:
    return campaigns.start(campaign_request(), admin).campaign.campaign_id


HOOK = WebhookSettings("https://hooks.example.org/", (WebhookEvent.BATCH_ENDED,))


def a_webhook(admin: CommandContext) -> str:
    stored, _ = stored_webhooks.list_all()
    if all(each.is_deleted for each in stored):
        webhooks.create("theirs", HOOK, admin)
    return "theirs"


def a_failed_delivery(admin: CommandContext) -> tuple[str, str]:
    name = a_webhook(admin)
    return name, a_delivery(a_batch("failed").batch_id, name)


def a_reported_schedule() -> str:
    schedule_id = a_schedule().schedule_id
    a_report_of(schedule_id)
    return schedule_id


def a_reported_campaign(admin: CommandContext) -> str:
    campaign_id = a_campaign(admin)
    a_report_of(campaign_id)
    return campaign_id


def a_paused_campaign(admin: CommandContext) -> str:
    campaign_id = a_campaign(admin)
    campaigns.pause(campaign_id, None, admin)
    return campaign_id


def a_tried_task(admin: CommandContext) -> str:
    """A task with an attempt."""
    task = _tried_task(admin)
    stored_jobs.item_of(task).save()
    return task.address.job_id


def a_failed_task(admin: CommandContext) -> str:
    """A task that has failed."""
    task = _tried_task(admin)
    failed = task.moved(JOB.move(task.state, "fail", HOUR_AGO, Cause("main:1:0:1")))
    stored_jobs.item_of(failed).save()
    return task.address.job_id


def _tried_task(admin: CommandContext) -> JobRecord:
    task = new_job(JobAddress(a_campaign(admin), 0, 0), HOUR_AGO)
    started = task.moved(JOB.move(task.state, "start", HOUR_AGO, Cause("main:1:0:1")))
    failed = Attempt(HOUR_AGO, HOUR_AGO, "reach", "DEVICE_OFFLINE", "no answer")
    return replace(started, attempts=(failed,))


@pytest.fixture
def caller(api: Api) -> Caller:
    return Caller(api)


def _prepare_edits() -> None:
    """A team whose worker and reviewer is the passer-by, and a dataset that its jobs are on."""
    both = member("passer-by", reviewer=True)
    a_team("north", both, member("anna", reviewer=True), member("zoe", worker=False, reviewer=True))
    a_dataset(border={}, look={"read_only": True})


def _with(state: str, worker: str, *more: Any) -> tuple[Any, ...]:
    """The id of an edit job, and further arguments without the admin's context."""
    _prepare_edits()
    return (a_stored_job(state, worker).edit_id, *more[:-1])


def _of_type(edit_type: str, state: str, worker: str) -> str:
    _prepare_edits()
    return a_stored_job(state, worker, edit_type=edit_type).edit_id


def _child(
    failure_type: FailureType, state: str, worker: str, *more: Any, team: str = "north"
) -> tuple[Any, ...]:
    _prepare_edits()
    return (a_stored_child(failure_type, state, worker, team=team).child_id, *more[:-1])


def _sent_again(make: Callable[..., Any], state: str) -> tuple[Any, ...]:
    """An upload that was confirmed before."""
    _prepare_edits()
    job = make(state, "passer-by")
    job_id = getattr(job, "edit_id", None) or job.child_id
    package, digest = job.package.package_id, "d" * 64
    changes = replace(EDITED, source=upload_digest(job_id, 1, package, digest))
    field = "workspace" if isinstance(job, EditJob) else "edits"
    edits.write(job, replace(job, version=job.version + 1, **{field: changes}))
    key = f"edits/{job_id}/uploads/1/{sub_of('passer-by')}/r/x.geojson"
    return (job_id, uploads.UploadRequest(key, 1, package, digest))


def _blocked() -> str:
    _prepare_edits()
    return a_stored_job("blocked", attachments=requested(sends=1)).edit_id


def _proposal() -> proposals.Proposal:
    _prepare_edits()
    return proposals.Proposal("counties", parse_extent({"box": [-122, 37, -121, 38]}))


Prepared = Callable[[CommandContext], tuple[Any, ...]]  # given an admin's context
# Each change: its service, and the arguments before the context.
CHANGES: dict[tuple[str, str], tuple[Callable[..., Any], Prepared]] = {
    ("dataset", "load"): (dataset_commands.start_load, lambda admin: (an_uploaded_dataset(admin),)),
    ("dataset", "edit"): (
        dataset_commands.edit,
        lambda admin: (a_dataset().name, DatasetEdit("Counties")),
    ),
    ("dataset", "delete"): (
        dataset_commands.delete,
        lambda admin: (a_dataset(f"old-{next(_numbers)}").name,),
    ),
    ("dataset", "export"): (dataset_commands.start_export, lambda admin: (a_dataset().name,)),
    ("batch", "submit"): (
        submit,
        lambda admin: (Submission("maps", "may.checkm", "deposit", "", (), {}, ""),),
    ),
    ("batch of http", "submit"): (
        submit,
        lambda admin: (Submission("maps", "may.csv", "http", "", (), {}, ""),),
    ),
    ("batch of lambda", "submit"): (
        submit,
        lambda admin: (Submission("maps", "may.csv", "lambda", "", (), {"function": "f"}, ""),),
    ),
    ("batch", "release"): (
        send_batch_event,
        lambda admin: (another_persons_batch("held", opened=False), "release"),
    ),
    ("batch", "cancel"): (send_batch_event, lambda admin: (another_persons_batch(), "cancel")),
    ("batch", "delete"): (
        send_batch_event,
        lambda admin: (another_persons_batch("held", opened=False), "delete"),
    ),
    ("batch", "update_reporting"): (
        send_batch_event,
        lambda admin: (another_persons_batch("failed"), "update_reporting"),
    ),
    ("job", "hold"): (send_job_event, lambda admin: (f"{another_persons_batch()}.0.1", "hold")),
    ("job", "release"): (
        send_job_event,
        lambda admin: (f"{another_persons_batch()}.1.0", "release"),
    ),
    ("job", "force_fail"): (
        send_job_event,
        lambda admin: (f"{another_persons_batch()}.0.1", "force_fail"),
    ),
    ("job", "cancel"): (send_job_event, lambda admin: (f"{another_persons_batch()}.0.1", "cancel")),
    ("job", "requeue"): (
        send_job_event,
        lambda admin: (f"{another_persons_batch()}.0.0", "requeue"),
    ),
    ("job", "delete"): (send_job_event, lambda admin: (f"{another_persons_batch()}.0.0", "delete")),
    ("schedule job", "force_fail"): (
        send_job_event,
        lambda admin: (job_of_schedule(admin), "force_fail"),
    ),
    ("schedule job", "cancel"): (send_job_event, lambda admin: (job_of_schedule(admin), "cancel")),
    ("schedule job", "requeue"): (
        send_job_event,
        lambda admin: (job_of_schedule(admin, failed=True), "requeue"),
    ),
    ("schedule job", "delete"): (
        send_job_event,
        lambda admin: (job_of_schedule(admin, failed=True), "delete"),
    ),
    ("schedule", "create"): (
        schedules.create,
        lambda admin: (schedules.ScheduleSpec("a sweep", "sweep", RULE, Policy(), sweep()),),
    ),
    ("schedule", "edit"): (
        schedules.edit,
        lambda admin: (a_schedule().schedule_id, schedules.ScheduleEdit(title="another")),
    ),
    ("schedule", "suspend"): (schedules.suspend, lambda admin: (a_schedule().schedule_id, None)),
    ("schedule", "resume"): (schedules.resume, lambda admin: (suspended(admin),)),
    ("schedule", "run_now"): (schedules.run_now, lambda admin: (a_schedule().schedule_id,)),
    ("schedule", "delete"): (schedules.delete, lambda admin: (a_schedule().schedule_id,)),
    ("campaign", "start"): (campaigns.start, lambda admin: (campaign_request(),)),
    ("campaign", "pause"): (campaigns.pause, lambda admin: (a_campaign(admin), None)),
    ("campaign", "resume"): (campaigns.resume, lambda admin: (a_paused_campaign(admin),)),
    ("campaign", "cancel"): (campaigns.cancel, lambda admin: (a_campaign(admin),)),
    ("campaign", "force"): (campaigns.force, lambda admin: (a_campaign(admin),)),
    ("campaign", "change"): (campaigns.change, lambda admin: (a_campaign(admin), {"at_once": 7})),
    ("campaign", "retry"): (
        campaigns.retry,
        lambda admin: (an_ended_campaign(a_campaign(admin)), {}),
    ),
    ("task", "cancel"): (send_job_event, lambda admin: (f"{a_campaign(admin)}.0.0", "cancel")),
    ("task", "requeue"): (send_job_event, lambda admin: (a_failed_task(admin), "requeue")),
    ("webhook", "create"): (webhooks.create, lambda admin: ("ours", HOOK)),
    ("webhook", "update"): (
        webhooks.update,
        lambda admin: (a_webhook(admin), WebhookEdit(collections=("maps",))),
    ),
    ("webhook", "rotate_secret"): (webhooks.rotate_secret, lambda admin: (a_webhook(admin),)),
    ("webhook", "disable"): (webhooks.disable, lambda admin: (a_webhook(admin),)),
    ("webhook", "enable"): (webhooks.enable, lambda admin: (a_webhook(admin),)),
    ("webhook", "delete"): (webhooks.delete, lambda admin: (a_webhook(admin),)),
    ("webhook", "redeliver"): (webhooks.redeliver, a_failed_delivery),
    ("calendar", "put"): (calendars.put, lambda admin: (Calendar("holidays"), None)),
    ("calendar", "delete"): (calendars.delete, lambda admin: (a_calendar(admin), None)),
    ("collection", "create"): (
        collections.create,
        lambda admin: (f"new-{len(list(_names()))}", collections.CollectionEdit(), (), ()),
    ),
    ("collection", "edit"): (
        collections.edit,
        lambda admin: (closed_collection(), collections.CollectionEdit(accepts_drops=True)),
    ),
    ("collection", "add_naan"): (
        collections.edit,
        lambda admin: (closed_collection(), collections.CollectionEdit(naans=("13030",))),
    ),
    ("collection", "allow"): (
        collections.allow,
        lambda admin: (closed_collection(), (), ["readers"]),
    ),
    ("collection", "deny"): (
        collections.deny,
        lambda admin: (closed_collection(), (), ["students"]),
    ),
    ("collection", "deposit"): (
        submit,
        lambda admin: (Submission(closed_collection(), "a.checkm", "deposit", "", (), {}, ""),),
    ),
    ("batch", "resend_report"): (
        report_commands.resend,
        lambda admin: (a_reported_batch(), 1),
    ),
    ("schedule", "resend_report"): (
        report_commands.resend,
        lambda admin: (a_reported_schedule(), 1),
    ),
    ("campaign", "resend_report"): (
        report_commands.resend,
        lambda admin: (a_reported_campaign(admin), 1),
    ),
    ("dead letter", "redrive"): (
        dead_letters.redrive,
        lambda admin: (put_letter(admin.settings, manifest_event()), boto3.client("sqs")),
    ),
    ("dead letter", "discard"): (
        dead_letters.discard,
        lambda admin: (put_letter(admin.settings, manifest_event()), boto3.client("sqs")),
    ),
    **{
        ("edit", event): (service, partial(_with, state, worker, *more))
        for event, service, state, worker, *more in (
            ("edit", proposals.edit, "proposed", "", proposals.ProposalEdit({"name": "x"})),
            ("delete", proposals.delete, "proposed", ""),
            ("allocate", allocations.allocate, "proposed", "", "north", ""),
            ("revoke", allocations.revoke, "downloaded", "anna"),
            ("release", allocations.release, "prepared", "anna"),
            ("abandon", allocations.abandon, "prepared", "anna"),
            ("retry", allocations.retry, "abandoned", ""),
            ("archive", allocations.archive, "completed", ""),
            ("activate", claims.activate, "allocated", ""),
            ("download", claims.download, "prepared", "passer-by"),
            ("relinquish", claims.relinquish, "prepared", "passer-by"),
            ("publish_again", publications.publish_again, "committed", "anna"),
        )
    },
    ("edit", "propose"): (proposals.propose, lambda admin: (_proposal(),)),
    ("edit", "upload"): (uploads.upload, lambda admin: _sent_again(a_stored_job, "uploaded")),
    ("edit", "finish"): (
        claims.finish,
        lambda admin: (_of_type("look", "downloaded", "passer-by"),),
    ),
    **{
        ("fixup", event): (service, partial(_child, FailureType.VALIDATION, state, worker, *more))
        for event, service, state, worker, *more in (
            ("allocate", allocations.allocate_child, "allocated", "", ""),
            ("activate", claims.activate, "allocated", ""),
            ("download", claims.download, "prepared", "passer-by"),
            ("relinquish", claims.relinquish, "prepared", "passer-by"),
        )
    },
    ("fixup", "upload"): (
        uploads.upload,
        lambda admin: _sent_again(partial(a_stored_child, FailureType.VALIDATION), "uploaded"),
    ),
    **{
        ("review", event): (
            service,
            partial(_child, FailureType.QUARANTINE_REVIEW, state, worker, *more),
        )
        for event, service, state, worker, *more in (
            ("allocate", allocations.allocate_child, "allocated", "", ""),
            ("activate", claims.activate, "allocated", ""),
            ("download", claims.download, "prepared", "passer-by"),
            ("relinquish", claims.relinquish, "prepared", "passer-by"),
            ("approve", reviews.approve, "downloaded", "passer-by", ""),
            ("require_corrections", reviews.require_corrections, "downloaded", "passer-by", "no"),
            ("discard", reviews.discard, "downloaded", "passer-by", "no"),
        )
    },
    ("review", "upload"): (
        uploads.upload,
        lambda admin: _sent_again(
            partial(a_stored_child, FailureType.QUARANTINE_REVIEW), "downloaded"
        ),
    ),
    ("attachment", "request"): (
        attachments.request,
        partial(_with, "proposed", "", "Ines", "ines@example.org", "the survey"),
    ),
    ("attachment", "resend"): (attachments.resend, lambda admin: (_blocked(), 1)),
    ("attachment", "answer"): (attachments.answer, lambda admin: (_blocked(), 1, "")),
    ("edit settings", "put"): (
        edit_settings.put_settings,
        lambda admin: (a_dataset().name, "border", {"quarantine": False}),
    ),
    ("edit settings", "delete"): (
        edit_settings.delete_settings,
        lambda admin: (a_dataset(border={}).name, "border"),
    ),
    ("team", "put"): (
        edit_teams.put,
        lambda admin: ("new", edit_teams.TeamEdit("New", ["depositor"], ["depositor"])),
    ),
    ("team", "delete"): (edit_teams.delete, lambda admin: (a_team("idle").name,)),
    ("hold", "place"): (holds.place_hold, lambda admin: (no_hold(), None)),
    ("hold", "lift"): (holds.lift_hold, lambda admin: (a_hold(),)),
}
# Parts of changes, for which the services that have them are tried.
PARTS_OF_CHANGES = {
    *("require_reason", "record", "change_job", "requested_move", "caused_move"),
    *("check_impartial", "abandoned_child"),
    *("request_notices", "token_of", "check_recipients", "refused_recipients"),
    *("upload_choices", "digest_of", "queue_again"),
    "send_event",  # resumes, cancels or forces a campaign
}
# Who has the link of a custodian may do this, and needs no role; see tests/services/edits.
BY_LINK = {"requested_by_link", "form_by_link", "upload_by_link", "decline_by_link"}
# Other services that make such a change.
MORE_CHANGES: list[tuple[tuple[str, str], Callable[..., Any], Prepared]] = [
    (
        ("dataset", "load"),
        dataset_commands.file_form,
        lambda admin: ("counties.geojson",),
    ),
    (("edit", "propose"), proposals.copy, lambda admin: (_blocked(),)),
    (
        ("edit", "archive"),
        allocations.archive_many,
        lambda admin: ([a_stored_job("completed").edit_id],),
    ),
    (
        ("edit", "archive"),
        allocations.archive_completed,
        lambda admin: ("counties", timedelta(days=30)),
    ),
    (
        ("edit", "upload"),
        uploads.upload_form,
        lambda admin: (_with("downloaded", "passer-by", admin)[0], 1, "changes.geojson"),
    ),
    (
        ("attachment", "answer"),
        attachments.answer_form,
        lambda admin: (_blocked(), 1, "survey.pdf"),
    ),
    (("campaign", "start"), campaigns.preview, lambda admin: (campaign_request(),)),
    (
        ("campaign", "retry"),
        campaigns.preview_retry,
        lambda admin: (an_ended_campaign(a_campaign(admin)), {}),
    ),
    (("campaign", "start"), targets_upload, lambda admin: ("gateways.csv",)),
    (
        ("job", "requeue"),
        operations.change_jobs,
        lambda admin: (another_persons_batch("failed"), "requeue", FAILED),
    ),
    (
        ("job", "requeue"),
        operations.start_operation,
        lambda admin: (another_persons_batch("failed"), "requeue", FAILED),
    ),
    (
        ("job", "requeue"),
        operations.preview_operation,
        lambda admin: (another_persons_batch("failed"), "requeue", FAILED),
    ),
]
READS: dict[tuple[str, str], Callable[[QueryContext, CommandContext], Any]] = {
    ("dataset", "view"): lambda context, admin: dataset_queries.dataset(a_dataset().name, context),
    ("batch", "list"): lambda context, admin: batch_queries.list_batches(
        context, state="", collection="", after={}, limit=1
    ),
    ("batch", "view"): lambda context, admin: batch_queries.batch(another_persons_batch(), context),
    ("job", "view"): lambda context, admin: job_queries.job(
        f"{another_persons_batch()}.0.0", context
    ),
    ("job", "view_log"): lambda context, admin: job_logs.attempt_log(
        f"{another_persons_batch()}.0.0", None, boto3.client("logs"), context
    ),
    ("schedule job", "view"): lambda context, admin: job_queries.job(
        job_of_schedule(admin), context
    ),
    ("schedule job", "view_log"): lambda context, admin: job_logs.attempt_log(
        job_of_schedule(admin, failed=True), None, boto3.client("logs"), context
    ),
    ("schedule", "view"): lambda context, admin: schedule_queries.schedule(
        a_schedule().schedule_id, context
    ),
    ("schedule", "preview"): lambda context, admin: schedule_queries.list_times(
        RULE, HOUR_AGO, 1, "", context
    ),
    ("campaign", "view"): lambda context, admin: campaign_queries.campaign(
        a_campaign(admin), context
    ),
    ("task", "view"): lambda context, admin: job_queries.job(f"{a_campaign(admin)}.0.0", context),
    ("task", "view_log"): lambda context, admin: job_logs.attempt_log(
        a_tried_task(admin), None, boto3.client("logs"), context
    ),
    ("webhook", "view"): lambda context, admin: webhooks.list_webhooks(context),
    ("calendar", "view"): lambda context, admin: calendar_queries.calendar(
        a_calendar(admin), context
    ),
    ("collection", "view"): lambda context, admin: collection_queries.collection(
        closed_collection(), context
    ),
    ("activity", "view"): lambda who, admin: activity_queries.recent_activity(who, limit=1),
    ("rates", "view"): lambda who, admin: rate_queries.rate_history(RateRange.HOUR, who),
    ("cost", "view"): lambda who, admin: cost_queries.month_cost(who),
    ("alarm", "view"): lambda context, admin: system_queries.list_alarms(
        boto3.client("cloudwatch"), context
    ),
    ("dead letter", "view"): lambda context, admin: dead_letters.list_dead_letters(
        boto3.client("sqs"), context
    ),
    ("hold", "view"): lambda context, admin: hold_queries.hold(a_hold(), context),
    ("edit", "view"): lambda context, admin: edit_queries.edit_job(a_stored_job().edit_id, context),
    ("edit", "view_log"): lambda context, admin: edit_queries.process_log(
        a_stored_job().edit_id, context
    ),
    ("fixup", "view"): lambda context, admin: edit_queries.child_of(
        _child(FailureType.VALIDATION, "allocated", "", team="others")[0], context
    ),
    ("review", "view"): lambda context, admin: edit_queries.child_of(
        _child(FailureType.QUARANTINE_REVIEW, "allocated", "", team="others")[0], context
    ),
    ("worklist", "view"): lambda context, admin: edit_queries.worklist(context),
    ("attachment", "download"): lambda context, admin: edit_details.attachment_link(
        a_stored_job("blocked", attachments=sent_attachments()).edit_id, 1, context
    ),
    ("edit settings", "view"): lambda context, admin: edit_queries.edit_settings(
        a_dataset().name, context
    ),
    ("team", "view"): lambda context, admin: edit_queries.team(a_team("north").name, context),
}


def _names() -> Iterable[Collection]:
    return stored_collections.by_name(after="", limit=100)


def allowed_roles(send: Callable[[Actor], Any]) -> set[str]:
    """The roles that are not refused."""
    allowed = set()
    for role in (*ROLES, ""):
        try:
            send(actor(role))
        except REFUSALS:
            continue
        allowed.add(role)
    return allowed


def test_every_entry_of_the_table_is_tried_here() -> None:
    assert CHANGES.keys() | READS.keys() == ACCESS.keys()


@pytest.mark.parametrize(
    ("entry", "service", "given"),
    [(entry, *change) for entry, change in CHANGES.items()] + MORE_CHANGES,
    ids=lambda value: (
        " ".join(value) if isinstance(value, tuple) else getattr(value, "__name__", "")
    ),
)
def test_a_change_is_made_for_the_roles_in_the_table_and_no_others(
    caller: Caller, entry: tuple[str, str], service: Callable[..., Any], given: Prepared
) -> None:
    unchanged: list[tuple[Any, ...]] = []

    def send(who: Actor) -> None:
        if not unchanged:
            unchanged.append(given(caller.admin()))
        service(*unchanged[0], caller.command(who))
        unchanged.clear()  # only who is refused leaves it to the next

    assert allowed_roles(send) == set(ACCESS[entry]) - RELATIONS


@pytest.mark.parametrize("entry", READS, ids=" ".join)
def test_each_read_is_allowed_to_the_roles_in_the_table_and_no_others(
    caller: Caller, entry: tuple[str, str]
) -> None:
    allowed = allowed_roles(lambda who: READS[entry](caller.query(who), caller.admin()))

    assert allowed == set(ACCESS[entry]) - RELATIONS


def test_every_service_that_changes_something_is_tried_here() -> None:
    tried = {service for service, _ in CHANGES.values()} | {each[1] for each in MORE_CHANGES}
    found = set()
    for module in pkgutil.walk_packages(services.__path__, "jobyard.services."):
        for name, function in inspect.getmembers(
            importlib.import_module(module.name), inspect.isfunction
        ):
            kinds = [each.annotation for each in inspect.signature(function).parameters.values()]
            if CommandContext in kinds and not name.startswith("_"):
                found.add(function)

    assert {each.__name__ for each in found - tried} == PARTS_OF_CHANGES | BY_LINK


def test_its_submitter_sees_a_batch_while_they_may_list_their_own(caller: Caller) -> None:
    batch_id = a_batch(submitter="anna", submitter_sub=sub_of("anna"), entries=1).batch_id
    seen = {
        role
        for role in ("depositor", "planner", "worker", "")
        if _is_shown(
            lambda who: batch_queries.batch(batch_id, who), caller, actor(role, sub_of("anna"))
        )
    }

    assert ACCESS["batch", "view"][0] == ACCESS["job", "view"][0] == SUBMITTER
    assert seen == {"depositor"}


@pytest.mark.parametrize(
    ("role", "name", "may_cancel"),
    [("depositor", "anna", True), ("depositor", "bert", False), ("viewer", "anna", False)],
)
def test_its_submitter_cancels_a_batch_while_they_may_submit(
    caller: Caller, role: str, name: str, may_cancel: bool
) -> None:
    batch = a_batch("processing", submitter="anna", submitter_sub=sub_of("anna"), entries=1)
    who = actor(role, sub_of(name))

    if _is_shown(lambda query: batch_queries.batch(batch.batch_id, query), caller, who):
        shown = batch_queries.batch(batch.batch_id, caller.query(who))
        assert ("cancel" in shown.actions) is may_cancel
    if may_cancel:
        assert send_batch_event(batch.batch_id, "cancel", caller.command(who)).is_cancelled
        return
    with pytest.raises((Forbidden, NotFound)):
        send_batch_event(batch.batch_id, "cancel", caller.command(who))


def test_its_owner_sees_and_changes_a_collection_whatever_their_role(caller: Caller) -> None:
    owner = actor("", sub_of("curator"))
    name = closed_collection()

    assert collection_queries.collection(name, caller.query(owner)).may_edit
    for event in ("edit", "allow", "deny"):
        service, given = CHANGES["collection", event]
        service(*given(caller.admin()), caller.command(owner))
        assert OWNER in ACCESS["collection", event]
    with pytest.raises(Forbidden, match="only an admin may add a NAAN to a collection"):
        collections.edit(name, collections.CollectionEdit(naans=("13030",)), caller.command(owner))


@pytest.mark.parametrize("group", sorted(RELATIONS))
def test_a_group_named_like_a_relation_gives_no_right(caller: Caller, group: str) -> None:
    stranger = actor(group)
    name = closed_collection()

    assert not _is_shown(lambda who: collection_queries.collection(name, who), caller, stranger)
    assert not _is_shown(
        lambda who: batch_queries.batch(another_persons_batch(), who), caller, stranger
    )
    assert not an_open_collection("other").may_deposit(stranger.depositor)


def test_a_refusal_says_who_may_and_what_to_do_instead() -> None:
    with pytest.raises(Forbidden) as refused:
        authorize(actor("viewer"), "batch", "release")
    assert str(refused.value) == (
        "only an operator or an admin may release a batch; ask one of them"
    )

    with pytest.raises(Forbidden, match="only the machine may start a batch"):
        authorize(actor("admin"), "batch", "start")


def test_roles_are_listed_as_in_prose() -> None:
    assert listed(["admin"]) == "an admin"
    assert listed([OWNER, "admin"]) == "its owner or an admin"
    assert listed(ACCESS["batch", "submit"]) == "a depositor, an operator or an admin"


def test_the_senders_of_a_lifecycle_are_those_in_the_table() -> None:
    for name, lifecycle in LIFECYCLES.items():
        for transition in lifecycle.transitions:
            people = tuple(each for each in transition.senders if each != MACHINE)
            assert people in {(), ACCESS.get((name, transition.event), ())}
            assert bool(people) or MACHINE in transition.senders


def test_the_table_names_only_known_roles_and_grants_something_to_each() -> None:
    for roles in ACCESS.values():
        assert roles
        assert set(roles) <= {*ROLES, *RELATIONS}
    assert MEMBER in ACCESS["collection", "deposit"]


def _is_shown(read: Callable[[QueryContext], Any], caller: Caller, who: Actor) -> bool:
    try:
        read(caller.query(who))
    except REFUSALS:
        return False
    return True
