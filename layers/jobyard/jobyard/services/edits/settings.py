"""The settings of edit jobs, by dataset and type."""

from collections.abc import Mapping
from typing import Any

from jobyard.domain.activity import Subject
from jobyard.domain.datasets.dataset import Dataset
from jobyard.domain.edits.edit_job import EditJob
from jobyard.domain.edits.settings import EditSettings, settings_of
from jobyard.domain.edits.work import MAX_TYPE_BYTES
from jobyard.domain.errors import BadRequest, InvalidTransition, NotFound, StaleState
from jobyard.domain.text import clean
from jobyard.domain.urls import https_error
from jobyard.services import activity
from jobyard.services.access import authorize
from jobyard.services.context import CommandContext
from jobyard.store import datasets, edits, teams
from jobyard.store.edits import Job

MAX_EDIT_TYPES = 50  # of a dataset
_READ_TOGETHER = 100  # open edit jobs
_MAX_PAGES = 20


def settings_for(dataset: Dataset, edit_type: str) -> EditSettings:
    """The settings of a type of edit jobs on a dataset.

    Raises:
        InvalidTransition: the dataset has types, but not this one.
    """
    found = dataset.edit_types.get(edit_type)
    if found is not None:
        return settings_of(found)
    if dataset.edit_types:
        known = ", ".join(dataset.edit_types)
        raise InvalidTransition(
            f"dataset {dataset.name} has no type {edit_type!r} of edit jobs; it has {known}"
        )
    return EditSettings()


def find_settings(job: Job) -> EditSettings | None:
    """The settings of a job's type; None if the dataset has no such type any more."""
    dataset = datasets.find(job.dataset)
    if dataset is None or (dataset.edit_types and job.edit_type not in dataset.edit_types):
        return None
    return settings_for(dataset, job.edit_type)


def settings_or_default(job: Job) -> EditSettings:
    """The settings of a job's type, the default ones if the dataset has no such type any more: what
    people decide is not refused because of a mail about it.
    """
    return find_settings(job) or EditSettings()


def batch_error(settings: EditSettings, allowed_hosts: frozenset[str]) -> str:
    """Why the deployment does not call the URL that edits; "" if it does, or if a function edits.
    The link to the package is a secret, so it is sent over https.
    """
    return https_error(settings.batch, allowed_hosts) if "://" in settings.batch else ""


def put_settings(
    name: str,
    edit_type: str,
    document: Mapping[str, Any],
    context: CommandContext,
    *,
    seen: int | None = None,
) -> EditSettings:
    """Set what holds for a type of edit jobs on the dataset `name`. Jobs that are past the step
    that reads a setting keep what held then.

    `seen` is the version of the dataset that the document is for; None changes any.

    Raises:
        Forbidden, NotFound. BadRequest: a field is wrong, there is no such team, or the settings of
            all types are too large.
        StaleState: the dataset has not the version `seen`, or its settings change now.
    """
    authorize(context.actor, "edit settings", "put")
    settings = settings_of(document)
    if not edit_type.strip() or clean(edit_type, MAX_TYPE_BYTES) != edit_type:
        raise BadRequest(f"the name of a type has 1 to {MAX_TYPE_BYTES} bytes that can be shown")
    problem = batch_error(settings, context.settings.allowed_hosts)
    if problem:
        raise BadRequest(f"batch: the URL {problem}")
    if settings.reviewers and teams.find(settings.reviewers) is None:
        raise BadRequest(f"reviewers: there is no team {settings.reviewers!r}")
    dataset = datasets.get(name)
    if seen is not None and seen != dataset.version and not _is_repeat(dataset, context):
        raise StaleState(f"dataset {name} and its types have been changed since you read them")
    types = {**dataset.edit_types, edit_type: settings.document()}
    if len(types) > MAX_EDIT_TYPES:
        raise BadRequest(f"a dataset has up to {MAX_EDIT_TYPES} types of edit jobs")
    _put_types(dataset, types, "put", edit_type, context)
    return settings


def delete_settings(name: str, edit_type: str, context: CommandContext) -> Dataset:
    """Remove a type of edit jobs from the dataset `name`. Without any type it accepts every type,
    with the default settings.

    Raises:
        Forbidden. NotFound: there is no such dataset or type. InvalidTransition: edit jobs of the
        type are open. StaleState: the settings of the dataset changed meanwhile.
    """
    authorize(context.actor, "edit settings", "delete")
    dataset = datasets.get(name)
    types = {each: dataset.edit_types[each] for each in dataset.edit_types if each != edit_type}
    if not _is_repeat(dataset, context):
        if edit_type not in dataset.edit_types:
            raise NotFound(f"dataset {name} has no type {edit_type!r:.200} of edit jobs")
        _check_unused(name, edit_type)
    return _put_types(dataset, types, "delete", edit_type, context)


def _check_unused(name: str, edit_type: str) -> None:
    """Check that no edit job of a type is open: what its settings require would not be done.

    Raises:
        InvalidTransition: one is, or there are too many to know.
    """
    after = ""
    for _ in range(_MAX_PAGES):
        keys = edits.of_dataset(name, edits.OPEN, after=after, limit=_READ_TOGETHER)
        for job in edits.read([each.job_id for each in keys]):
            if isinstance(job, EditJob) and job.edit_type == edit_type:
                raise InvalidTransition(
                    f"edit jobs of type {edit_type} are open, such as {job.edit_id}: complete, "
                    "abandon or delete them first"
                )
        if len(keys) < _READ_TOGETHER:
            return
        after = keys[-1].position
    raise InvalidTransition(
        f"dataset {name} has more than {_MAX_PAGES * _READ_TOGETHER:,} open edit jobs, and they "
        "may be of this type: complete, abandon or delete some first"
    )


def _is_repeat(dataset: Dataset, context: CommandContext) -> bool:
    return dataset.changed_at is not None and dataset.cause == context.run


def _put_types(
    dataset: Dataset,
    types: Mapping[str, Mapping[str, Any]],
    event: str,
    edit_type: str,
    context: CommandContext,
) -> Dataset:
    """Store types of edit jobs and record the act; if a repeat has stored them, only the latter."""
    after = dataset
    if not _is_repeat(dataset, context):
        if types == dataset.edit_types:
            return dataset
        changes = {"edit_types": types, "changed_at": context.now(), "cause": context.run}
        after = dataset.with_settings(**changes)
        datasets.put_settings(after)
    subject = Subject("edit settings", dataset.name, f"{dataset.name}: {edit_type}")
    activity.record(context, event, subject, after.changed_at or context.now())
    return after
