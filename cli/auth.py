"""Who one is: login, logout, whoami."""

import sys
from typing import Annotated

import typer

from cli import session, terminal
from cli.client import Document
from cli.local.demo_users import ROLES
from cli.options import Json, StackName
from cli.session import Deployment, Session, SessionTokens

app = typer.Typer()


@app.command()
def login(
    ctx: typer.Context,
    role: Annotated[
        str,
        typer.Option(
            "--as",
            metavar="ROLE",
            help=f"One of the local stack's demo people: {', '.join(ROLES)}.",
        ),
    ] = "",
    username: Annotated[
        str, typer.Option(help="Anybody else; the password is asked for, or read from a pipe.")
    ] = "",
    stack: StackName = "",
    as_json: Json = False,
) -> None:
    """Sign in. On the local stack you are the demo's `admin` until you sign in as someone else.

    The tokens are kept in .jobyard/ of the project for the local stack and in ~/.config/jobyard/
    for stacks on AWS, readable by you alone, and renewed by themselves for a working day.
    """
    deployment = ctx.obj.deployment(stack)
    if role and username:
        raise typer.BadParameter("give --as or --username, not both")
    if role and role not in deployment.passwords:
        there = ", ".join(deployment.passwords) or "no demo people there"
        raise typer.BadParameter(f"{role!r} is none of: {there}", param_hint="--as")
    if role:
        opened = session.sign_in(deployment, role, deployment.passwords[role])
    else:
        name = username or terminal.prompt("Username:")
        opened = session.sign_in(deployment, name, _secret("Password"), _challenge)
    _show_session(deployment, opened, as_json=as_json)


@app.command()
def logout(ctx: typer.Context, stack: StackName = "") -> None:
    """Forget the tokens. On the local stack you are `admin` again."""
    deployment = ctx.obj.deployment(stack)
    words = "signed out" if session.sign_out(deployment) else "nobody was signed in"
    terminal.console().print(words)


@app.command()
def whoami(ctx: typer.Context, stack: StackName = "", as_json: Json = False) -> None:
    """Who you are to which stack, and what you may be."""
    deployment = ctx.obj.deployment(stack)
    _show_session(deployment, session.open_session(deployment), as_json=as_json)


@app.command()
def token(ctx: typer.Context, stack: StackName = "") -> None:
    """Print an access token, for curl and other programs. It is good for minutes."""
    deployment = ctx.obj.deployment(stack)
    typer.echo(SessionTokens(deployment, session.open_session(deployment)).token())


def _show_session(deployment: Deployment, opened: Session, *, as_json: bool) -> None:
    shown: Document = {
        "stack": deployment.name,
        "api_url": opened.api_url,
        "username": opened.username,
        "roles": opened.roles,
    }
    if as_json:
        terminal.print_json(shown)
        return
    terminal.console().print(
        terminal.key_values(
            (
                ("stack", deployment.name),
                ("API", opened.api_url),
                ("you are", opened.username),
                ("roles", ", ".join(opened.roles) or "none: an admin has to give you one"),
            )
        )
    )


def _challenge(name: str) -> str:
    return _secret("New password" if name == "NEW_PASSWORD_REQUIRED" else "Code of your app")


def _secret(words: str) -> str:
    """Asked for on a terminal, else the next line of what is piped in."""
    if sys.stdin.isatty():
        return str(typer.prompt(words, hide_input=True, err=True))
    return sys.stdin.readline().rstrip("\n")
