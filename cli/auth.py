"""Commands for signing in: login, logout, whoami, token."""

import sys
from typing import Annotated
from urllib.parse import quote

import typer

from cli import session, tables, terminal
from cli.client import Document
from cli.options import Json, StackName
from cli.session import Session, SessionTokens
from jobyard.domain.access import ROLES

app = typer.Typer()


@app.command()
def login(
    ctx: typer.Context,
    role: Annotated[
        str,
        typer.Option(
            "--as",
            metavar="ROLE",
            help=f"Sign in as a demo user of the local stack: {', '.join(ROLES)}, worker-2.",
        ),
    ] = "",
    username: Annotated[
        str, typer.Option(help="Sign in as this user. Prompts for the password, or reads a pipe.")
    ] = "",
    stack: StackName = "",
    as_json: Json = False,
) -> None:
    """Sign in to a stack.

    On the local stack you are the demo user `admin` until you sign in as someone else.

    Tokens are stored in .jobyard/ of the project for the local stack, and in ~/.config/jobyard/
    for stacks on AWS. Only you can read them. They are renewed automatically for a working day.
    """
    connection = ctx.obj.connect(stack)
    if role and username:
        raise typer.BadParameter("give --as or --username, not both")
    if role and role not in connection.passwords:
        if not connection.passwords:
            raise typer.BadParameter("this stack has no demo users", param_hint="--as")
        users = ", ".join(connection.passwords)
        raise typer.BadParameter(f"{role!r} is not one of {users}", param_hint="--as")
    if role:
        current = session.sign_in(connection, role, connection.passwords[role])
    else:
        name = username or terminal.prompt("Username:")
        current = session.sign_in(connection, name, _secret("Password"), _challenge)
    _show_session(connection.name, current, as_json=as_json)


@app.command()
def logout(ctx: typer.Context, stack: StackName = "") -> None:
    """Sign out and delete the stored tokens. On the local stack you are `admin` again."""
    connection = ctx.obj.connect(stack)
    was_signed_in = session.sign_out(connection)
    terminal.console().print("signed out" if was_signed_in else "you were not signed in")


@app.command()
def whoami(ctx: typer.Context, stack: StackName = "", as_json: Json = False) -> None:
    """Show the stack, the signed-in user and their roles."""
    tokens = ctx.obj.tokens(stack)
    name = tokens.connection.name if isinstance(tokens, SessionTokens) else stack
    _show_session(name, tokens.session, as_json=as_json)


@app.command("set-up-mfa")
def set_up_mfa(ctx: typer.Context, stack: StackName = "") -> None:
    """Set up an authenticator app for yourself. Each sign-in asks for its code from then on."""
    tokens = ctx.obj.tokens(stack)
    if not isinstance(tokens, SessionTokens):
        raise typer.BadParameter("a machine client has no authenticator app")
    tokens.token()  # renewed, if it is about to expire
    connection, current = tokens.connection, tokens.session
    secret = session.authenticator_secret(connection, current)
    label = quote(f"Jobyard {connection.name}:{current.username}")
    console = terminal.console()
    console.print("Add this secret to your authenticator app:", secret, soft_wrap=True)
    uri = f"otpauth://totp/{label}?secret={secret}&issuer=Jobyard"
    console.print(f"or open {uri}", markup=False, soft_wrap=True)
    session.confirm_authenticator(connection, current, _secret("Authenticator code"))
    console.print("done: sign in again with a code of the app")


@app.command()
def token(ctx: typer.Context, stack: StackName = "") -> None:
    """Print an access token for curl and other programs. It expires within minutes."""
    typer.echo(ctx.obj.tokens(stack).token())


def _show_session(stack: str, current: Session, *, as_json: bool) -> None:
    """Show who is signed in to a stack; its name is "" if a program knows only its URLs."""
    shown: Document = {
        "stack": stack,
        "api_url": current.api_url,
        "username": current.username or f"client {current.user_pool_client}",
        "roles": current.roles,
    }
    if as_json:
        terminal.print_json(shown)
        return
    terminal.console().print(
        tables.key_values(
            (
                ("stack", stack),
                ("API", current.api_url),
                ("user", shown["username"]),
                ("roles", ", ".join(current.roles) or "none: ask an admin for one"),
            )
        )
    )


def _challenge(name: str) -> str:
    return _secret("New password" if name == "NEW_PASSWORD_REQUIRED" else "Authenticator code")


def _secret(question: str) -> str:
    """Prompt on a terminal; otherwise read the next line of standard input."""
    if sys.stdin.isatty():
        return str(typer.prompt(question, hide_input=True, err=True))
    return sys.stdin.readline().rstrip("\n")
