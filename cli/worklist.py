"""`jobyard worklist`: what waits for a worker or a reviewer."""

import re
from typing import Annotated

import typer

from cli import edit_view, show, terminal
from cli.options import Json, Limit, StackName
from jobyard.domain.plurals import plural

app = typer.Typer()

_PAGE_SIZE = 50  # the most of a column that one response has


def _column(text: str) -> str:
    """The name of a column. Which there are, only the API knows."""
    if not re.fullmatch("[a-z_]{0,32}", text):
        raise typer.BadParameter(f"{text!r} is no column of the worklist, such as allocated")
    return text


@app.command()
def worklist(
    ctx: typer.Context,
    team: Annotated[str, typer.Option(metavar="TEAM", help="All that a team has.")] = "",
    column: Annotated[
        str,
        typer.Option(parser=_column, metavar="COLUMN", help="One column, such as `allocated`."),
    ] = "",
    limit: Limit = 20,
    stack: StackName = "",
    as_json: Json = False,
) -> None:
    """Show what waits for you, in columns: edit jobs of your teams, and those that you have."""
    api = ctx.obj.api(stack)
    query = {"team": team} if team else {}
    if column:
        found = api.list_items(f"/worklist/{column}", limit, page_size=_PAGE_SIZE, **query)
        columns = [found]
    else:
        found = api.get("/worklist", limit=min(limit, _PAGE_SIZE), **query)
        columns = found["columns"]
    if as_json:
        terminal.print_json(found)
        return
    filled = [each for each in columns if each["items"]]
    if not filled:
        terminal.console().print("nothing waits for you")
    for each in filled:
        title = each["column"].replace("_", " ").capitalize()
        show.section(title, edit_view.COLUMNS, edit_view.rows(each["items"]))
        if each["next_cursor"]:
            count = plural(len(each["items"]), "job")
            more = "--limit" if column else f"--column {each['column']}"
            terminal.console().print(f"[dim]showing the first {count}: use {more} for more[/]")
