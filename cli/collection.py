"""`jobyard collection`: what objects belong to, and who may deposit in it."""

from typing import Annotated

import typer

from cli import options, terminal
from cli.client import ApiClient, Document
from cli.options import Json, Reason, StackName
from cli.show import Limit, Rows, section, show_list
from cli.terminal import local_time

app = typer.Typer(no_args_is_help=True, help="Collections, and who may deposit in them.")

Name = Annotated[str, typer.Argument(parser=options.collection_name, metavar="NAME")]
Users = Annotated[
    list[str] | None,
    typer.Argument(metavar="PERSON", help="User names; may be repeated."),
]
Groups = Annotated[
    list[str] | None,
    typer.Option("--group", metavar="GROUP", help="A group of the user pool; may be repeated."),
]
Owner = Annotated[
    str, typer.Option(metavar="PERSON", help="Who owns it, by user name.", show_default=False)
]
Naans = Annotated[
    list[str] | None,
    typer.Option(
        "--naan", metavar="NAAN", help="Arks of this authority may be given; may be repeated."
    ),
]
Notify = Annotated[
    list[str] | None,
    typer.Option(
        metavar="ADDRESS",
        parser=options.recipient,
        help="Told when a submission names nobody; may be repeated.",
    ),
]


@app.callback()
def collection() -> None:
    """Collections, and who may deposit in them."""


@app.command("list")
def list_all(
    ctx: typer.Context, limit: Limit = 100, stack: StackName = "", as_json: Json = False
) -> None:
    """The collections you may know of, by name."""
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
    columns = ("!collection", "owner", "!you may deposit", "who may", "held")
    show_list(found, columns, rows, "collection", as_json=as_json)


@app.command()
def show(ctx: typer.Context, name: Name, stack: StackName = "", as_json: Json = False) -> None:
    """One collection: who may deposit, and who changed that and why."""
    _show(ctx.obj.api(stack).get(f"/collections/{name}"), as_json=as_json)


@app.command()
def create(
    ctx: typer.Context,
    name: Name,
    reason: Annotated[
        str,
        typer.Option(parser=options.reason, metavar="TEXT", help="Why.", show_default=False),
    ] = "",
    owner: Owner = "",
    allow: Annotated[
        list[str] | None,
        typer.Option(metavar="PERSON", help="May deposit, by user name; may be repeated."),
    ] = None,
    group: Groups = None,
    naan: Naans = None,
    notify: Notify = None,
    drops: Annotated[
        bool, typer.Option("--drops", help="Manifests may be dropped in the bucket for it.")
    ] = False,
    stack: StackName = "",
    as_json: Json = False,
) -> None:
    """Make a collection. Only its owner and admins may deposit until others are allowed to."""
    wanted: Document = {
        "name": name,
        "people": allow or [],
        "groups": group or [],
        "naans": naan or [],
        "notify": notify or [],
        "drops": drops,
        **({"owner": owner} if owner else {}),
        **({"reason": reason} if reason else {}),
    }
    _show(ctx.obj.api(stack).post("/collections", wanted), as_json=as_json)


@app.command()
def edit(
    ctx: typer.Context,
    name: Name,
    reason: Reason,
    owner: Owner = "",
    naan: Naans = None,
    no_naans: Annotated[bool, typer.Option("--no-naans", help="No arks may be given.")] = False,
    notify: Notify = None,
    no_notify: Annotated[
        bool, typer.Option("--no-notify", help="Nobody is told by the collection.")
    ] = False,
    drops: Annotated[
        bool | None,
        typer.Option(
            "--drops/--no-drops",
            help="Whether manifests may be dropped in the bucket for it.",
            show_default=False,
        ),
    ] = None,
    stack: StackName = "",
    as_json: Json = False,
) -> None:
    """Change a collection. NAANs and addresses that are given replace all that were there.

    An owner may take NAANs away; only an admin adds one.
    """
    for given, none, flag in ((naan, no_naans, "naan"), (notify, no_notify, "notify")):
        if given and none:
            raise typer.BadParameter(f"either --{flag} or none of them", param_hint=f"--{flag}")
    wanted: Document = {
        **({"owner": owner} if owner else {}),
        **({"naans": naan or []} if naan or no_naans else {}),
        **({"notify": notify or []} if notify or no_notify else {}),
        **({} if drops is None else {"drops": drops}),
    }
    if not wanted:
        raise typer.BadParameter("say what is to change: --owner, --naan, --notify or --drops")
    api: ApiClient = ctx.obj.api(stack)
    found = api.patch(f"/collections/{name}", {"reason": reason, **wanted})
    _show(found, as_json=as_json)


@app.command()
def allow(
    ctx: typer.Context,
    name: Name,
    reason: Reason,
    person: Users = None,
    group: Groups = None,
    stack: StackName = "",
    as_json: Json = False,
) -> None:
    """Let people, or groups of the user pool, deposit into a collection."""
    wanted = _principals(person, group, reason)
    _show(ctx.obj.api(stack).post(f"/collections/{name}/allow", wanted), as_json=as_json)


@app.command()
def deny(
    ctx: typer.Context,
    name: Name,
    reason: Reason,
    person: Users = None,
    group: Groups = None,
    stack: StackName = "",
    as_json: Json = False,
) -> None:
    """Take away the right to deposit. What has not been written yet is stopped."""
    wanted = _principals(person, group, reason)
    _show(ctx.obj.api(stack).post(f"/collections/{name}/deny", wanted), as_json=as_json)


def _principals(people: list[str] | None, groups: list[str] | None, reason: str) -> Document:
    if not (people or groups):
        raise typer.BadParameter("name somebody: PERSON, or --group GROUP")
    return {"people": people or [], "groups": groups or [], "reason": reason}


def _show(found: Document, *, as_json: bool) -> None:
    if as_json:
        terminal.print_json(found)
        return
    facts = (
        ("collection", found["name"]),
        ("owner", found["owner"]),
        ("may deposit", _depositors(found)),
        ("NAANs", ", ".join(found["naans"]) or "none: no ark may be given"),
        ("tells", ", ".join(found["notify"]) or "who submits"),
        ("held", _held(found) or "no"),
        ("you may", _rights(found)),
    )
    terminal.console().print(terminal.key_values(facts))
    changes: Rows = [
        (local_time(each["at"]), each["event"], each["what"], each["actor"], each["reason"])
        for each in found["history"]
    ]
    section("History", ("!at", "!event", "what", "by", "reason"), changes)


def _depositors(found: Document) -> str:
    names = [each["name"] for each in found["people"]]
    names += [f"group {group}" for group in found["groups"]]
    names += ["whoever drops manifests in the bucket"] if found["drops"] else []
    return ", ".join(names) or "its owner and admins only"


def _held(found: Document) -> str:
    hold = found["held"]
    if not hold:
        return ""
    return (
        f"{hold['why']}, until {local_time(hold['until'])}" if hold["until"] else str(hold["why"])
    )


def _rights(found: Document) -> str:
    rights = ["deposit"] if found["may_deposit"] else []
    rights += ["change it"] if found["may_edit"] else []
    return " and ".join(rights) or "look at it"
