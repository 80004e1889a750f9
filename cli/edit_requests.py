"""`jobyard edit` with a stack: propose, plan, do and review edit jobs."""

import hashlib
import json
from datetime import datetime
from http import HTTPStatus
from io import BufferedReader, BytesIO
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from cli import edit_view, options, show, terminal
from cli.client import ApiClient, ApiError, Document
from cli.findings import EXIT_ERRORS
from cli.options import Json, Limit, StackName
from jobyard.domain.edits.edit_job import EditState
from jobyard.domain.edits.package import attachment_name, attempt_of
from jobyard.domain.edits.upload import Choice, UploadKind
from jobyard.domain.edits.work import Priority, UploadOutcome
from jobyard.domain.errors import BadRequest, JobyardError
from jobyard.domain.ids import is_child_id, is_edit_id
from jobyard.domain.plurals import plural

app = typer.Typer()
attachments = typer.Typer(
    no_args_is_help=True, help="Ask data custodians for files, get them, or answer for them."
)
app.add_typer(attachments, name="attachment")

_CHANGES_PAGE = 50  # changes, which may be large
_POLL_S = 1.0


def _job_id(text: str) -> str:
    """The id of an edit job, a fix-up or a review."""
    if not (is_edit_id(text) or is_child_id(text)):
        raise typer.BadParameter(
            f"{text!r} is not the id of an edit job: e, x or r and 20 characters of a-z, 2-7"
        )
    return text


EditId = Annotated[str, typer.Argument(parser=_job_id, metavar="ID", help="Its id.")]
OptionalReason = Annotated[
    str, typer.Option("--reason", parser=options.reason, metavar="TEXT", help="Why.")
]
Comment = Annotated[str, typer.Option(metavar="TEXT", help="The worker reads it.")]
Instant = Annotated[
    datetime | None, typer.Option(parser=options.instant, metavar="TIME", help="As planned.")
]
Box = Annotated[
    tuple[float, float, float, float] | None,
    typer.Option(metavar="WEST SOUTH EAST NORTH", help="The extent in degrees."),
]
Polygon = Annotated[
    str, typer.Option(metavar="JSON", help="Or a list of [longitude, latitude]; @FILE for one.")
]
Features = Annotated[
    list[str] | None, typer.Option(metavar="ID", help="Or features; may be repeated.")
]
Quarantine = Annotated[
    bool | None,
    typer.Option(
        "--quarantine/--no-quarantine", help="A person reviews, or not; else as the type says."
    ),
]
Index = Annotated[int, typer.Argument(min=1, help="The number of the attachment.")]


_ONE_EXTENT = "give one of --box, --polygon and --feature"


def _extent(
    box: tuple[float, float, float, float] | None, polygon: str, features: list[str] | None
) -> Document:
    """The extent in options, as a document; empty if there is none."""
    extents = {
        "box": [*box] if box else None,
        "polygon": options.read_json("--polygon", polygon) if polygon else None,
        "features": features or None,
    }
    given = {kind: value for kind, value in extents.items() if value is not None}
    if len(given) > 1:
        raise typer.BadParameter(_ONE_EXTENT)
    return given


@app.command()
def propose(
    ctx: typer.Context,
    dataset: Annotated[str, typer.Argument(help="The dataset.")],
    name: Annotated[str, typer.Option(metavar="TEXT", help="Its name.")] = "",
    edit_type: Annotated[str, typer.Option("--type", metavar="TYPE", help="Its type.")] = "",
    box: Box = None,
    polygon: Polygon = "",
    feature: Features = None,
    buffer: Annotated[
        float, typer.Option(min=0, metavar="DEGREES", help="The context around the extent.")
    ] = 0.0,
    priority: Annotated[
        Priority, typer.Option(parser=options.one_of(Priority), metavar="PRIORITY")
    ] = Priority.NORMAL,
    planned_start: Instant = None,
    planned_end: Instant = None,
    quarantine: Quarantine = None,
    team: Annotated[
        str, typer.Option(metavar="TEAM", help="Allocate it to this team at once.")
    ] = "",
    assignee: Annotated[
        str, typer.Option("--to", metavar="USER", help="The one person of it who is to do it.")
    ] = "",
    stack: StackName = "",
    as_json: Json = False,
) -> None:
    """Propose an edit job. With --team it is allocated too; else `allocate` does that later."""
    extent = _extent(box, polygon, feature)
    if not extent:
        raise typer.BadParameter(_ONE_EXTENT)
    if assignee and not team:
        raise typer.BadParameter("--to needs a --team")
    body: Document = {
        "dataset": dataset,
        "extent": extent,
        "name": name,
        "type": edit_type,
        "buffer": buffer,
        "priority": priority.value,
        "planned_start": planned_start and planned_start.isoformat(),
        "planned_end": planned_end and planned_end.isoformat(),
        "quarantine": quarantine,
    }
    api: ApiClient = ctx.obj.api(stack)
    job = api.post("/edits", body)
    if team:
        try:
            job = api.post(f"/edits/{job['id']}/allocate", {"team": team, "assignee": assignee})
        except JobyardError:
            terminal.print_error(f"{job['id']} is proposed, and not allocated:")
            raise
    edit_view.print_state(job, as_json=as_json)


@app.command("copy")
def copy_one(
    ctx: typer.Context,
    job_id: EditId,
    reason: OptionalReason = "",
    stack: StackName = "",
    as_json: Json = False,
) -> None:
    """Propose an edit job like another one, without its planned times."""
    answer = ctx.obj.api(stack).post(f"/edits/{job_id}/copy", {"reason": reason})
    edit_view.print_state(answer, as_json=as_json)


@app.command("list")
def list_edits(
    ctx: typer.Context,
    ended: Annotated[bool, typer.Option("--ended", help="Those that have ended.")] = False,
    archived: Annotated[bool, typer.Option("--archived", help="Those that are archived.")] = False,
    stuck: Annotated[
        bool, typer.Option("--stuck", help="What the machine works on for too long. For admins.")
    ] = False,
    own: Annotated[bool, typer.Option("--own", help="Those you proposed, open or ended.")] = False,
    state: Annotated[
        EditState | None,
        typer.Option(parser=options.one_of(EditState), metavar="STATE", help="Those in a state."),
    ] = None,
    dataset: Annotated[str, typer.Option(metavar="DATASET", help="Those of a dataset.")] = "",
    team: Annotated[str, typer.Option(metavar="TEAM", help="Those allocated to a team.")] = "",
    edit_type: Annotated[str, typer.Option("--type", metavar="TYPE", help="Those of a type.")] = "",
    limit: Limit = 100,
    stack: StackName = "",
    as_json: Json = False,
) -> None:
    """List edit jobs, newest first: those that are open, of all datasets."""
    if ended + archived + stuck + own + bool(state) > 1:
        raise typer.BadParameter("give one of --ended, --archived, --stuck, --own and --state")
    lists = {"ended": ended, "archived": archived, "stuck": stuck}
    wanted = {
        "list": next((name for name, given in lists.items() if given), ""),
        "own": "true" if own else "",
        "state": state.value if state else "",
        "dataset": dataset,
        "team": team,
        "type": edit_type,
    }
    query = {name: value for name, value in wanted.items() if value}
    found = ctx.obj.api(stack).list_items("/edits", limit, **query)
    rows = edit_view.rows(found["items"])
    show.show_list(found, edit_view.COLUMNS, rows, "edit job", as_json=as_json)


@app.command("show")
def show_one(
    ctx: typer.Context, job_id: EditId, stack: StackName = "", as_json: Json = False
) -> None:
    """Show an edit job with its children, or a fix-up or review."""
    edit_view.print_job(ctx.obj.api(stack).get(f"/edits/{job_id}"), as_json=as_json)


@app.command()
def log(ctx: typer.Context, job_id: EditId, stack: StackName = "", as_json: Json = False) -> None:
    """Show the process log of an edit job and its children. For admins."""
    found = ctx.obj.api(stack).get(f"/edits/{job_id}/log")
    if as_json:
        terminal.print_json(found)
        return
    edit_view.print_log(found)


@app.command()
def changes(
    ctx: typer.Context,
    job_id: EditId,
    limit: Limit = 100,
    stack: StackName = "",
    as_json: Json = False,
) -> None:
    """List what an edit job changes, or what a fix-up or review is about."""
    path = f"/edits/{job_id}/changes"
    found = ctx.obj.api(stack).list_items(path, limit, page_size=_CHANGES_PAGE)
    if as_json:
        terminal.print_json(found)
        return
    edit_view.print_changes(found["items"])
    if found["total"] > len(found["items"]):
        total = plural(found["total"], "change")
        terminal.console().print(f"[dim]of {total}: use --limit for more[/]")


@app.command()
def findings(
    ctx: typer.Context, job_id: EditId, stack: StackName = "", as_json: Json = False
) -> None:
    """Show what a fix-up is about: broken rules, conflicts, or what a reviewer said."""
    found = ctx.obj.api(stack).get(f"/edits/{job_id}/findings")
    if as_json:
        terminal.print_json(found)
        return
    edit_view.print_findings(found)


@app.command()
def forecast(
    ctx: typer.Context, job_id: EditId, stack: StackName = "", as_json: Json = False
) -> None:
    """Show what may conflict with work that is out."""
    found = ctx.obj.api(stack).get(f"/edits/{job_id}/forecast")
    if as_json:
        terminal.print_json(found)
        return
    console = terminal.console()
    console.print(found["summary"])
    for each in found["overlapping"]:
        console.print(f"{each['id']} {each['state']} {each['worker']} {each['name']}")


@app.command()
def rescued(
    ctx: typer.Context,
    job_id: EditId,
    name: Annotated[
        str, typer.Argument(help="One of them, to see how it differs from the dataset now.")
    ] = "",
    stack: StackName = "",
    as_json: Json = False,
) -> None:
    """List the uploads that came when their claims were over, or show how one differs."""
    api: ApiClient = ctx.obj.api(stack)
    path = f"/edits/{job_id}/rescued"
    found = api.get(f"{path}/diff", name=name) if name else api.get(path)
    if as_json:
        terminal.print_json(found)
    elif name:
        edit_view.print_changes(found["changes"])
        terminal.console().print(f"{found['same']} the same; the file: {found['url']}")
    else:
        edit_view.print_rescued(found["items"])


@app.command()
def change(
    ctx: typer.Context,
    job_id: EditId,
    reason: options.Reason,
    name: Annotated[str | None, typer.Option(metavar="TEXT", help="Another name.")] = None,
    edit_type: Annotated[
        str | None, typer.Option("--type", metavar="TYPE", help="Another type, of a proposal.")
    ] = None,
    priority: Annotated[
        Priority | None, typer.Option(parser=options.one_of(Priority), metavar="PRIORITY")
    ] = None,
    planned_start: Instant = None,
    planned_end: Instant = None,
    box: Box = None,
    polygon: Polygon = "",
    feature: Features = None,
    buffer: Annotated[
        float | None, typer.Option(min=0, metavar="DEGREES", help="Another context.")
    ] = None,
    quarantine: Quarantine = None,
    stack: StackName = "",
    as_json: Json = False,
) -> None:
    """Change an edit job. A worker who has it keeps it.

    The extent, the type and the quarantine change only while it is proposed.
    """
    given = {
        "name": name,
        "type": edit_type,
        "priority": priority and priority.value,
        "planned_start": planned_start and planned_start.isoformat(),
        "planned_end": planned_end and planned_end.isoformat(),
        "extent": _extent(box, polygon, feature) or None,
        "buffer": buffer,
        "quarantine": quarantine,
    }
    body = {field: value for field, value in given.items() if value is not None}
    if not body:
        raise typer.BadParameter("nothing to change: see jobyard edit change --help")
    changed = ctx.obj.api(stack).patch(f"/edits/{job_id}", {"reason": reason, **body})
    edit_view.print_state(changed, as_json=as_json)


@app.command()
def allocate(
    ctx: typer.Context,
    job_id: EditId,
    team: Annotated[str, typer.Argument(help="The team; a child keeps its own.")] = "",
    assignee: Annotated[
        str, typer.Option("--to", metavar="USER", help="The one person who is to do it.")
    ] = "",
    reason: OptionalReason = "",
    stack: StackName = "",
    as_json: Json = False,
) -> None:
    """Allocate a proposal to a team, or give a fix-up or review to another person."""
    if not team and is_edit_id(job_id):
        raise typer.BadParameter("an edit job is allocated to a team", param_hint="TEAM")
    body = {"team": team, "assignee": assignee, "reason": reason}
    edit_view.print_state(
        ctx.obj.api(stack).post(f"/edits/{job_id}/allocate", body), as_json=as_json
    )


def _send(
    ctx: typer.Context, event: str, job_id: str, reason: str, stack: str, *, as_json: bool
) -> None:
    answer = ctx.obj.api(stack).post(f"/edits/{job_id}/{event}", {"reason": reason})
    edit_view.print_state(answer, as_json=as_json)


@app.command()
def activate(
    ctx: typer.Context, job_id: EditId, stack: StackName = "", as_json: Json = False
) -> None:
    """Claim a job. The first one has it."""
    _send(ctx, "activate", job_id, "", stack, as_json=as_json)


@app.command()
def relinquish(
    ctx: typer.Context,
    job_id: EditId,
    reason: OptionalReason = "",
    stack: StackName = "",
    as_json: Json = False,
) -> None:
    """Give back a job that you have. Your edits are dropped."""
    _send(ctx, "relinquish", job_id, reason, stack, as_json=as_json)


@app.command()
def finish(
    ctx: typer.Context, job_id: EditId, stack: StackName = "", as_json: Json = False
) -> None:
    """Complete an edit job of a read-only type."""
    _send(ctx, "finish", job_id, "", stack, as_json=as_json)


@app.command()
def delete(
    ctx: typer.Context,
    job_id: EditId,
    reason: OptionalReason = "",
    stack: StackName = "",
    as_json: Json = False,
) -> None:
    """Delete a proposal."""
    _send(ctx, "delete", job_id, reason, stack, as_json=as_json)


@app.command()
def revoke(
    ctx: typer.Context,
    job_id: EditId,
    reason: options.Reason,
    stack: StackName = "",
    as_json: Json = False,
) -> None:
    """Take an edit job back: it is a proposal again, and the work is dropped."""
    _send(ctx, "revoke", job_id, reason, stack, as_json=as_json)


@app.command()
def release(
    ctx: typer.Context,
    job_id: EditId,
    reason: OptionalReason = "",
    stack: StackName = "",
    as_json: Json = False,
) -> None:
    """End the claim of a worker who does nothing with it. Others may activate the job."""
    _send(ctx, "release", job_id, reason, stack, as_json=as_json)


@app.command()
def abandon(
    ctx: typer.Context,
    job_id: EditId,
    reason: options.Reason,
    stack: StackName = "",
    as_json: Json = False,
) -> None:
    """Abandon an edit job with its open child. All work is dropped."""
    _send(ctx, "abandon", job_id, reason, stack, as_json=as_json)


@app.command()
def retry(
    ctx: typer.Context,
    job_id: EditId,
    reason: OptionalReason = "",
    stack: StackName = "",
    as_json: Json = False,
) -> None:
    """Start an abandoned or failed edit job again."""
    _send(ctx, "retry", job_id, reason, stack, as_json=as_json)


@app.command()
def publish_again(
    ctx: typer.Context, job_id: EditId, stack: StackName = "", as_json: Json = False
) -> None:
    """Publish a committed edit job again. For admins."""
    _send(ctx, "publish_again", job_id, "", stack, as_json=as_json)


@app.command()
def archive(
    ctx: typer.Context,
    job_ids: Annotated[
        list[str] | None,
        typer.Argument(parser=_job_id, metavar="ID", help="Edit jobs that have ended."),
    ] = None,
    dataset: Annotated[
        str, typer.Option(metavar="DATASET", help="Instead: what a dataset completed long ago.")
    ] = "",
    older_than: Annotated[
        int, typer.Option(min=1, metavar="DAYS", help="How long ago, with --dataset.")
    ] = 30,
    stack: StackName = "",
    as_json: Json = False,
) -> None:
    """Archive edit jobs, up to 500 at once. Exits with 1 if one is not archived."""
    if bool(job_ids) is bool(dataset):
        raise typer.BadParameter("give ids, or a --dataset")
    body = {"edit_ids": job_ids or [], "dataset": dataset, "older_than_days": older_than}
    found = ctx.obj.api(stack).post("/edits/archive", body)
    if as_json:
        terminal.print_json(found)
    else:
        edit_view.print_archived(found)
    if not all(each["archived"] for each in found["items"]):
        raise typer.Exit(1)


@app.command()
def download(
    ctx: typer.Context,
    job_id: EditId,
    to: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where to write it; by default, its name.")
    ] = None,
    stack: StackName = "",
    as_json: Json = False,
) -> None:
    """Download the package of a job that you have."""
    api: ApiClient = ctx.obj.api(stack)
    link = api.post(f"/edits/{job_id}/download", {})
    target = to or Path(link["filename"])
    api.download(link["url"], target)
    if as_json:
        terminal.print_json(link)
    else:
        terminal.console().print(f"{target}: the package {link['job']['package']['package_id']}")


def _content_of(file: Path | None, choices: list[str]) -> BufferedReader | BytesIO:
    """What to upload: a file, or choices as one that has no features."""
    if (file is None) == (not choices):
        raise BadRequest("give a file, or decide conflicts with --choice ID=mine")
    if file is not None:
        return file.open("rb")
    made = {name: choice for name, _, choice in (each.rpartition("=") for each in choices)}
    if wrong := [each for each in made.values() if each not in set(Choice)]:
        raise BadRequest(f"--choice: {wrong[0]!r} is none of {', '.join(Choice)}")
    document = {"type": "FeatureCollection", "features": [], "choices": made}
    return BytesIO(json.dumps(document).encode())


@app.command()
def upload(
    ctx: typer.Context,
    job_id: EditId,
    file: Annotated[
        Path | None, typer.Argument(exists=True, dir_okay=False, help="GeoJSON or a zip.")
    ] = None,
    choices: Annotated[
        list[str] | None,
        typer.Option(
            "--choice",
            metavar="ID=CHOICE",
            help="Without a file: decide a conflict by mine, theirs or renumber; repeat it.",
        ),
    ] = None,
    whole: Annotated[
        bool, typer.Option("--whole", help="The file has all features, not only changed ones.")
    ] = False,
    deleting: Annotated[
        int | None,
        typer.Option(min=0, metavar="N", help="How many features it deletes, if they are many."),
    ] = None,
    comment: Comment = "",
    minutes: Annotated[int, typer.Option(min=0, help="The time spent.")] = 0,
    package: Annotated[
        str,
        typer.Option(metavar="ID", help="The package that was edited; by default the last one."),
    ] = "",
    stack: StackName = "",
    as_json: Json = False,
) -> None:
    """Upload edits: what changed, or with --whole all features of the package.

    Waits until the file was read. With mistakes it is refused, and nothing is changed. If your
    claim has ended, name the --package that you edited: the file is refused, but kept.
    """
    api: ApiClient = ctx.obj.api(stack)
    package = package or _last_package(api, job_id)
    attempt = attempt_of(package)
    if not attempt:
        raise typer.BadParameter("an id like e….1.0, as download prints it", param_hint="--package")
    with _content_of(file, choices or []) as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
        name = file.name if file else "choices.geojson"
        form = api.post(f"/edits/{job_id}/upload-form", {"attempt": attempt, "filename": name})
        api.upload(form["upload"], content, is_repeatable=True)
    body = {
        "key": form["key"],
        "attempt": attempt,
        "package_id": package,
        "digest": digest,
        "kind": (UploadKind.WHOLE if whole else UploadKind.CHANGES).value,
        "deleting": deleting,
        "comment": comment,
        "time_spent_minutes": minutes,
    }
    api.post(f"/edits/{job_id}/upload", body)
    found = api.get(f"/edits/{job_id}/upload")
    while found["outcome"] == UploadOutcome.READING:
        ctx.obj.pause(_POLL_S)
        found = api.get(f"/edits/{job_id}/upload")
    if as_json:
        terminal.print_json(found)
    else:
        edit_view.print_upload(job_id, found)
    if found["outcome"] == UploadOutcome.REFUSED:
        raise typer.Exit(EXIT_ERRORS)


def _last_package(api: ApiClient, job_id: str) -> str:
    """The id of the package that a job has now."""
    hint = (
        "if you had it, name the package that you edited with --package, such as "
        f"{job_id}.1.0, and your file is kept"
    )
    try:
        job = api.get(f"/edits/{job_id}")
    except ApiError as error:
        if error.status != HTTPStatus.NOT_FOUND:
            raise
        raise BadRequest(f"{error}, or you see it no more: {hint}") from error
    found = (job["package"] or {}).get("package_id", "")
    if not found:
        raise BadRequest(f"{job_id} is {job['state']}, and has no package to upload to: {hint}")
    return str(found)


@app.command()
def review(
    ctx: typer.Context,
    job_id: EditId,
    decision: Annotated[
        str,
        typer.Argument(
            metavar="approve|corrections|discard", help="What is to become of the changes."
        ),
    ],
    comment: Comment = "",
    stack: StackName = "",
    as_json: Json = False,
) -> None:
    """Decide about a review that you have: approve, require corrections, or discard."""
    events = {
        "approve": "approve",
        "corrections": "require_corrections",
        "discard": "discard",
    }
    if decision not in events:
        raise typer.BadParameter(f"one of {', '.join(events)}", param_hint="DECISION")
    if decision != "approve" and not comment.strip():
        raise typer.BadParameter("say why: the worker reads it", param_hint="--comment")
    answer = ctx.obj.api(stack).post(f"/edits/{job_id}/{events[decision]}", {"comment": comment})
    edit_view.print_state(answer, as_json=as_json)


@attachments.command("request")
def request_attachment(
    ctx: typer.Context,
    job_id: EditId,
    custodian: Annotated[str, typer.Argument(help="The custodian's name.")],
    email: Annotated[str, typer.Argument(help="Where the mail goes.")],
    description: Annotated[str, typer.Argument(help="What is needed.")],
    stack: StackName = "",
    as_json: Json = False,
) -> None:
    """Ask a data custodian for a file, while the edit job is proposed."""
    body = {"custodian": custodian, "email": email, "description": description}
    answer = ctx.obj.api(stack).post(f"/edits/{job_id}/attachments", body)
    edit_view.print_state(answer, as_json=as_json)


@attachments.command()
def resend(
    ctx: typer.Context, job_id: EditId, index: Index, stack: StackName = "", as_json: Json = False
) -> None:
    """Send a custodian another link. The one before is not valid any more."""
    answer = ctx.obj.api(stack).post(f"/edits/{job_id}/attachments/{index}/resend", {})
    edit_view.print_state(answer, as_json=as_json)


@attachments.command("upload")
def upload_attachment(
    ctx: typer.Context,
    job_id: EditId,
    index: Index,
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The file.")],
    stack: StackName = "",
    as_json: Json = False,
) -> None:
    """Upload a file for a custodian."""
    api: ApiClient = ctx.obj.api(stack)
    path = f"/edits/{job_id}/attachments/{index}"
    form = api.post(f"{path}/upload-form", {"filename": file.name})
    with file.open("rb") as content:
        api.upload(form["upload"], content, is_repeatable=True)
    answer: dict[str, Any] = api.post(f"{path}/answer", {"key": form["key"]})
    edit_view.print_state(answer, as_json=as_json)


@attachments.command("download")
def download_attachment(
    ctx: typer.Context,
    job_id: EditId,
    index: Index,
    to: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Where to write it; by default, its name in packages."),
    ] = None,
    stack: StackName = "",
    as_json: Json = False,
) -> None:
    """Download the file that a custodian sent."""
    api: ApiClient = ctx.obj.api(stack)
    link = api.get(f"/edits/{job_id}/attachments/{index}/download")
    target = to or Path(Path(attachment_name(index, link["filename"])).name)
    api.download(link["url"], target)
    if as_json:
        terminal.print_json(link)
    else:
        terminal.console().print(f"{target}: attachment {index}")


@attachments.command()
def decline(
    ctx: typer.Context,
    job_id: EditId,
    index: Index,
    reason: OptionalReason = "",
    stack: StackName = "",
    as_json: Json = False,
) -> None:
    """Decline for a custodian, so that the edit job does not wait for the file."""
    body = {"reason": reason}
    answer = ctx.obj.api(stack).post(f"/edits/{job_id}/attachments/{index}/answer", body)
    edit_view.print_state(answer, as_json=as_json)


@app.command()
def settings(
    ctx: typer.Context,
    dataset: Annotated[str, typer.Argument(help="The dataset.")],
    edit_type: Annotated[str, typer.Argument(metavar="TYPE", help="The type to set.")] = "",
    values: Annotated[
        str,
        typer.Option(
            "--set", metavar="JSON", help="What holds for the TYPE; what is left out is off."
        ),
    ] = "",
    remove: Annotated[
        bool, typer.Option("--remove", help="Remove the TYPE; its edit jobs must have ended.")
    ] = False,
    stack: StackName = "",
    as_json: Json = False,
) -> None:
    """Show what holds for the types of edit jobs on a dataset, set it for one, or remove one."""
    api: ApiClient = ctx.obj.api(stack)
    if bool(edit_type) is not (bool(values) or remove) or (values and remove):
        raise typer.BadParameter("give TYPE with --set or --remove, or neither")
    path = f"/edit-settings/{dataset}/{quote(edit_type, safe='')}"
    if remove:
        api.delete(path)
    elif edit_type:
        api.put(path, options.read_json("--set", values))
    found = api.get(f"/edit-settings/{dataset}")
    if as_json:
        terminal.print_json(found)
        return
    edit_view.print_settings(found)
