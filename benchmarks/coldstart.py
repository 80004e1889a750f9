"""What a function's start costs: importing its handler and making its clients.

Each start is a process of its own with nothing on its path but the functions' folder and the two
layers, built and compiled as a deployment does. Counted is the wall time from after the
interpreter's own start until the handler is imported and its clients are made: those the module
makes, and the store's.

The peer is what one gets without looking: boto3, PynamoDB, Powertools (Logger, Metrics, Tracer, the
HTTP API resolver with validation) and pydantic imported whole from an ordinary site-packages, with
its byte code, and an S3 client of boto3's and a connection of PynamoDB's made. It is started by
turns with ours and is the same for every function.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.telling import Figures, rounded, say, tell
from cli.local import artifacts, deployment
from cli.local.emulator import ROOT

RUNS = 9
HANDLERS = {
    "ingest.opening": 0.65,
    "execute.chunk": 0.65,
    "execute.job": 0.65,
    "report.settling": 0.65,
    "report.reporting": 0.65,
    "report.tick": 0.65,
    "report.delivery": 0.65,
    "api.handler": 0.5,
}  # and the part of the peer's time each may take

_OURS = """
import sys, time
sys.path[:0] = {path!r}
import importlib, os
os.environ.clear()
os.environ.update({environment!r})
began = time.perf_counter()
importlib.import_module({module!r})
from jobyard.store import tables
tables.client()
print((time.perf_counter() - began) * 1000)
"""

_WHOLE = """
import sys, time
sys.path[:0] = {path!r}
import os
os.environ.clear()
os.environ.update({environment!r})
began = time.perf_counter()
import boto3
import pydantic
from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.event_handler import APIGatewayHttpResolver
from pynamodb.connection import Connection
Logger()
Metrics(namespace="jobyard")
Tracer()
APIGatewayHttpResolver(enable_validation=True)
boto3.client("s3")
Connection(region="us-east-1").client
print((time.perf_counter() - began) * 1000)
"""


class NotStarted(Exception):
    """A function does not start; the message is its error."""


def measure() -> Figures:
    """Milliseconds of every function's start, beside importing everything whole."""
    site = [folder for folder in sys.path if folder.endswith("site-packages")]
    environment = _environment()
    with tempfile.TemporaryDirectory(prefix="jobyard-bench-") as folder:
        path = _path(Path(folder))
        programs = {
            module: _OURS.format(path=path, environment=environment, module=module)
            for module in HANDLERS
        }
        programs["whole"] = _WHOLE.format(path=site, environment=environment)
        times: dict[str, list[float]] = {name: [] for name in programs}
        for name, program in programs.items():
            _start(name, program)  # so that every file has been read once
        for _ in range(RUNS):
            for name, program in programs.items():
                times[name].append(_start(name, program))
    whole = rounded(times["whole"], 1)
    functions = {}
    for module in HANDLERS:
        ms = rounded(times[module], 1)
        functions[module] = {"ms": ms, "ratio": round(ms / whole, 3)}
        say(f"{module:<20} {ms:>6.0f} ms  {ms / whole:.2f} x")
    say(f"{'everything whole':<20} {whole:>6.0f} ms")
    workers = [each["ratio"] for name, each in functions.items() if name != "api.handler"]
    return {
        "functions": functions,
        "whole_ms": whole,
        "worker_ratio": max(workers),
        "api_ratio": functions["api.handler"]["ratio"],
        "runs": RUNS,
    }


def _path(build: Path) -> list[str]:
    """The path of a function: its code and its layers, made as `deployment.deploy` makes them."""
    functions = artifacts.compiled(ROOT / "functions", build / "functions")
    package = artifacts.compiled(
        ROOT / "layers" / "jobyard" / "jobyard", build / "jobyard" / "jobyard"
    )
    vendor = artifacts.vendor_layer(ROOT / "layers" / "vendor", build)
    return [str(folder) for folder in (functions, package.parent, vendor)]


def _environment() -> dict[str, str]:
    """A function's variables, each by its own name where the template asks for a resource."""
    template = deployment.read_template(ROOT)
    defaults = {name: str(one["Default"]) for name, one in template["Parameters"].items()}
    variables = template["Globals"]["Function"]["Environment"]["Variables"]
    given = {
        name: defaults.get(value["Ref"], value["Ref"]) if set(value) == {"Ref"} else name
        for name, value in ((name, _reference(value)) for name, value in variables.items())
    }
    given |= {name: "" for name in ("JOBYARD_ALLOWED_HOSTS", "JOBYARD_S3_SOURCES")}
    account = {"AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1"}
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    return given | account | keys


def _reference(value: object) -> dict[str, str]:
    return value if isinstance(value, dict) else {"Ref": str(value)}


def _start(name: str, program: str) -> float:
    """Milliseconds of one start.

    Raises:
        NotStarted: the program failed.
    """
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-B", "-c", program],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise NotStarted(f"{name}: {done.stderr}")
    return float(done.stdout.split()[-1])


if __name__ == "__main__":
    tell("coldstart", measure)
