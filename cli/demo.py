"""`make demo`: submits three manifests locally, repairs a failure and shows the mails."""

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

from cli import batch_result, progress
from cli.client import ApiClient, Document
from cli.demo_runner import DemoOptions, DemoRunner, Keep, Port, WebPort, run_demo
from cli.local import deployment, emulator, mail
from cli.local.emulator import HOST, ROOT, EmulatorError
from cli.local.mail import Mail
from jobyard.domain.plurals import plural

EXAMPLES = ROOT / "examples" / "deposit"
LATE_FILE = Path("containers") / "ratification.zip"  # missing at first
COLLECTION = "demo"
MAIL_LINES = 20


def demo(
    keep: Keep = False,
    port: Port = None,
    web_port: WebPort = None,
    files_port: Annotated[
        int, typer.Option(envvar="JOBYARD_FILES_PORT", help="Port that serves the example files.")
    ] = deployment.FILES_PORT,
) -> None:
    """Deposit the files of examples/deposit, repair what fails, and show the reports."""
    options = DemoOptions(
        keep,
        port,
        web_port,
        files_port,
        users=("operator", "depositor"),
        commands=(
            ("jobyard local mail", "show these mails in full"),
            ("jobyard batches", "list the batches; then try jobyard batch, jobs, job"),
            ("jobyard lifecycle batch", "show the states of a batch, and who may send which event"),
            ("jobyard --help", "list all commands"),
        ),
        document=("docs/", "manifests, deposits, operating, the API, job types"),
    )
    run_demo(
        options,
        serve_files(files_port),
        lambda files, running, console: _play(
            DemoRunner(console, files.sessions, running.endpoint), files
        ),
    )


@dataclass(frozen=True)
class ServedFiles:
    """The example files: their folder and URL, and a folder for the demo's sessions."""

    folder: Path
    sessions: Path
    base_url: str

    def add_late_file(self) -> None:
        """Add the file that was missing."""
        shutil.copyfile(EXAMPLES / LATE_FILE, self.folder / LATE_FILE)


class _FileHandler(SimpleHTTPRequestHandler):
    """Serves a folder with ETags, and logs nothing."""

    protocol_version = "HTTP/1.1"

    def end_headers(self) -> None:
        file = Path(self.translate_path(self.path))
        if file.is_file():
            self.send_header("ETag", f'"{sha256(file.read_bytes()).hexdigest()[:32]}"')
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def serve_files(port: int) -> Iterator[ServedFiles]:
    """Serve the example files on loopback, except the late one. Manifests get their real URLs.

    Raises:
        EmulatorError: the port is in use; the message says by what.
    """
    owner = emulator.port_owner(port)
    if owner is not None:
        raise EmulatorError(
            f"port {port}, for the example files, is used by {owner}: choose another with "
            "--files-port, or JOBYARD_FILES_PORT for make"
        )
    with tempfile.TemporaryDirectory(prefix="jobyard-demo-") as temporary:
        folder = shutil.copytree(EXAMPLES, Path(temporary) / "deposit")
        (folder / LATE_FILE).unlink()
        files = ServedFiles(folder, Path(temporary) / "sessions", f"http://{HOST}:{port}")
        for template in (*folder.glob("*.checkm"), *folder.glob("*.csv")):
            template.write_text(template.read_text().replace("{base_url}", files.base_url))
        server = ThreadingHTTPServer((HOST, port), partial(_FileHandler, directory=folder))
        thread = threading.Thread(target=server.serve_forever, name="files", daemon=True)
        thread.start()
        try:
            yield files
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


def _play(runner: DemoRunner, files: ServedFiles) -> str:
    api = runner.as_user("depositor").api("")
    before = len(mail.sent(runner.endpoint))

    runner.section("A depositor describes three objects and submits three manifests")
    with chdir(files.folder):
        for folder in sorted(Path("objects").iterdir()):
            _make_manifest(runner, files, folder)
    batch_ids = [_submit(runner, files, api, name) for name in ("objects.checkm", "containers.csv")]
    refused = _submit(runner, files, api, "refused.checkm")

    runner.section("Every entry becomes a job")
    _watch(runner, api, [*batch_ids, refused])

    runner.section("The refused manifest: its errors, by line and column")
    runner.run("depositor", "findings", refused)

    runner.section("The missing file is added, and an operator requeues the job")
    files.add_late_file()
    runner.run("operator", "jobs", batch_ids[1], "--state", "failed")
    runner.run("operator", "requeue", batch_ids[1], "--reason", "the file is there now", "--watch")

    runner.section("An admin has the batch reported again: the report lists only the changes")
    runner.run("admin", "update-reporting", batch_ids[1], "--reason", "repaired", "--watch")

    runner.section("The mails that were sent")
    for each in mail.sent(runner.endpoint)[before:]:
        _show_mail(runner.console, each)
    return ""


def _make_manifest(runner: DemoRunner, files: ServedFiles, folder: Path) -> None:
    """Make the manifest of an object's folder."""
    base_url = f"{files.base_url}/{folder}"
    target = folder.with_suffix(".checkm")
    arguments = ("manifest", "make", str(folder), "--base-url", base_url, "--output", str(target))
    runner.run("depositor", *arguments)


def _submit(runner: DemoRunner, files: ServedFiles, api: ApiClient, name: str) -> str:
    runner.show_command("depositor", f"jobyard submit {name} --collection {COLLECTION}")
    body: Document = {"collection": COLLECTION, "filename": name, "job_type": "deposit"}
    created = api.post("/batches", body)
    with (files.folder / name).open("rb") as content:
        api.upload(created["upload"], content)
    runner.console.print(f"batch [bold]{created['batch_id']}[/]")
    return str(created["batch_id"])


def _watch(runner: DemoRunner, api: ApiClient, batch_ids: Sequence[str]) -> None:
    runner.show_command("depositor", f"jobyard watch {' '.join(batch_ids)}")
    for batch in progress.watch(api, batch_ids, runner.console):
        runner.console.print(f"\n[bold]{batch['filename']}[/]")
        batch_result.show_end(api, batch, runner.console)


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
