"""Runs the demos: starts the local stack, then shows and runs commands as its demo users."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, TypeVar

import click
import httpx
import typer
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.text import Text

from cli import tables, terminal
from cli.connections import StackConnection, local_connection
from cli.context import CliContext
from cli.local import demo_stack, demo_users, emulator
from cli.local.emulator import HOME, PORT, WEB_PORT, Emulator
from cli.main import app
from jobyard.domain.errors import JobyardError

# Options of all demos.
Keep = Annotated[bool, typer.Option("--keep", help="Leave the stack running.")]
Port = Annotated[
    int | None, typer.Option(envvar="JOBYARD_PORT", help=f"The stack's port.  [default: {PORT}]")
]
WebPort = Annotated[
    int | None,
    typer.Option(envvar="JOBYARD_WEB_PORT", help=f"The port of the pages.  [default: {WEB_PORT}]"),
]

_Resource = TypeVar("_Resource")  # what a demo needs besides the stack


class DemoFailed(JobyardError):
    """A command of a demo failed, or succeeded when it should have been refused."""


@dataclass(frozen=True)
class DemoOptions:
    """Options of a demo, and the next steps it prints: commands, and a document to read.

    Each next step is a pair with its description. Without a port the stack keeps its own. `users`
    are the demo users whose pages are worth a look.
    """

    keep: bool
    port: int | None
    web_port: int | None
    files_port: int | None
    users: Sequence[str]
    commands: Sequence[tuple[str, str]]
    document: tuple[str, str]


@contextmanager
def local_stack(demo: DemoOptions, keeps_running: bool, console: Console) -> Iterator[Emulator]:
    """The local stack, started if necessary, and stopped at the end unless it `keeps_running`."""

    def say(message: str) -> None:
        console.print(Text(message, style="dim"), soft_wrap=True)

    try:
        with emulator.exclusive(HOME, say):
            running = emulator.running(HOME)
            if running is None:
                say("starting the local stack")
                running = emulator.start(
                    HOME, demo.port or PORT, demo.web_port or WEB_PORT, say=say
                )
            running = emulator.updated(running, demo.web_port or WEB_PORT, say)
            emulator.wait_until_ready(running, say)
            demo_stack.deploy(running, demo.files_port, say)
        yield running
    finally:
        if not keeps_running and emulator.stop(HOME):
            if error := emulator.save_error(HOME):
                say(f"Its latest changes were not saved: {error}.")
            console.print(
                "[dim]The stack is stopped and keeps its data: "
                "[/][bold]make local[/][dim] starts it again.[/]"
            )


def run_demo(
    demo: DemoOptions,
    setup: AbstractContextManager[_Resource],
    play: Callable[[_Resource, Emulator, Console], str],
) -> None:
    """Play a demo on the local stack, then print the next steps and how long it took.

    `play` gets what `setup` yields, the running stack and the console. It returns the path of the
    page that shows the result.

    Raises:
        typer.Exit: with 1 after printing the error of a command or of the stack.
    """
    console = terminal.console()
    began = time.monotonic()
    try:
        keeps_running = demo.keep or emulator.running(HOME) is not None
        with (
            setup as resource,
            local_stack(demo, keeps_running, console) as running,
        ):
            page = play(resource, running, console)
            restart = [("make local", "start the stack again, with all of this")]
            console.print("\n[bold cyan]Next steps[/]\n")
            console.print(
                tables.next_commands([*([] if keeps_running else restart), *demo.commands])
            )
            document, about = demo.document
            console.print(f"  [bold]{document}[/]   [dim]{about}[/]")
            took = time.monotonic() - began
            console.print(f"\n[dim]The demo took {terminal.duration(took)}.[/]")
            link = f"{running.web_url}/{page}"
            _show_link(link, demo.users, keeps_running, console)
    except (JobyardError, ClientError, BotoCoreError, httpx.HTTPError, OSError) as error:
        terminal.print_error(str(error))
        raise typer.Exit(1) from error


def _show_link(link: str, users: Sequence[str], keeps_running: bool, console: Console) -> None:
    """Print where the page is, and which user to sign in as."""
    after = "" if keeps_running else " after [bold]make local[/]"
    console.print(
        f"\nSee it in a browser{after}: [bold]{link}[/]\n"
        f"Sign in as {' or '.join(f'[bold]{user}[/]' for user in users)}, "
        f"password [bold]{demo_users.PASSWORD}[/].\n",
        soft_wrap=True,
    )


class DemoRunner:
    """Shows commands as a user would type them, and runs them as demo users.

    `sessions` is a temporary folder for the sessions of these users, `home` the stack's folder, and
    `transport` the network.
    """

    def __init__(
        self,
        console: Console,
        sessions: Path,
        endpoint: str,
        *,
        home: Path = HOME,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.console = console
        self.endpoint = endpoint
        self._sessions = sessions
        self._home = home
        self._transport = transport

    def section(self, title: str) -> None:
        """Print the title of the next part."""
        self.console.print(f"\n[bold cyan]{title}[/]\n")

    def show_command(self, user: str, command: str) -> None:
        """Show a command, and who types it."""
        line = Text.assemble((f"{user} $ ", "dim"), (command, "bold"))
        self.console.print(line, soft_wrap=True)

    def run(self, user: str, *arguments: str) -> None:
        """Show and run a command as `user`.

        Raises:
            DemoFailed: the command failed.
        """
        if self._fails(user, arguments):
            raise DemoFailed(f"`{arguments[0]}` failed")

    def expect_refusal(self, user: str, *arguments: str) -> None:
        """Show and run a command that `user` is not authorized to run.

        Raises:
            DemoFailed: the command succeeded.
        """
        if not self._fails(user, arguments):
            raise DemoFailed(f"`{arguments[0]}` was not refused")

    def _fails(self, user: str, arguments: tuple[str, ...]) -> bool:
        shown = [_quoted(each) if " " in each else each for each in arguments]
        self.show_command(user, f"jobyard {' '.join(shown)}")
        try:
            return bool(app(arguments, standalone_mode=False, obj=self.as_user(user)))
        except click.exceptions.Exit as end:
            return bool(end.exit_code)

    def as_user(self, user: str) -> CliContext:
        """A CLI context with `user` signed in. The stored session stays unchanged."""

        def connect(_: str) -> StackConnection:
            session_file = self._sessions / f"{user}.json"
            return replace(
                local_connection(self._home), session_file=session_file, default_user=user
            )

        return CliContext(connect, self._transport)


def _quoted(argument: str) -> str:
    """An argument with blanks as a shell reads it."""
    quote = "'" if '"' in argument else '"'
    return f"{quote}{argument}{quote}"
