"""The job types there are. A new one is a folder here and a line in `TYPES`."""

from collections.abc import Mapping

from jobyard.domain.jobtype import JobType
from jobyard.jobtypes.deposit import DEPOSIT

TYPES: Mapping[str, JobType] = {
    DEPOSIT.name: DEPOSIT,
}
