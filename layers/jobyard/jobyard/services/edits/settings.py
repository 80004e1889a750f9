"""The settings of edit jobs, by dataset and type."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from jobyard.domain.activity import Subject
from jobyard.domain.datasets.dataset import Dataset
from jobyard.domain.edits.settings import EditSettings, settings_of
from jobyard.domain.edits.work import MAX_TYPE_BYTES
from jobyard.domain.errors import BadRequest, InvalidTransition
from jobyard.domain.text import clean
from jobyard.domain.urls import https_error
from jobyard.services import activity
from jobyard.services.access import authorize
from jobyard.services.context import CommandContext
from jobyard.store import datasets, teams
from jobyard.store.edits import Job

MAX_EDIT_TYPES = 50  # of a dataset


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
    name: str, edit_type: str, document: Mapping[str, Any], context: CommandContext
) -> EditSettings:
    """Set what holds for a type of edit jobs on the dataset `name`. Jobs that are past the step
    that reads a setting keep what held then.

    Raises:
        Forbidden, NotFound. BadRequest: a field is wrong, or there is no such team.
        StaleState: the settings of the dataset changed meanwhile.
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
    types = {**dataset.edit_types, edit_type: settings.document()}
    if len(types) > MAX_EDIT_TYPES:
        raise BadRequest(f"a dataset has up to {MAX_EDIT_TYPES} types of edit jobs")
    if types != dataset.edit_types:  # else it is a repeat
        datasets.put_settings(replace(dataset, edit_types=types, version=dataset.version + 1))
        subject = Subject("edit settings", name, f"{name}: {edit_type}")
        activity.record(context, "put", subject, context.now())
    return settings
