"""`jobyard webhook`: URLs that get a signed request when something ends."""

from typing import Annotated

import typer

from cli import show, tables, terminal
from cli.client import Document
from cli.options import Json, Reason, StackName
from cli.show import Rows
from cli.terminal import local_time
from jobyard.domain.plurals import plural
from jobyard.domain.webhooks import MAX_OVERLAP_HOURS, OVERLAP_HOURS, WebhookEvent

_HELP = "Manage webhooks: URLs that get a signed request when something ends."
app = typer.Typer(no_args_is_help=True, help=_HELP)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The webhook's name.")]
Event = Annotated[
    list[WebhookEvent] | None, typer.Option(help="An event that it gets; may be repeated.")
]
Collection = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME", help="Only batches of this collection; may be repeated."),
]


@app.callback(help=_HELP)
def webhook() -> None:
    """The group of commands."""


@app.command("list")
def list_all(ctx: typer.Context, stack: StackName = "", as_json: Json = False) -> None:
    """List all webhooks."""
    found = ctx.obj.api(stack).get("/webhooks")
    rows: Rows = [
        (
            each["name"],
            each["url"],
            "yes" if each["enabled"] else "no",
            ", ".join(each["events"]),
            ", ".join(each["collections"]) or "all",
            local_time(each["changed_at"]),
            each["actor"],
        )
        for each in found["items"]
    ]
    columns = ("!webhook", "url", "enabled", "events", "collections", "!changed", "by")
    show.show_list(found, columns, rows, "webhook", as_json=as_json)


@app.command()
def create(
    ctx: typer.Context,
    name: Name,
    url: Annotated[str, typer.Argument(metavar="URL", help="The https URL that gets the events.")],
    reason: Reason,
    event: Event = None,
    collection: Collection = None,
    stack: StackName = "",
    as_json: Json = False,
) -> None:
    """Create a webhook and show its secret. Without --event it gets all events."""
    body = {
        "name": name,
        "url": url,
        "events": [each.value for each in event or WebhookEvent],
        "collections": collection or [],
        "reason": reason,
    }
    _show(ctx.obj.api(stack).post("/webhooks", body), as_json=as_json)


@app.command()
def update(
    ctx: typer.Context,
    name: Name,
    reason: Reason,
    url: Annotated[str, typer.Option(metavar="URL", help="The https URL to deliver to.")] = "",
    event: Event = None,
    collection: Collection = None,
    all_collections: Annotated[
        bool, typer.Option("--all-collections", help="Batches of all collections.")
    ] = False,
    stack: StackName = "",
    as_json: Json = False,
) -> None:
    """Change the URL, the events or the collections of a webhook."""
    if not (url or event or collection or all_collections):
        raise typer.BadParameter("give --url, --event, --collection or --all-collections")
    body: Document = {"reason": reason}
    if url:
        body["url"] = url
    if event:
        body["events"] = [each.value for each in event]
    if collection or all_collections:
        body["collections"] = [] if all_collections else collection
    _show(ctx.obj.api(stack).patch(f"/webhooks/{name}", body), as_json=as_json)


@app.command("rotate-secret")
def rotate_secret(
    ctx: typer.Context,
    name: Name,
    reason: Reason,
    overlap_hours: Annotated[
        int,
        typer.Option(
            min=0, max=MAX_OVERLAP_HOURS, help="How many hours the former secret signs as well."
        ),
    ] = OVERLAP_HOURS,
    stack: StackName = "",
    as_json: Json = False,
) -> None:
    """Give a webhook a new secret, and show it."""
    body = {"overlap_hours": overlap_hours, "reason": reason}
    found = ctx.obj.api(stack).post(f"/webhooks/{name}/rotate_secret", body)
    _show(found, as_json=as_json)


@app.command()
def disable(
    ctx: typer.Context, name: Name, reason: Reason, stack: StackName = "", as_json: Json = False
) -> None:
    """Disable a webhook. Pending deliveries fail."""
    found = ctx.obj.api(stack).post(f"/webhooks/{name}/disable", {"reason": reason})
    _show(found, as_json=as_json)


@app.command()
def enable(
    ctx: typer.Context, name: Name, reason: Reason, stack: StackName = "", as_json: Json = False
) -> None:
    """Enable a webhook again."""
    found = ctx.obj.api(stack).post(f"/webhooks/{name}/enable", {"reason": reason})
    _show(found, as_json=as_json)


@app.command()
def delete(
    ctx: typer.Context, name: Name, reason: Reason, stack: StackName = "", as_json: Json = False
) -> None:
    """Delete a webhook. Pending deliveries fail."""
    left = ctx.obj.api(stack).delete(f"/webhooks/{name}", reason=reason)
    if as_json:
        terminal.print_json(left)
    else:
        terminal.console().print(f"deleted {name}")


@app.command()
def deliveries(
    ctx: typer.Context,
    name: Name,
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many at most.")] = 20,
    stack: StackName = "",
    as_json: Json = False,
) -> None:
    """List the latest deliveries of a webhook, newest first."""
    found = ctx.obj.api(stack).get(f"/webhooks/{name}/deliveries", limit=limit)
    rows: Rows = [
        (
            each["delivery_id"],
            each["subject"].partition(" ")[0],
            f"{each['delivery']['state']} after {plural(each['tries'], 'attempt')}",
            each["delivery"]["error"],
            local_time(each["created_at"]),
        )
        for each in found["items"]
    ]
    columns = ("!delivery", "event", "state", "error", "!created")
    show.show_list(found, columns, rows, "delivery", as_json=as_json)


@app.command()
def redeliver(
    ctx: typer.Context,
    name: Name,
    delivery: Annotated[str, typer.Argument(metavar="DELIVERY", help="The id of the delivery.")],
    reason: Reason,
    stack: StackName = "",
    as_json: Json = False,
) -> None:
    """Send a delivery again, within a minute."""
    path = f"/webhooks/{name}/deliveries/{delivery}/redeliver"
    found = ctx.obj.api(stack).post(path, {"reason": reason})
    if as_json:
        terminal.print_json(found)
    else:
        terminal.console().print(f"{delivery} waits to be sent to {found['url']}", markup=False)


def _show(found: Document, *, as_json: bool) -> None:
    if as_json:
        terminal.print_json(found)
        return
    facts = [
        ("webhook", found["name"]),
        ("url", found["url"]),
        ("enabled", "yes" if found["enabled"] else "no"),
        ("events", ", ".join(found["events"])),
        ("collections", ", ".join(found["collections"]) or "all"),
    ]
    if found["secret"]:
        facts.append(("secret", f"{found['secret']}: keep it, it is not shown again"))
    if found["overlap_ends_at"]:
        facts.append(("former secret", f"signs until {local_time(found['overlap_ends_at'])}"))
    terminal.console().print(tables.key_values(facts))
