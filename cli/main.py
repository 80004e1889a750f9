"""`jobyard`: the command. It puts the commands together and says in words what went wrong."""

import importlib
from importlib import metadata
from typing import Annotated, Any

import httpx
import typer
from botocore.exceptions import BotoCoreError, ClientError
from typer.core import TyperGroup
from typer.main import get_group

from cli import auth, commands, lifecycles, show, submit, terminal
from cli.session import CliContext
from jobyard.domain.errors import JobyardError

# Groups whose modules take long to import: only when one of them is called.
LAZY_GROUPS = {
    "local": ("cli.local.commands", "The stack on this laptop: up, down, status, mail, logs."),
    "manifest": ("cli.manifest", "Check a manifest, or make one for a folder."),
    "collection": ("cli.collection", "Collections, and who may deposit in them."),
    "schedule": ("cli.schedules", "Jobs that recur: when they will, and when they did."),
    "calendar": ("cli.calendars", "Named calendars, which leave times of schedules out."),
}


class CommandGroup(TyperGroup):
    """The commands of `jobyard`. A refusal is its words on standard error and exit code 1."""

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]
        return [*super().list_commands(ctx), *LAZY_GROUPS]

    def get_command(self, ctx: typer.Context, name: str) -> Any:  # type: ignore[override]
        """A command; of those in LATE only what help says of it."""
        if name in LAZY_GROUPS:
            return TyperGroup(name=name, help=LAZY_GROUPS[name][1])
        return super().get_command(ctx, name)

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
            raise  # whoever read has seen enough
        except (JobyardError, OSError) as error:
            words = str(error)
        except UnicodeEncodeError as error:
            words = f"{terminal.printable_path(error.object[:80])}: this is no UTF-8"
        except (httpx.HTTPError, httpx.InvalidURL, ClientError, BotoCoreError) as error:
            words = f"the stack does not answer as it should: {error}"
        terminal.print_error(words)
        raise typer.Exit(1)


app = typer.Typer(
    cls=CommandGroup,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Without --stack all commands talk to the local stack, as the demo's admin unless you "
    "sign in as someone else.",
)
for module in (submit, show, commands, auth, lifecycles):
    app.add_typer(module.app)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"jobyard {metadata.version('jobyard')}")
        raise typer.Exit


@app.callback()
def main(
    ctx: typer.Context,
    version: Annotated[  # its callback has told it
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Jobyard: manifests become jobs, files in an archive, and one report in the inbox."""
    ctx.obj = ctx.obj or CliContext()
