"""What `make demo` runs: three manifests from the first byte to the last mail, on this laptop."""

import shutil
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import chdir, contextmanager
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from cli import progress
from cli.client import Api, Document
from cli.demo_runner import Demo, Stage, perform
from cli.local import deployment, emulator, mail
from cli.local.emulator import HOST, PORT, ROOT, EmulatorError
from cli.local.mail import Mail
from jobyard.domain.plurals import plural

EXAMPLES = ROOT / "examples" / "deposit"
LATE = Path("containers") / "ratification.zip"  # the file that is missing at first
COLLECTION = "demo"
MAIL_LINES = 20


def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Leave the stack running.")] = False,
    port: Annotated[
        int | None, typer.Option(envvar="JOBYARD_PORT", help=f"The stack's.  [default: {PORT}]")
    ] = None,
    files_port: Annotated[
        int, typer.Option(envvar="JOBYARD_FILES_PORT", help="Where the example files are served.")
    ] = deployment.FILES_PORT,
) -> None:
    """Deposit the files of examples/deposit, repair what fails, and show what was told to whom."""
    asked = Demo(
        keep,
        port,
        files_port,
        commands=(
            ("jobyard local mail", "these mails in full"),
            ("jobyard batches", "the batches; then jobyard batch, jobs, job"),
            ("jobyard lifecycle batch", "the states of a batch, and who may do what in each"),
            ("jobyard --help", "everything else"),
        ),
        page=("docs/", "manifests, deposits, operating, the API, job types"),
    )
    perform(
        asked,
        served(files_port),
        lambda files, running, on: _tell(Stage(on, files.sessions, running.endpoint), files),
    )


@dataclass(frozen=True)
class Files:
    """The folder that is served, where, and a folder beside it for the demo's own sessions."""

    folder: Path
    sessions: Path
    base_url: str

    def put_late(self) -> None:
        """Put the file that is missing at first where it belongs."""
        shutil.copyfile(EXAMPLES / LATE, self.folder / LATE)


class _Handler(SimpleHTTPRequestHandler):
    """Serves a folder as a good server does: length, version, HEAD; and says nothing of it."""

    protocol_version = "HTTP/1.1"

    def end_headers(self) -> None:
        asked = Path(self.translate_path(self.path))
        if asked.is_file():
            self.send_header("ETag", f'"{sha256(asked.read_bytes()).hexdigest()[:32]}"')
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def served(port: int) -> Iterator[Files]:
    """The example files on loopback, all but the late one, with the manifests filled in.

    Raises:
        EmulatorError: the port is taken; the message says by whom.
    """
    taken_by = emulator.listener(port)
    if taken_by is not None:
        raise EmulatorError(
            f"port {port}, for the example files, is taken by {taken_by}: choose another with "
            "--files-port, or JOBYARD_FILES_PORT for make"
        )
    with tempfile.TemporaryDirectory(prefix="jobyard-demo-") as made:
        folder = shutil.copytree(EXAMPLES, Path(made) / "deposit")
        (folder / LATE).unlink()
        files = Files(folder, Path(made) / "sessions", f"http://{HOST}:{port}")
        for template in (*folder.glob("*.checkm"), *folder.glob("*.csv")):
            template.write_text(template.read_text().replace("{base_url}", files.base_url))
        server = ThreadingHTTPServer((HOST, port), partial(_Handler, directory=folder))
        thread = threading.Thread(target=server.serve_forever, name="files", daemon=True)
        thread.start()
        try:
            yield files
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


def _tell(stage: Stage, files: Files) -> None:
    api = stage.as_person("depositor").api("")
    before = len(mail.sent(stage.endpoint))

    stage.act("A depositor describes three objects and submits three manifests")
    with chdir(files.folder):
        for folder in sorted(Path("objects").iterdir()):
            _describe(stage, files, folder)
    made = [_submit(stage, files, api, name) for name in ("objects.checkm", "containers.csv")]
    refused = _submit(stage, files, api, "refused.checkm")

    stage.act("Every line becomes a job; here they go")
    _watch(stage, api, [*made, refused])

    stage.act("The refused manifest: what is wrong, by line and column")
    stage.run("depositor", "findings", refused)

    stage.act("The missing file is put where it belongs, and an operator tries again")
    files.put_late()
    stage.run("operator", "jobs", made[1], "--state", "failed")
    stage.run("operator", "retry", made[1], "--reason", "the file is there now", "--watch")

    stage.act("An administrator has the batch reported again: only what changed is told")
    stage.run("admin", "update-reporting", made[1], "--reason", "repaired", "--watch")

    stage.act("The mails that were sent")
    for each in mail.sent(stage.endpoint)[before:]:
        _show_mail(stage.console, each)


def _describe(stage: Stage, files: Files, folder: Path) -> None:
    """Make the manifest of an object's folder, as its depositor would."""
    base_url = f"{files.base_url}/{folder}"
    target = folder.with_suffix(".checkm")
    words = ("manifest", "make", str(folder), "--base-url", base_url, "--output", str(target))
    stage.run("depositor", *words)


def _submit(stage: Stage, files: Files, api: Api, name: str) -> str:
    stage.type(f"jobyard submit {name} --collection {COLLECTION}")
    wanted: Document = {"collection": COLLECTION, "filename": name, "job_type": "deposit"}
    made = api.post("/batches", wanted)
    with (files.folder / name).open("rb") as content:
        api.upload(made["upload"], content)
    stage.console.print(f"batch [bold]{made['batch_id']}[/]")
    return str(made["batch_id"])


def _watch(stage: Stage, api: Api, batch_ids: Sequence[str]) -> None:
    stage.type(f"jobyard watch {' '.join(batch_ids)}")
    for batch in progress.watch(api, batch_ids, stage.console):
        stage.console.print(f"\n[bold]{batch['filename']}[/]")
        progress.show_end(api, batch, stage.console)


def _show_mail(console: Console, sent: Mail) -> None:
    console.print(Text(sent.subject, style="bold"))
    console.print(Text(f"to {', '.join(sent.to)}", style="dim"))
    lines = sent.text.rstrip().splitlines()
    for line in lines[:MAIL_LINES]:
        console.print(Padding(Text(line, overflow="fold"), (0, 0, 0, 2), expand=False))
    if len(lines) > MAIL_LINES:
        console.print(f"  [dim]… {plural(len(lines) - MAIL_LINES, 'line')} more[/]")
    console.print()


if __name__ == "__main__":
    typer.run(demo)
