"""What needs attention on the home page, in words, and what was not checked for it."""

from datetime import datetime, timedelta

from jobyard.domain.overview import NamedBatch, Overview, SystemHealth, UndeliveredReports
from jobyard.services.queries.overview import FAILED_READ, OWN_READ
from web.report_rows import reports_address
from web.request import PageRequest

_OLD = timedelta(hours=24)  # a batch that has waited longer needs attention
_FAILED = "/batches?state=failed"
_PROBLEM_SCHEDULES = "/job-management?status=problem"


def problems_of(found: Overview, now: datetime) -> list[dict[str, str]]:
    """What is wrong, in words, each with the address where one sees more."""
    problems = _system_problems(found.system) if found.system else []
    problems += _problem_jobs(found)
    refused = found.refused
    if refused and refused.number == 1:
        words, address = refused.filename, f"/batches/{refused.batch_id}"
        problems.append({"words": f"{words} failed as a whole", "address": address})
    elif refused:
        number = _number(refused.number, "batch", is_exact=refused.is_exact)
        problems.append({"words": f"{number} failed as a whole", "address": _FAILED})
    oldest = found.oldest_waiting
    if oldest and now - oldest.submitted_at > _OLD:
        problems.append(
            {
                "words": f"{oldest.filename} has waited for more than a day",
                "address": f"/batches/{oldest.batch_id}",
            }
        )
    if found.undelivered and found.undelivered.reports:
        problems.append(_problem_reports(found.undelivered))
    return problems + _problem_runs(found)


def _system_problems(system: SystemHealth) -> list[dict[str, str]]:
    """What is wrong with the system itself."""
    problems = [*(system.alarms or ())]
    if system.more_alarms:
        problems.append(_number(system.more_alarms, "more alarm"))
    if system.dead_letters:
        problems.append(f"{_number(system.dead_letters, 'event')} could not be delivered")
    if system.alarms is None:
        problems.append("CloudWatch does not answer now, so the alarms are not known")
    if system.dead_letters is None:
        problems.append("SQS does not answer now, so the dead letters are not known")
    return [{"words": each, "address": "/system"} for each in problems]


def _problem_jobs(found: Overview) -> list[dict[str, str]]:
    """That jobs failed, with the address of these jobs, or of the list of their batches."""
    if not found.failing:
        return []
    is_exact = found.has_all_failures
    jobs = _number(found.failed_jobs, "failed job", is_exact=is_exact)
    batches = _number(len(found.failing), "batch", is_exact=is_exact)
    is_one = is_exact and len(found.failing) == 1
    address = failed_jobs_of(found.failing[0]) if is_one else "/failures"
    return [{"words": f"{jobs} in {batches}", "address": address}]


def failed_jobs_of(batch: NamedBatch, code: str = "") -> str:
    """The address of the failed jobs of a batch, all or those with a failure code."""
    address = f"/batches/{batch.batch_id}/jobs?state=failed"
    return f"{address}&code={code}" if code else address


def _problem_reports(found: UndeliveredReports) -> dict[str, str]:
    """That reports did not arrive, with the address of the reports of what they are about, or of
    the list of all.
    """
    number = _number(len(found.reports), "report", is_exact=found.is_exact)
    subjects = {each.origin_id for each in found.reports}
    is_one = found.is_exact and len(subjects) == 1
    address = reports_address(subjects.pop()) if is_one else "/undelivered"
    return {"words": f"{number} did not arrive yet", "address": address}


def unread(found: Overview, request: PageRequest) -> list[dict[str, str]]:
    """What was not checked for failed jobs, because there is too much of it; each with the address
    where one sees it.
    """
    if not request.may("batch", "view"):
        if found.has_all_failures:
            return []
        words = f"Of your batches, only the newest {OWN_READ} were checked, and of those that"
        words += f" failed the newest {FAILED_READ}"
        return [{"words": words, "address": "/batches", "link": "Your batches"}]
    parts = []
    if not found.has_all_open:
        words = f"Of the open batches, only the newest {len(found.open_batches)} were checked"
        parts.append({"words": words, "address": "/batches", "link": "All batches"})
    if not found.has_all_failed:
        words = f"Of the failed batches, only the newest {FAILED_READ} were checked"
        parts.append({"words": words, "address": _FAILED, "link": "All failed batches"})
    return parts


def unseen(found: Overview, request: PageRequest) -> list[dict[str, str]]:
    """What was not checked because the reader may not see it."""
    if not request.may("batch", "view"):
        return [{"words": "Only your own batches were checked", "address": "", "link": ""}]
    hidden = [
        name
        for name, part in (("schedules", found.schedules), ("the system itself", found.system))
        if part is None
    ]
    if not hidden:
        return []
    words = f"You may not see {' and '.join(hidden)}, so the check leaves out their problems"
    return [{"words": words, "address": "", "link": ""}]


def _problem_runs(found: Overview) -> list[dict[str, str]]:
    """The schedules with a run that failed, or was skipped although nobody wanted that."""
    if not found.schedules:
        return []
    problems = [
        {
            "words": f"{run.title}: {run.skip_reason.description}"
            if run.skip_reason
            else f"{run.title}: the last run failed",
            "address": f"/schedules/{run.schedule_id}/history",
        }
        for run in found.schedules.problem_runs
    ]
    if found.schedules.more_problems:
        number = _number(
            found.schedules.more_problems, "more schedule", is_exact=found.schedules.is_exact
        )
        words = f"{number} with a run that failed or was skipped"
        problems.append({"words": words, "address": _PROBLEM_SCHEDULES})
    return problems


def _number(number: int, noun: str, *, is_exact: bool = True) -> str:
    """A number with its noun: "1 batch", "2 batches", "20+ reports"."""
    if number == 1 and is_exact:
        return f"1 {noun}"
    more = "" if is_exact else "+"
    return f"{number:,}{more} {noun}{'es' if noun.endswith('ch') else 's'}"
