"""`jobyard webhook`: URLs that are called when something ends."""

from typing import Annotated

import typer

from cli import show, tables, terminal
from cli.client import Document
from cli.options import Json, Reason, StackName
from cli.show import Rows
from cli.terminal import local_time
from jobyard.domain.webhooks import WebhookEvent

app = typer.Typer(no_args_is_help=True, help="Manage webhooks: URLs that are called at an end.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="The webhook's name.")]


@app.callback()
def webhook() -> None:
    """Manage webhooks: URLs that are called at an end."""


@app.command("list")
def list_all(ctx: typer.Context, stack: StackName = "", as_json: Json = False) -> None:
    """List all webhooks."""
    found = ctx.obj.api(stack).get("/webhooks")
    rows: Rows = [
        (
            each["name"],
            each["url"],
            ", ".join(each["events"]),
            ", ".join(each["collections"]) or "all",
            local_time(each["changed_at"]),
            each["actor"],
        )
        for each in found["items"]
    ]
    columns = ("!webhook", "url", "events", "collections", "!changed", "by")
    show.show_list(found, columns, rows, "webhook", as_json=as_json)


@app.command()
def put(
    ctx: typer.Context,
    name: Name,
    url: Annotated[str, typer.Argument(metavar="URL", help="The https URL to call.")],
    reason: Reason,
    event: Annotated[
        list[WebhookEvent] | None,
        typer.Option(help="What it is called about; may be repeated.  [default: all of these]"),
    ] = None,
    collection: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Only batches of this collection; may be repeated."),
    ] = None,
    new_secret: Annotated[
        bool, typer.Option("--new-secret", help="Replace the secret that signs the calls.")
    ] = False,
    stack: StackName = "",
    as_json: Json = False,
) -> None:
    """Create a webhook or replace it, and show its secret if that is new."""
    body = {
        "url": url,
        "events": [each.value for each in event or WebhookEvent],
        "collections": collection or [],
        "new_secret": new_secret,
        "reason": reason,
    }
    _show(ctx.obj.api(stack).put(f"/webhooks/{name}", body), as_json=as_json)


@app.command()
def delete(
    ctx: typer.Context, name: Name, reason: Reason, stack: StackName = "", as_json: Json = False
) -> None:
    """Delete a webhook. Calls that wait are given up."""
    left = ctx.obj.api(stack).delete(f"/webhooks/{name}", reason=reason)
    if as_json:
        terminal.print_json(left)
    else:
        terminal.console().print(f"deleted {name}")


def _show(found: Document, *, as_json: bool) -> None:
    if as_json:
        terminal.print_json(found)
        return
    facts = [
        ("webhook", found["name"]),
        ("url", found["url"]),
        ("events", ", ".join(found["events"])),
        ("collections", ", ".join(found["collections"]) or "all"),
    ]
    if found["secret"]:
        facts.append(("secret", f"{found['secret']}: keep it, it is not shown again"))
    terminal.console().print(tables.key_values(facts))
