"""Job types, as lists show them."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from jobyard.domain.jobs.job import JOB
from jobyard.domain.jobs.job_type import JobType
from jobyard.jobtypes import TYPES, job_type_of


def list_job_types() -> tuple[JobType[Any], ...]:
    """All job types, system types last."""
    return tuple(sorted(TYPES.values(), key=lambda each: (each.is_system, each.name)))


def steps_of(name: str) -> tuple[str, ...]:
    """The steps of a job type, in order; () for a type that does not exist any more."""
    found = TYPES.get(name)
    return tuple(step for step, _ in found.steps) if found else ()


def labels_of_types(names: Iterable[str]) -> dict[str, dict[str, str]]:
    """What users call the states of jobs, by the names of their types."""
    return {name: state_labels(name) for name in {*names}}


def state_labels(name: str) -> dict[str, str]:
    """What users call each state of the jobs of a type. States that share a label have their own
    names, so that one can choose between them.
    """
    labels = {state.name: job_type_of(name).label(state.name) for state in JOB.states}
    shared = Counter(labels.values())
    return {
        state: label if shared[label] == 1 else state.replace("_", " ").capitalize()
        for state, label in labels.items()
    }
