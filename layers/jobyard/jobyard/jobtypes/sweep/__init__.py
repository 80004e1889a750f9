"""The sweep job type: changes the due records of a DynamoDB table. See docs/sweep.md.

The step is imported when it runs: code that only lists job types does not load it.
"""

from jobyard.domain.ids import Origin
from jobyard.domain.jobs.job import labels_for
from jobyard.domain.jobs.job_type import JobType, RetryPolicy, StepInput, StepResult
from jobyard.jobtypes.step_context import TableContext
from jobyard.jobtypes.sweep.plan import Plan


def _sweep(step_input: StepInput, context: TableContext) -> StepResult:
    from jobyard.jobtypes.sweep.steps import sweep

    return sweep(step_input, context)


SWEEP = JobType(
    name="sweep",
    title="Sweep",
    steps=(("sweep", _sweep),),
    context=TableContext,
    retry=RetryPolicy(max_retries=3, first_wait=5.0, factor=4.0, max_wait=900.0),
    labels=labels_for("schedule"),
    origins=frozenset({Origin.SCHEDULE}),
    check_parameters=Plan.of,
    parameters={
        "table": "The table to sweep; one that the deployment allows.",
        "index": "The index whose sort key is the due time.",
        "key": "The one or two attributes of the table's key.",
        "partition": "`name` and `value` of the index's partition key: the records to sweep.",
        "due": "`name`: the attribute with the due time. `format`: `date`, `instant` or `epoch`. "
        "`zone`: the time zone of dates.",
        "change": "How due records change: attributes to `set` and to `remove`.",
        "unless": "Attributes with values: a record with one of them is not changed and counts as "
        "failed.",
    },
)
