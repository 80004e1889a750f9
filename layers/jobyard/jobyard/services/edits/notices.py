"""Mails about edit jobs: records of the outbox, which are stored with the move they are about."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from jobyard.domain.batches.report import Delivery, DeliveryState, Report, ReportKind
from jobyard.domain.edits.child import ChildJob, FailureType
from jobyard.domain.edits.edit_job import EditJob, EditState
from jobyard.domain.edits.settings import EditSettings
from jobyard.domain.edits.team import Team, TeamMember, User
from jobyard.domain.mail_addresses import addresses, all_addresses
from jobyard.domain.mail_text import MailText, short, time_text
from jobyard.domain.text import clean
from jobyard.services.edits.access import id_of
from jobyard.services.settings import Settings
from jobyard.store import reports, teams, transactions
from jobyard.store.edits import Job

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_PER_VERSION = 100  # notices of one move, at most: one for each custodian, and some
_CONTENT_TYPES = {"mail.txt": "text/plain", "report.html": "text/html"}


@dataclass(frozen=True)
class Notice:
    """A mail to `to`, addresses of people who have to do or to know something."""

    to: tuple[str, ...]
    text: MailText


def notice(
    job: Job, to: Iterable[str], headline: str, facts: Sequence[tuple[str, str]], settings: Settings
) -> list[Notice]:
    """The notice about a job, in a list; none if nobody has a valid address."""
    valid = all_addresses(tuple(each for each in to if each)).valid
    return [Notice(valid, _text(job, headline, facts, settings))] if valid else []


def _text(
    job: Job, headline: str, facts: Sequence[tuple[str, str]], settings: Settings, link: str = ""
) -> MailText:
    if isinstance(job, ChildJob):
        job_id, name, edit_id = job.child_id, job.title, job.parent_id
        more = [("Failure type", job.failure_type.value)]
    else:
        job_id, name, edit_id, more = job.edit_id, job.name, job.edit_id, []
    instance = f" [{settings.instance}]" if settings.instance else ""
    planned = [("Planned end", time_text(job.planned_end))] if job.planned_end else []
    lines = [
        ("Edit job", name),
        ("Id", job_id),
        ("Dataset", job.dataset),
        ("Type", job.edit_type),
        *more,
        ("State", job.state.replace("_", " ")),
        ("Priority", job.priority.value),
        *planned,
        *facts,
    ]
    return MailText(
        clean(f"Jobyard{instance}: {headline} ({short(name)})"),
        "",
        headline,
        [(title, clean(value)) for title, value in lines],
        (),
        [("Link" if link else "Edit job", link or f"{settings.url}/edits/{edit_id}")],
    )


def link_notice(
    job: EditJob,
    to: str,
    headline: str,
    facts: Sequence[tuple[str, str]],
    link: str,
    settings: Settings,
) -> list[Notice]:
    """The notice for a data custodian, with a link of their own. No setting switches it off."""
    return [Notice((to,), _text(job, headline, facts, settings, link))]


def emails_of(members: Iterable[TeamMember]) -> tuple[str, ...]:
    """The addresses of members of a team."""
    return tuple(each.email for each in members if each.email)


def email_in(team: Team, person: User) -> tuple[str, ...]:
    """The address of a person in a team; none if they are no member of it."""
    return emails_of(each for each in team.members if each.user.sub == person.sub)


def emails_of_workers(team: Team) -> tuple[str, ...]:
    """The addresses of the workers of a team."""
    return emails_of(each for each in team.members if each.is_worker)


def emails_of_reviewers(team: Team, authors: Iterable[str]) -> tuple[str, ...]:
    """The addresses of the reviewers of a team who are not `authors` (ids of people)."""
    excluded = set(authors)
    return emails_of(
        each for each in team.members if each.is_reviewer and each.user.sub not in excluded
    )


def outbox_items(
    job: Job, notices: Sequence[Notice], at: datetime, s3: "S3Client", settings: Settings
) -> list[transactions.TransactItem]:
    """Write the texts of mails, and return the items for the transaction that writes `job`.

    The number of a mail follows from the job's version, so a repeat writes the same.
    """
    items = []
    job_id = id_of(job)
    for index, each in enumerate(notices[:_PER_VERSION]):
        seq = job.version * _PER_VERSION + index
        files = {}
        for name, text in (("mail.txt", each.text.as_text()), ("report.html", each.text.as_html())):
            files[name] = f"reports/{job_id}/{seq}/{name}"
            s3.put_object(
                Bucket=settings.work_bucket,
                Key=files[name],
                Body=text.encode(errors="replace"),
                ContentType=f"{_CONTENT_TYPES[name]}; charset=utf-8",
            )
        report = Report(
            batch_id=job_id,
            seq=seq,
            kind=ReportKind.NOTICE,
            created_at=at,
            to=each.to,
            subject=each.text.subject,
            outcome="",
            counts={},
            changed_count=0,
            files=files,
            delivery=Delivery(DeliveryState.QUEUED, at),
        )
        items.append(reports.new_item(report))
    return items


_MADE = {
    FailureType.VALIDATION: "Your edits break rules",
    FailureType.CONFLICT: "Your edits conflict with changes of others",
    FailureType.QUARANTINE_CORRECTIONS: "Corrections of your edits are required",
    FailureType.QUARANTINE_REVIEW: "Edits are to be reviewed",
    FailureType.EMBARGO_REVIEW: "A package is to be reviewed before its worker gets it",
}


def allocation_notices(
    job: EditJob, team: Team, edit_settings: EditSettings, settings: Settings
) -> list[Notice]:
    """The mail to those who may activate a job."""
    if not edit_settings.mails or job.is_batch:
        return []
    to = emails_of_workers(team)
    if job.assignee is not None:
        to = email_in(team, job.assignee)
    return notice(job, to, "An edit job can be activated", [("Team", team.name)], settings)


def child_notices(
    job: EditJob, child: ChildJob, edit_settings: EditSettings, settings: Settings
) -> list[Notice]:
    """The mail about a child that is made: to its worker, or to those who may do it. Reviewers who
    had a part in the changes get none.
    """
    team = teams.find(child.team) if edit_settings.mails else None
    if team is None:
        return []
    if child.worker is not None:
        to = email_in(team, child.worker)
    elif child.failure_type.is_review:
        to = emails_of_reviewers(team, (each.sub for each in (*job.authors, *job.former_authors)))
    else:
        to = emails_of_workers(team)
    return notice(child, to, _MADE[child.failure_type], [("Team", team.name)], settings)


def end_notices(job: EditJob, edit_settings: EditSettings, settings: Settings) -> list[Notice]:
    """The mail about an edit job that is completed, to its planner; about one that has failed, to
    its planner and the operators of the deployment, whatever the settings.
    """
    facts = [("Time spent", f"{job.time_spent_minutes} minutes")]
    if job.state is EditState.FAILED:
        facts = [("Problem", job.problem or "-")]
        to = (job.planner_email, *addresses(settings.mail_to).valid)
        return notice(job, to, "An edit job has failed: read its process log", facts, settings)
    if job.state is EditState.COMPLETED and edit_settings.mails:
        return notice(job, [job.planner_email], "An edit job is completed", facts, settings)
    return []
