"""The `jobyard` command: assembles all commands and prints errors as text."""

import importlib
from importlib import metadata
from typing import Annotated, Any

import httpx
import typer
from botocore.exceptions import BotoCoreError, ClientError
from typer.core import TyperGroup
from typer.main import get_group

from cli import auth, commands, lifecycles, show, submit, terminal, worklist
from cli.context import CliContext
from jobyard.domain.errors import JobyardError

# Command groups whose modules are slow to import. They are imported when they are called.
LAZY_GROUPS = {
    "local": ("cli.local.commands", "Run the stack on this laptop: up, down, status, mail, logs."),
    "manifest": ("cli.manifest", "Check a manifest, or make one for a folder."),
    "campaign": ("cli.campaigns", "Start campaigns and watch them."),
    "dataset": ("cli.datasets", "Check, load, show and export datasets."),
    "edit": ("cli.edits", "Plan, do and review edit jobs."),
    "team": ("cli.teams", "Manage the teams of edit jobs."),
    "collection": ("cli.collection", "Manage collections and who may deposit in them."),
    "object": ("cli.objects", "Show stored objects and download their files."),
    "schedule": ("cli.schedules", "Manage recurring jobs."),
    "webhook": ("cli.webhooks", "Manage webhooks: URLs that get a signed request at an end."),
    "calendar": ("cli.calendars", "Manage the calendars that schedules follow."),
}


class CommandGroup(TyperGroup):
    """The top-level commands. An error is printed on standard error and exits with 1."""

    def __init__(self, **named: Any) -> None:
        super().__init__(**named)
        for name, (_, text) in LAZY_GROUPS.items():  # for the help, and for guesses after a typo
            self.commands[name] = TyperGroup(name=name, help=text)

    def resolve_command(  # type: ignore[override]
        self, ctx: typer.Context, args: list[str]
    ) -> tuple[str | None, Any, list[str]]:
        if args[0] in LAZY_GROUPS:
            module = importlib.import_module(LAZY_GROUPS[args[0]][0])
            return args[0], get_group(module.app), args[1:]
        return super().resolve_command(ctx, args)

    def main(self, *args: Any, **named: Any) -> Any:
        terminal.prepare_streams()
        return super().main(*args, **named)

    def invoke(self, ctx: typer.Context) -> Any:  # type: ignore[override]
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise  # the reader closed the pipe
        except (JobyardError, OSError) as error:
            message = str(error)
        except UnicodeEncodeError as error:
            message = f"{terminal.printable_path(error.object[:80])}: this is not UTF-8"
        except (httpx.HTTPError, httpx.InvalidURL, ClientError, BotoCoreError) as error:
            message = f"unexpected response from the stack: {error}"
        terminal.print_error(message)
        raise typer.Exit(1)


app = typer.Typer(
    cls=CommandGroup,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Without --stack, all commands use the local stack. There you are the demo user `admin` "
    "until you sign in as someone else.",
)
for module in (submit, show, commands, auth, lifecycles, worklist):
    app.add_typer(module.app)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"jobyard {metadata.version('jobyard')}")
        raise typer.Exit


@app.callback()
def main(
    ctx: typer.Context,
    version: Annotated[  # the callback prints it
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Jobyard: a serverless job service. Submit manifests, schedule jobs, watch and repair them."""
    ctx.obj = ctx.obj or CliContext()
