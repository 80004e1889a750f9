"""`jobyard team`: who works on edit jobs, and who reviews them."""

from typing import Annotated

import typer

from cli import show, tables, terminal
from cli.client import Document
from cli.options import Json, Limit, StackName
from cli.show import Rows

app = typer.Typer(no_args_is_help=True, help="Manage the teams of edit jobs.")

Name = Annotated[str, typer.Argument(metavar="TEAM", help="The team's name.")]


@app.callback()
def team() -> None:
    """Manage the teams of edit jobs."""


@app.command("list")
def list_teams(
    ctx: typer.Context, limit: Limit = 100, stack: StackName = "", as_json: Json = False
) -> None:
    """List teams, by name."""
    found = ctx.obj.api(stack).list_items("/teams", limit)
    show.show_list(found, ("!team",), [(each,) for each in found["items"]], "team", as_json=as_json)


@app.command("show")
def show_one(ctx: typer.Context, name: Name, stack: StackName = "", as_json: Json = False) -> None:
    """Show a team with its members."""
    _show(ctx.obj.api(stack).get(f"/teams/{name}"), as_json=as_json)


@app.command()
def put(
    ctx: typer.Context,
    name: Name,
    worker: Annotated[
        list[str] | None, typer.Option(metavar="USER", help="A worker; may be repeated.")
    ] = None,
    reviewer: Annotated[
        list[str] | None, typer.Option(metavar="USER", help="A reviewer; may be repeated.")
    ] = None,
    title: Annotated[str, typer.Option(metavar="TEXT", help="What people call it.")] = "",
    stack: StackName = "",
    as_json: Json = False,
) -> None:
    """Make a team, or replace its members: those who are not named are no members any more."""
    body = {"title": title, "workers": worker or [], "reviewers": reviewer or []}
    _show(ctx.obj.api(stack).put(f"/teams/{name}", body), as_json=as_json)


@app.command()
def delete(ctx: typer.Context, name: Name, stack: StackName = "", as_json: Json = False) -> None:
    """Delete a team that has no open edit job."""
    left = ctx.obj.api(stack).delete(f"/teams/{name}")
    if as_json:
        terminal.print_json(left)
    else:
        terminal.console().print(f"deleted {name}")


def _show(found: Document, *, as_json: bool) -> None:
    if as_json:
        terminal.print_json(found)
        return
    facts = (("team", found["name"]), ("title", found["title"]))
    terminal.console().print(tables.key_values(facts))
    members: Rows = [
        (
            each["person"]["name"],
            "yes" if each["is_worker"] else "",
            "yes" if each["is_reviewer"] else "",
            "yes" if each["has_email"] else "no address",
        )
        for each in found["members"]
    ]
    show.section("Members", ("user", "!works", "!reviews", "gets mails"), members)
