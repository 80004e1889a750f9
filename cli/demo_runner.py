"""What the demos are told on: the local stack, and commands typed and run as one of its people."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import click
import httpx
import typer
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.text import Text

from cli import session, terminal
from cli.local import demo_stack, emulator
from cli.local.emulator import HOME, PORT, Emulator
from cli.main import app
from cli.session import CliContext, Deployment
from jobyard.domain.errors import JobyardError

_Resource = TypeVar("_Resource")  # what a story brings beside the stack


class DemoFailed(JobyardError):
    """A command of a demo ended as it should not; what it said stands above."""


@contextmanager
def local_stack(
    port: int | None, files_port: int | None, stays: bool, console: Console
) -> Iterator[Emulator]:
    """The local stack, started if it does not run, and stopped at the end unless it `stays`."""

    def say(words: str) -> None:
        console.print(Text(words, style="dim"), soft_wrap=True)

    try:
        with emulator.exclusive(HOME, say):
            running = emulator.running(HOME)
            if running is None:
                say("starting the local stack")
                running = emulator.start(HOME, port or PORT, say=say)
            emulator.wait_until_ready(running, say)
            demo_stack.deploy(running, files_port, say)
        yield running
    finally:
        if not stays and emulator.stop(HOME):
            if why := emulator.save_error(HOME):
                say(f"What it held last is not saved: {why}.")
            console.print(
                "[dim]The stack is stopped, and keeps what it holds: "
                "[/][bold]make local[/][dim] starts it again.[/]"
            )


@dataclass(frozen=True)
class DemoOptions:
    """What was asked of a demo, and where to look after it: commands with what each does, a page
    with what it is about. Without a port the stack has its own."""

    keep: bool
    port: int | None
    files_port: int | None
    commands: Sequence[tuple[str, str]]
    page: tuple[str, str]


def run_demo(
    demo: DemoOptions,
    around: AbstractContextManager[_Resource],
    tell: Callable[[_Resource, Emulator, Console], None],
) -> None:
    """Tell a story on the local stack, inside of what it brings; then where to look, and how long
    it took. What it refuses is said in words, and ends the program with 1."""
    console = terminal.console()
    began = time.monotonic()
    try:
        stays = demo.keep or emulator.running(HOME) is not None
        with around as brought, local_stack(demo.port, demo.files_port, stays, console) as running:
            tell(brought, running, console)
            up = [] if stays else [("make local", "the stack again, to stay; it holds all of this")]
            console.print("\n[bold cyan]Where to look next[/]\n")
            console.print(terminal.next_commands([*up, *demo.commands]))
            page, about = demo.page
            console.print(f"  [bold]{page}[/]   [dim]{about}[/]")
            took = time.monotonic() - began
            console.print(f"\n[dim]The demo took {terminal.duration(took)}.[/]")
    except (JobyardError, ClientError, BotoCoreError, httpx.HTTPError, OSError) as error:
        terminal.print_error(str(error))
        raise typer.Exit(1) from error


class DemoRunner:
    """What a demo's acts share. `run` shows a command as one would type it, and runs it.

    `sessions` is a folder for the people who are signed in during the demo, and not beyond.
    """

    def __init__(self, console: Console, sessions: Path, endpoint: str) -> None:
        self.console = console
        self.endpoint = endpoint
        self._sessions = sessions

    def section(self, title: str) -> None:
        """Begin the next part of the story."""
        self.console.print(f"\n[bold cyan]{title}[/]\n")

    def show_command(self, command: str) -> None:
        """Show a command."""
        self.console.print(Text.assemble(("$ ", "dim"), (command, "bold")), soft_wrap=True)

    def run(self, user: str, *words: str) -> None:
        """Run a command as one of the demo's people.

        Raises:
            DemoFailed: it was refused.
        """
        if self._fails(user, words):
            raise DemoFailed(f"`{words[0]}` did not end as it should")

    def expect_refusal(self, user: str, *words: str) -> None:
        """Run a command that this user may not send.

        Raises:
            DemoFailed: it was not refused.
        """
        if not self._fails(user, words):
            raise DemoFailed(f"`{words[0]}` was not refused")

    def _fails(self, user: str, words: tuple[str, ...]) -> bool:
        shown = [f'"{word}"' if " " in word else word for word in words]
        self.show_command(f"jobyard {' '.join(shown)}")
        try:
            return bool(app(words, standalone_mode=False, obj=self.as_user(user)))
        except click.exceptions.Exit as end:
            return bool(end.exit_code)

    def as_user(self, user: str) -> CliContext:
        """The CLI's surroundings with `user` signed in, apart from whoever is signed in here."""

        def deployed(_: str) -> Deployment:
            session_file = self._sessions / f"{user}.json"
            return replace(
                session.local_deployment(HOME), session_file=session_file, default_user=user
            )

        return CliContext(deployed)
