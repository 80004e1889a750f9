"""What the demos are told on: the local stack, and commands typed and run as one of its people."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import click
from rich.console import Console
from rich.text import Text

from cli import session
from cli.local import clients, deployment, emulator, people
from cli.local.emulator import HOME, PORT, Emulator
from cli.main import app
from cli.session import Deployment, Surroundings
from jobyard.domain.errors import JobyardError


class DemoFailed(JobyardError):
    """A command of a demo ended as it should not; what it said stands above."""


@contextmanager
def local_stack(
    port: int | None, files_port: int, stays: bool, console: Console
) -> Iterator[Emulator]:
    """The local stack, started if it does not run, and stopped at the end unless it `stays`."""
    running = emulator.running(HOME)
    if running is None:
        console.print("[dim]starting the local stack[/]")
        running = emulator.start(HOME, port or PORT)
    try:
        stack = deployment.deploy(
            running.endpoint,
            deployment.parameters(running.endpoint, files_port),
            build=HOME / "build",
            say=lambda words: console.print(f"[dim]{words}[/]"),
        )
        people.ensure(clients.client("cognito-idp", running.endpoint), stack.user_pool)
        yield running
    finally:
        if not stays:
            emulator.stop(HOME)
            console.print(
                "[dim]The stack is stopped, and keeps what it holds: "
                "[/][bold]make local[/][dim] starts it again.[/]"
            )


class Stage:
    """What a demo's acts share. `run` shows a command as one would type it, and runs it.

    `sessions` is a folder for the people who are signed in during the demo, and not beyond.
    """

    def __init__(self, console: Console, sessions: Path, endpoint: str) -> None:
        self.console = console
        self.endpoint = endpoint
        self._sessions = sessions

    def act(self, title: str) -> None:
        """Begin the next part of the story."""
        self.console.print(f"\n[bold cyan]{title}[/]\n")

    def type(self, command: str) -> None:
        """Show a command."""
        self.console.print(Text.assemble(("$ ", "dim"), (command, "bold")), soft_wrap=True)

    def run(self, person: str, *words: str) -> None:
        """Run a command as one of the demo's people.

        Raises:
            DemoFailed: it was refused.
        """
        if self._ends_badly(person, words):
            raise DemoFailed(f"`{words[0]}` did not end as it should")

    def refused(self, person: str, *words: str) -> None:
        """Run a command that this person may not send.

        Raises:
            DemoFailed: it was not refused.
        """
        if not self._ends_badly(person, words):
            raise DemoFailed(f"`{words[0]}` was not refused")

    def _ends_badly(self, person: str, words: tuple[str, ...]) -> bool:
        shown = [f'"{word}"' if " " in word else word for word in words]
        self.type(f"jobyard {' '.join(shown)}")
        try:
            return bool(app(words, standalone_mode=False, obj=self.as_person(person)))
        except click.exceptions.Exit as end:
            return bool(end.exit_code)

    def as_person(self, person: str) -> Surroundings:
        """The CLI's surroundings with `person` signed in, apart from whoever is signed in here."""

        def deployed(_: str) -> Deployment:
            kept = self._sessions / f"{person}.json"
            return replace(session.on_this_laptop(HOME), kept=kept, person=person)

        return Surroundings(deployed)
