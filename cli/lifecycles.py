"""`jobyard lifecycle`: prints the lifecycles of the domain. Needs no running stack."""

from typing import Annotated

import typer
from rich.console import Console

from cli import tables, terminal
from cli.options import Json
from jobyard.domain.errors import NotFound
from jobyard.domain.lifecycle import Lifecycle
from jobyard.domain.lifecycles import LIFECYCLES, lifecycle_named

app = typer.Typer()


@app.command()
def lifecycle(
    name: Annotated[str, typer.Argument(help=f"One of {', '.join(LIFECYCLES)}.")],
    as_json: Json = False,
    mermaid: Annotated[bool, typer.Option("--mermaid", help="Print a Mermaid diagram.")] = False,
) -> None:
    """Show the states of a batch, a job or an edit job, say, and their transitions."""
    if as_json and mermaid:
        raise typer.BadParameter("give --json or --mermaid, not both")
    try:
        found = lifecycle_named(name)
    except NotFound as error:
        raise typer.BadParameter(str(error), param_hint="NAME") from error
    if as_json:
        terminal.print_json(found.document())
    elif mermaid:
        typer.echo(found.diagram(), nl=False)
    else:
        _show(found, terminal.console())


def _show(found: Lifecycle, console: Console) -> None:
    states = [
        (
            terminal.state(state.name),
            state.type.value,
            state.shown_as,
            state.description,
        )
        for state in found.states
    ]
    console.print(tables.table(("!state", "!type", "shown as", "meaning"), states))
    transitions = [
        (
            terminal.state(each.before),
            each.event,
            terminal.state(each.after),
            ", ".join(each.senders) + (", after the end" if each.after_end else ""),
        )
        for each in found.transitions
    ]
    console.print()
    console.print(tables.table(("!from", "!event", "!to", "sent by"), transitions))
