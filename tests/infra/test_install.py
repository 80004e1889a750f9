"""requirements/install reports what is missing, and does nothing when nothing is."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from cli.local.emulator import ROOT

TOOLS = ("awk", "cat", "cksum", "dirname", "mktemp", "mv", "rm", "sed", "sh", "tail", "tr")


class Machine:
    """A machine with a copy of the project, and only the Pythons that a test installs."""

    def __init__(self, folder: Path) -> None:
        self.project = folder / "project"
        self.programs = folder / "bin"
        (self.project / "layers").mkdir(parents=True)
        self.programs.mkdir()
        shutil.copytree(ROOT / "requirements", self.project / "requirements")
        for layer in ("geometry", "vendor"):
            shutil.copytree(ROOT / "layers" / layer, self.project / "layers" / layer)
        shutil.copyfile(ROOT / "pyproject.toml", self.project / "pyproject.toml")
        for tool in TOOLS:
            (self.programs / tool).symlink_to(str(shutil.which(tool)))

    def add(self, name: str, script: str) -> None:
        """Add a program to the path."""
        path = self.programs / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def install(self, *names: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["requirements/install", *names],
            cwd=self.project,
            env={"PATH": str(self.programs), "TMPDIR": str(self.project)} | variables,
            capture_output=True,
            text=True,
            check=False,
        )


OLD = 'case "$1" in --version) echo Python 3.9.1 ;; *) exit 1 ;; esac'
# A Python that suits: it has venv, creates environments whose pip exits with $PIP, and counts them.
NEW = f"""case "$1" in
    --version) echo Python 3.12.1 ;;
    -m) echo made >>"$TMPDIR/made"
        {shutil.which("mkdir")} -p "$3/bin"
        printf '%s\\n' '#!/bin/sh' \\
            'case "$1" in -m) printf "${{SAYS:-}}"; echo no route >&2' \
            'exit ${{PIP:-0}} ;; esac' >"$3/bin/python"
        {shutil.which("chmod")} +x "$3/bin/python" ;;
esac"""


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_an_old_python_is_refused_with_the_needed_version(machine: Machine) -> None:
    machine.add("python3", OLD)

    done = machine.install("dev")

    assert done.returncode == 1
    assert "needs Python 3.11 or newer; found Python 3.9.1" in done.stderr


def test_a_missing_python_is_reported(machine: Machine) -> None:
    done = machine.install("dev")

    assert done.returncode == 1
    assert "needs Python 3.11 or newer; found no python3" in done.stderr


def test_an_unsuitable_named_python_is_refused(machine: Machine) -> None:
    machine.add("python3", NEW)
    machine.add("mine", OLD)

    done = machine.install("dev", PYTHON="mine")

    assert (done.returncode, "PYTHON=mine is not a Python of 3.11" in done.stderr) == (1, True)


def test_a_broken_shim_is_skipped(machine: Machine) -> None:
    machine.add("python3.13", "echo no such version >&2; exit 127")
    machine.add("python3", NEW)

    assert machine.install("emulator").returncode == 0


def test_a_python_without_venv_names_the_missing_package(machine: Machine) -> None:
    machine.add("python3", 'case "$2" in *venv*) exit 1 ;; esac')

    done = machine.install("dev")

    assert (done.returncode, "python3-venv" in done.stderr) == (1, True)


def test_the_first_install_reports_a_missing_network(machine: Machine) -> None:
    machine.add("python3", NEW)

    done = machine.install("emulator", PIP="1")

    assert done.returncode == 1
    assert "no route" in done.stderr
    assert "The first install needs a network" in done.stderr
    assert not (machine.project / ".venv-emulator").exists()


def test_an_interrupted_install_keeps_the_old_environment_until_another_is_whole(
    machine: Machine,
) -> None:
    machine.add("python3", NEW)
    machine.install("emulator")
    whole, old = (machine.project / name for name in (".venv-emulator", ".venv-emulator.old"))
    (whole / "made-of").write_text("other packages")
    whole.rename(old)
    whole.mkdir()

    failed = machine.install("emulator", PIP="1")

    assert failed.returncode == 1
    assert (whole / "made-of").read_text() == "other packages"
    assert machine.install("emulator").returncode == 0
    assert not old.exists()


def test_an_install_shows_its_progress(machine: Machine) -> None:
    machine.add("python3", NEW)
    pip = (
        "Collecting one\\n" * 15 + "Processing two\\n" * 6 + "Installing collected packages: one\\n"
    )

    done = machine.install("emulator", SAYS=pip)

    assert done.returncode == 0
    lines = done.stderr.splitlines()
    assert lines[0].startswith("setting up .venv-emulator with Python 3.12.1: ")
    assert lines[1:] == ["  10 packages fetched", "  20 packages fetched", "  installing them"]
    assert done.stdout == ""


def test_an_up_to_date_environment_is_kept(machine: Machine) -> None:
    machine.add("python3", NEW)

    runs = [machine.install("emulator") for _ in range(3)]

    assert [run.returncode for run in runs] == [0, 0, 0]
    assert (machine.project / "made").read_text() == "made\n"


def test_a_changed_lock_file_rebuilds_the_environment(machine: Machine) -> None:
    machine.add("python3", NEW)
    machine.install("emulator")
    lock = machine.project / "requirements" / "emulator.txt"
    lock.write_text(lock.read_text() + "another==1.0\n")

    machine.install("emulator")

    assert (machine.project / "made").read_text() == "made\n" * 2


def test_a_failed_install_keeps_the_old_environment(machine: Machine) -> None:
    machine.add("python3", NEW)
    machine.install("emulator")
    (machine.project / ".venv-emulator" / "kept").touch()
    lock = machine.project / "requirements" / "emulator.txt"
    lock.write_text(lock.read_text() + "another==1.0\n")

    done = machine.install("emulator", PIP="1")

    assert done.returncode == 1
    assert (machine.project / ".venv-emulator" / "kept").exists()


def test_an_interrupted_install_is_repeated(machine: Machine) -> None:
    machine.add("python3", NEW)
    machine.install("emulator")
    (machine.project / ".venv-emulator" / "made-of").unlink()

    machine.install("emulator")

    assert (machine.project / "made").read_text() == "made\n" * 2


def test_chromium_is_installed_where_it_is_missing(machine: Machine) -> None:
    machine.add("apt-get", 'echo "$1" >>"$TMPDIR/apt-get"')

    first = machine.install("chromium")
    machine.add("chromium", "exit 0")
    again = machine.install("chromium")

    assert (first.returncode, again.returncode) == (0, 0)
    assert (machine.project / "apt-get").read_text() == "update\ninstall\n"


def test_ci_runs_what_people_run() -> None:
    lines = (ROOT / ".ci" / "run").read_text().splitlines()

    assert [line for line in lines if not line.startswith("#")] == [
        'cd "$(dirname "$0")/.." && exec make test'
    ]
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
