"""The job types there are. A new one is a folder here and a line in `TYPES`."""

from collections.abc import Mapping

from jobyard.domain.jobtype import JobType
from jobyard.jobtypes.deposit import DEPOSIT
from jobyard.jobtypes.reconcile import RECONCILE
from jobyard.jobtypes.retention import RETENTION
from jobyard.jobtypes.sweep import SWEEP

TYPES: Mapping[str, JobType] = {
    DEPOSIT.name: DEPOSIT,
    SWEEP.name: SWEEP,
    RETENTION.name: RETENTION,
    RECONCILE.name: RECONCILE,
}
