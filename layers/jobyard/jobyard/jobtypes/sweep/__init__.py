"""The sweep job type: changes the records of a DynamoDB table that are due. See docs/sweep.md.

The step is imported when it runs: code that only lists job types does not load it.
"""

from jobyard.domain.ids import Origin
from jobyard.domain.jobs.job import labels_for
from jobyard.domain.jobs.job_type import JobType, RetryPolicy, StepInput, StepResult
from jobyard.jobtypes.step_context import TableContext
from jobyard.jobtypes.sweep.plan import Plan


def _sweeping(step_input: StepInput, context: TableContext) -> StepResult:
    from jobyard.jobtypes.sweep.steps import sweeping

    return sweeping(step_input, context)


SWEEP = JobType(
    name="sweep",
    title="Sweep",
    steps=(("sweeping", _sweeping),),
    context=TableContext,
    retry=RetryPolicy(max_retries=3, first_wait=5.0, factor=4.0, max_wait=900.0),
    labels=labels_for("schedule"),
    origins=frozenset({Origin.SCHEDULE}),
    check_parameters=Plan.of,
    parameters={
        "table": "The table that is swept; the deployment lists those that may be.",
        "index": "Its index, from the partition to the time that records are due.",
        "key": "The one or two attributes of the table's own key.",
        "partition": "`name` and `value`: which of the index's partitions is gone through.",
        "due": "`name`: the attribute that says when a record is due. `format`: how it does, "
        "`date`, `instant` or `epoch`. `zone`: whose dates they are.",
        "change": "What becomes of a record that is due: `set` attributes, `remove` others.",
        "unless": "Attributes with values: a record that has one of them is not changed, and "
        "counts as failed.",
    },
)
