"""Requests to the services of edit jobs by people with roles, on moto."""

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from jobyard.services.context import Actor, CommandContext, QueryContext
from jobyard.services.edits.context import EditContext
from jobyard.services.executions import Executions
from jobyard.store import reports
from tests.functions.api.api_client import Api
from tests.people import sub_of


@dataclass
class Requests:
    """Contexts of requests, and what they had the deployment do."""

    api: Api

    def by(self, name: str, *roles: str, key: str = "", reason: str = "because") -> CommandContext:
        """A request by the person of that name; each takes a minute of the clock."""
        app = _app()
        now = self.api.tick()
        who = Actor(sub_of(name), name, frozenset(roles))
        return CommandContext(
            app.settings,
            app.s3,
            app.machines,
            lambda: now,
            who,
            key or f"{name} at {now}",
            reason,
            account_of=app.account_of,
            signing_key=app.cursor_key,
        )

    def planner(self, **fields: Any) -> CommandContext:
        """A request by the planner."""
        return self.by("planner", "planner", **fields)

    def worker(self, name: str = "anna", **fields: Any) -> CommandContext:
        """A request by a worker."""
        return self.by(name, "worker", **fields)

    def reviewer(self, name: str = "zoe", **fields: Any) -> CommandContext:
        """A request by a reviewer."""
        return self.by(name, "reviewer", **fields)

    def query(self, name: str, *roles: str, after: timedelta = timedelta()) -> QueryContext:
        """A read by the person of that name."""
        app = _app()
        who = Actor(sub_of(name), name, frozenset(roles))
        return QueryContext(app.settings, app.s3, who, self.api.tick() + after)

    def machine(self) -> EditContext:
        """A task of the edit machine."""
        app, nothing = _app(), None
        now = self.api.tick()
        return EditContext(
            app.settings,
            app.s3,
            nothing,
            nothing,
            nothing,  # type: ignore[arg-type]
            Executions(app.settings, app.machines),
            lambda: now,
            "read-1-1",
        )

    def executions(self, job_id: str) -> list[str]:
        """The executions that were started for a job, by the ends of their names."""
        app = _app()
        found = app.machines.list_executions(stateMachineArn=app.settings.edit_machine)
        names = [each["name"] for each in found["executions"]]
        prefix = f"{job_id}-"
        return sorted(each.removeprefix(prefix) for each in names if each.startswith(prefix))

    def put_file(self, key: str, body: bytes) -> None:
        """Upload a file to the intake bucket, as a form does."""
        app = _app()
        app.s3.put_object(Bucket=app.settings.intake_bucket, Key=key, Body=body)

    def mails(self, job_id: str) -> list[tuple[tuple[str, ...], str]]:
        """The mails in the outbox about a job: their addresses, and subjects without its name."""
        return [(each.to, each.subject.partition(" (")[0]) for each in reports.of_batch(job_id)]

    def mail_text(self, job_id: str, index: int = -1) -> str:
        """The text of a mail."""
        app = _app()
        key = [*reports.of_batch(job_id)][index].files["mail.txt"]
        body = app.s3.get_object(Bucket=app.settings.work_bucket, Key=key)["Body"]
        return str(body.read().decode())


def collection(*features: dict[str, Any], **members: Any) -> bytes:
    """A FeatureCollection as a file."""
    document = {"type": "FeatureCollection", "features": [*features], **members}
    return json.dumps(document).encode()


def _app() -> Any:
    from api.handler import CONTEXT

    return CONTEXT
