"""What each alarm means and what to do about it: one table, for the pages and for the docs."""

from dataclasses import dataclass

_STUCK = "A batch that is stuck"


@dataclass(frozen=True)
class Runbook:
    """What alarms mean and what to do. `advice` is Markdown without links.

    `means` has {} in place of the function's name. `chapter` is the heading in docs/operating.md
    that says more, "" for none.
    """

    alarms: tuple[str, ...]  # names of resources in infra/monitoring.yaml
    means: str
    advice: str
    chapter: str = ""

    def description(self, alarm: str) -> str:
        """What one of these alarms means, with the function that it watches."""
        function = alarm.removesuffix("Alarm").removesuffix("Errors").removesuffix("Throttles")
        text = self.means.format(f"{function}Function")
        return text[0].upper() + text[1:]


RUNBOOKS = (
    Runbook(
        ("FailedJobsAlarm",),
        "many jobs failed within five minutes",
        "`jobyard batches --state failed`, then look at the failure codes of the newest: one "
        "server that is down is one cause. Hold the collection if more jobs are coming",
    ),
    Runbook(
        ("OldestBatchAlarm",),
        "a batch has been open for too long",
        "`jobyard batches --state processing` (and `held`, `pending`, `reporting`) shows what it "
        "waits for: a forgotten hold, a distant retry, or failing executions",
        _STUCK,
    ),
    Runbook(
        ("UndeliveredReportsAlarm",),
        "reports wait to be sent, or could not be sent",
        "`jobyard reports BATCH` says why. The logs of ReportFunction and OutboxTickFunction have "
        'SES\'s message, `filter mail_request = "…"`. Usually the identity is not verified, the '
        "account is in the sandbox, or SES paused it",
    ),
    Runbook(
        ("DeadLettersAlarm",),
        "an event could not be delivered. It is in the dead-letter queue",
        "on the page System, `/system`: for a new manifest, redrive it, and its batch starts. "
        "For a mail event: redrive it, and the delivery is recorded. For a failed execution: "
        "discard it, Jobyard recovers the work by itself",
    ),
    Runbook(
        (
            "BatchExecutionsFailedAlarm",
            "JobExecutionsFailedAlarm",
            "SystemExecutionsFailedAlarm",
            "EditExecutionsFailedAlarm",
        ),
        "an execution of a machine failed",
        "open the execution; its error names the function and the cause. Fix it. Jobyard recovers "
        "the work",
        _STUCK,
    ),
    Runbook(
        ("StuckEditsAlarm",),
        "the machine has worked on an edit job for more than half an hour",
        "find it in the list of edit jobs by its state: activated, uploaded, committed, published. "
        "Its problem says what failed last; the log of the function has the exception. The next "
        "minute tries again",
    ),
    Runbook(
        ("OpenMapRunsAlarm",),
        "the account is near the limit of 1,000 open Map Runs, beyond which the rest wait",
        "it counts all Map Runs of this account and region. A batch has one open while its chunks "
        "run: hold a collection, or ask AWS for more",
    ),
    Runbook(
        (
            "OpenErrorsAlarm",
            "ExecuteChunkErrorsAlarm",
            "ExecuteJobErrorsAlarm",
            "SystemJobErrorsAlarm",
            "SettleErrorsAlarm",
            "ReportErrorsAlarm",
        ),
        "{} raised an exception, crashed or timed out",
        "a single error does no harm: the machine tries four times. The log has the exception and "
        "the batch. After the fourth failure of Open the batch reports it; of a chunk, the next "
        "pass recovers it (after 150 passes without progress, three days, the machine cancels the "
        "batch); of Settle or Report, a new execution follows",
    ),
    Runbook(
        (
            "PrepareErrorsAlarm",
            "CheckErrorsAlarm",
            "CommitErrorsAlarm",
            "LoadErrorsAlarm",
        ),
        "{} raised an exception, crashed or timed out",
        "a single error does no harm: the machine tries four times. Then the edit job returns to "
        "its worker with the reason, or fails in batch mode; a decided commit is finished. The log "
        "has the exception and the job",
    ),
    Runbook(
        ("SchedulerTickErrorsAlarm",),
        "the scheduler tick failed: {} raised an exception, crashed or timed out",
        "until it runs, no schedule starts a job, no hold ends and no work is recovered. Read its "
        "log. The next minute tries again, and each schedule catches up as its policy says",
    ),
    Runbook(
        ("OutboxTickErrorsAlarm",),
        "the outbox tick failed: {} raised an exception, crashed or timed out",
        "until it runs, no mail is sent again and the age of open batches is not measured. Read "
        "its log. The next minute tries again",
    ),
    Runbook(
        ("RunsAlarm",),
        "a job of a schedule failed, or a run was missed",
        "`jobyard schedule list --label failed` shows which schedules",
        "Schedules",
    ),
    Runbook(
        ("DeliveryErrorsAlarm",),
        "a mail event could not be recorded: {} raised an exception, crashed or timed out",
        "deliveries may stay at `sent`; nothing else depends on it",
    ),
    Runbook(
        ("ApiErrorsAlarm",),
        "a request failed with an internal error: {} raised an exception, crashed or timed out",
        "find it by its request id; the client was asked to retry",
    ),
    Runbook(
        ("WebErrorsAlarm",),
        "a request for a page ended without an answer: {} raised an exception, crashed or timed "
        "out",
        "read its log; the browser asks again. An internal error that the page itself reports "
        "raises no alarm: find it by the request id on the page",
    ),
    Runbook(
        ("ExecuteChunkThrottlesAlarm", "ApiThrottlesAlarm"),
        "{} was throttled: Lambda had no concurrency left",
        "lower `MaxConcurrency`, reserve some for the workers with `WorkerConcurrency`, or ask AWS "
        "for more. Nothing is lost: the work is retried",
    ),
)


def runbook_of(alarm: str) -> Runbook | None:
    """The runbook of an alarm, by the name of its resource; None if there is none."""
    return next((each for each in RUNBOOKS if alarm in each.alarms), None)
