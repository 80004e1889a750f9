"""`jobyard collection`: manage collections and who may deposit in them."""

from typing import Annotated

import typer

from cli import options, tables, terminal
from cli.client import ApiClient, Document
from cli.options import Json, Limit, Reason, StackName
from cli.show import Rows, section, show_list
from cli.terminal import local_time

app = typer.Typer(no_args_is_help=True, help="Manage collections and who may deposit in them.")

Name = Annotated[str, typer.Argument(parser=options.collection_name, metavar="NAME")]
Users = Annotated[
    list[str] | None,
    typer.Argument(metavar="USER", help="User name; may be repeated."),
]
Groups = Annotated[
    list[str] | None,
    typer.Option("--group", metavar="GROUP", help="Group of the user pool; may be repeated."),
]
Owner = Annotated[
    str, typer.Option(metavar="USER", help="User name of the owner.", show_default=False)
]
Naans = Annotated[
    list[str] | None,
    typer.Option(
        "--naan", metavar="NAAN", help="Objects may have arks of this NAAN; may be repeated."
    ),
]
Notify = Annotated[
    list[str] | None,
    typer.Option(
        metavar="ADDRESS",
        parser=options.recipient,
        help="Gets reports of batches that name no recipient; may be repeated.",
    ),
]


@app.callback()
def collection() -> None:
    """Manage collections and who may deposit in them."""


@app.command("list")
def list_all(
    ctx: typer.Context, limit: Limit = 100, stack: StackName = "", as_json: Json = False
) -> None:
    """List the collections you may see, by name."""
    found = ctx.obj.api(stack).list_items("/collections", limit)
    rows: Rows = [
        (
            each["name"],
            each["owner"],
            "yes" if each["may_deposit"] else "no",
            _depositors(each),
            _held(each),
        )
        for each in found["items"]
    ]
    columns = ("!collection", "owner", "!you may deposit", "depositors", "on hold")
    show_list(found, columns, rows, "collection", as_json=as_json)


@app.command()
def show(ctx: typer.Context, name: Name, stack: StackName = "", as_json: Json = False) -> None:
    """Show a collection: its owner, its depositors and its history."""
    _show(ctx.obj.api(stack).get(f"/collections/{name}"), as_json=as_json)


@app.command()
def create(
    ctx: typer.Context,
    name: Name,
    reason: Annotated[
        str,
        typer.Option(parser=options.reason, metavar="TEXT", help="The reason.", show_default=False),
    ] = "",
    owner: Owner = "",
    allow: Annotated[
        list[str] | None,
        typer.Option(metavar="USER", help="This user may deposit; may be repeated."),
    ] = None,
    group: Groups = None,
    naan: Naans = None,
    notify: Notify = None,
    drops: Annotated[
        bool, typer.Option("--drops", help="Accept manifests dropped in the intake bucket.")
    ] = False,
    stack: StackName = "",
    as_json: Json = False,
) -> None:
    """Create a collection. Only its owner and admins may deposit until you allow others."""
    body: Document = {
        "name": name,
        "people": allow or [],
        "groups": group or [],
        "naans": naan or [],
        "notify": notify or [],
        "accepts_drops": drops,
        **({"owner": owner} if owner else {}),
        **({"reason": reason} if reason else {}),
    }
    _show(ctx.obj.api(stack).post("/collections", body), as_json=as_json)


@app.command()
def edit(
    ctx: typer.Context,
    name: Name,
    reason: Reason,
    owner: Owner = "",
    naan: Naans = None,
    no_naans: Annotated[bool, typer.Option("--no-naans", help="Allow no arks.")] = False,
    notify: Notify = None,
    no_notify: Annotated[
        bool, typer.Option("--no-notify", help="The collection has no recipients of its own.")
    ] = False,
    drops: Annotated[
        bool | None,
        typer.Option(
            "--drops/--no-drops",
            help="Whether to accept manifests dropped in the intake bucket.",
            show_default=False,
        ),
    ] = None,
    stack: StackName = "",
    as_json: Json = False,
) -> None:
    """Change a collection. --naan and --notify replace all existing values.

    An owner may remove NAANs; only an admin may add one.
    """
    for values, none, option, no_option in (
        (naan, no_naans, "--naan", "--no-naans"),
        (notify, no_notify, "--notify", "--no-notify"),
    ):
        if values and none:
            raise typer.BadParameter(f"give {option} or {no_option}, not both", param_hint=option)
    body: Document = {
        **({"owner": owner} if owner else {}),
        **({"naans": naan or []} if naan or no_naans else {}),
        **({"notify": notify or []} if notify or no_notify else {}),
        **({} if drops is None else {"accepts_drops": drops}),
    }
    if not body:
        raise typer.BadParameter("nothing to change: give --owner, --naan, --notify or --drops")
    api: ApiClient = ctx.obj.api(stack)
    edited = api.patch(f"/collections/{name}", {"reason": reason, **body})
    _show(edited, as_json=as_json)


@app.command()
def allow(
    ctx: typer.Context,
    name: Name,
    reason: Reason,
    user: Users = None,
    group: Groups = None,
    stack: StackName = "",
    as_json: Json = False,
) -> None:
    """Allow users, or groups of the user pool, to deposit in a collection."""
    body = _depositors_request(user, group, reason)
    _show(ctx.obj.api(stack).post(f"/collections/{name}/allow", body), as_json=as_json)


@app.command()
def deny(
    ctx: typer.Context,
    name: Name,
    reason: Reason,
    user: Users = None,
    group: Groups = None,
    stack: StackName = "",
    as_json: Json = False,
) -> None:
    """Revoke the right to deposit. Running jobs stop before their next write."""
    body = _depositors_request(user, group, reason)
    _show(ctx.obj.api(stack).post(f"/collections/{name}/deny", body), as_json=as_json)


def _depositors_request(users: list[str] | None, groups: list[str] | None, reason: str) -> Document:
    if not (users or groups):
        raise typer.BadParameter("give a USER or --group GROUP")
    return {"people": users or [], "groups": groups or [], "reason": reason}


def _show(found: Document, *, as_json: bool) -> None:
    if as_json:
        terminal.print_json(found)
        return
    facts = (
        ("collection", found["name"]),
        ("owner", found["owner"]),
        ("depositors", _depositors(found)),
        ("NAANs", ", ".join(found["naans"]) or "none: objects may not have arks"),
        ("reports to", ", ".join(found["notify"]) or "the submitter"),
        ("on hold", _held(found) or "no"),
        ("you may", _rights(found)),
    )
    terminal.console().print(tables.key_values(facts))
    changes: Rows = [
        (local_time(each["at"]), each["event"], each["changes"], each["actor"], each["reason"])
        for each in found["history"]
    ]
    section("History", ("!at", "!event", "change", "by", "reason"), changes)


def _depositors(found: Document) -> str:
    names = [each["name"] for each in found["people"]]
    names += [f"group {group}" for group in found["groups"]]
    names += ["anyone who can write to the intake bucket"] if found["accepts_drops"] else []
    return ", ".join(names) or "only its owner and admins"


def _held(found: Document) -> str:
    hold = found["hold"]
    if not hold:
        return ""
    return (
        f"{hold['description']}, until {local_time(hold['until'])}"
        if hold["until"]
        else str(hold["description"])
    )


def _rights(found: Document) -> str:
    rights = ["deposit"] if found["may_deposit"] else []
    rights += ["edit"] if found["may_edit"] else []
    return " and ".join(rights) or "view"
