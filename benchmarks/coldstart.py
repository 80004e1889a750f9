"""The init time of a function: importing its handler and creating its clients.

Each start is a new process whose path has only the functions' folder and the two layers, built and
compiled as for a deployment. Measured is the wall time from after the interpreter's own start until
the handler is imported and its clients exist: those of the module, and the store's. The CPU time is
shown too: if the two differ much, something else was running.

The peer is the usual way: boto3, PynamoDB, Powertools (Logger, Metrics, Tracer, the HTTP API
resolver with validation) and pydantic imported whole from site-packages, with bytecode, then an S3
client of boto3 and a connection of PynamoDB. It is the same for every function. Each of our starts
is compared with a start of the peer right after it, because a host that others use changes its
speed within seconds. A ratio is the median of these.
"""

import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.output import Figures, main, rounded, say
from cli.local import artifacts, deployment
from cli.local.emulator import ROOT

RUNS = 9
HANDLERS = (
    "ingest.open",
    "execute.chunk",
    "execute.job",
    "system.job",
    "report.settle",
    "report.report",
    "report.outbox_tick",
    "report.delivery",
    "edit.prepare",
    "edit.check",
    "edit.commit",
    "edit.load",
    "schedule.scheduler_tick",
    "schedule.execution_failure",
    "api.handler",
    "web.handler",
)

_OURS = """
import sys, time
sys.path[:0] = {path!r}
import importlib, os
os.environ.clear()
os.environ.update({environment!r})
began, busy = time.perf_counter(), time.process_time()
importlib.import_module({module!r})
from jobyard.store import tables
tables.client()
{more}
print((time.perf_counter() - began) * 1000, (time.process_time() - busy) * 1000)
"""

# What the API loads with the first request that needs it: the routes of batches, which are the
# most, and the two clients of a request that changes something.
_ROUTES = "from api.application import load_routes; load_routes('/api/batches'); "
_API_REQUESTS = {
    "api.handler, a batch": _ROUTES,
    "api.handler, a change": _ROUTES
    + "from api.handler import CONTEXT; CONTEXT.s3.meta; CONTEXT.machines.meta",
}

# What the pages load with the list of batches.
_PAGE = "from web.application import load_routes; load_routes('/batches'); "
_PAGE += (
    "from web.template_environment import environment; environment().get_template('batches.html')"
)
_WEB_REQUESTS = {"web.handler, the batches": _PAGE}

# What a worker imports with its first job: the services of the job's origin, and its steps.
_DEPOSITS = "jobyard.services.batches.chunk_source, jobyard.jobtypes.deposit.steps"
_SCHEDULED = "jobyard.services.schedules.occurrence_source"
_AFTER = {
    "execute.chunk": f"import {_DEPOSITS}",
    "execute.job": f"import {_SCHEDULED}, jobyard.jobtypes.deposit.steps",
    "system.job": f"import {_SCHEDULED}, jobyard.services.retention",
    "report.settle": "import jobyard.services.schedules.jobs",
}

_WHOLE = """
import sys, time
sys.path[:0] = {path!r}
import os
os.environ.clear()
os.environ.update({environment!r})
began, busy = time.perf_counter(), time.process_time()
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
print((time.perf_counter() - began) * 1000, (time.process_time() - busy) * 1000)
"""


class StartFailed(Exception):
    """A function does not start. The message is its error."""


@dataclass(frozen=True)
class Start:
    """The duration of a start: milliseconds, and milliseconds of CPU."""

    ms: float
    cpu_ms: float


def measure() -> Figures:
    """Milliseconds of every function's init, compared with importing all packages whole."""
    site = [folder for folder in sys.path if folder.endswith("site-packages")]
    environment = _environment()
    with tempfile.TemporaryDirectory(prefix="jobyard-bench-") as folder:
        path = _path(Path(folder))
        programs = {
            module: _OURS.format(
                path=path, environment=environment, module=module, more=_AFTER.get(module, "")
            )
            for module in HANDLERS
        }
        for request, more in (_API_REQUESTS | _WEB_REQUESTS).items():
            module = request.partition(",")[0]
            programs[request] = _OURS.format(
                path=path, environment=environment, module=module, more=more
            )
        peer = _WHOLE.format(path=site, environment=environment)
        pairs: dict[str, list[tuple[Start, Start]]] = {name: [] for name in programs}
        for name, program in (*programs.items(), ("whole", peer)):
            _start(name, program)  # so that every file is in the page cache
        for _ in range(RUNS):
            for name, program in programs.items():
                pairs[name].append((_start(name, program), _start("whole", peer)))
    whole = _median([peers for each in pairs.values() for _, peers in each])
    functions = {}
    for module, measured in pairs.items():
        start = _median([ours for ours, _ in measured])
        ratio = median(ours.ms / peers.ms for ours, peers in measured)
        cpu_ratio = median(ours.cpu_ms / peers.cpu_ms for ours, peers in measured)
        functions[module] = {
            "ms": start.ms,
            "ratio": round(ratio, 3),
            "cpu_ms": start.cpu_ms,
            "cpu_ratio": round(cpu_ratio, 3),
        }
        say(
            f"{module:<26} {start.ms:>6.0f} ms  {ratio:.2f} x   "
            f"CPU {start.cpu_ms:>6.0f} ms  {cpu_ratio:.2f} x"
        )
    say(f"{'everything whole':<26} {whole.ms:>6.0f} ms           CPU {whole.cpu_ms:>6.0f} ms")
    for_people = ("api.", "web.")
    workers = [each["ratio"] for name, each in functions.items() if not name.startswith(for_people)]
    return {
        "functions": functions,
        "whole_ms": whole.ms,
        "whole_cpu_ms": whole.cpu_ms,
        "worker_ratio": max(workers),
        "api_ratio": functions["api.handler"]["ratio"],
        "api_request_ratio": functions["api.handler, a batch"]["ratio"],
        "web_ratio": functions["web.handler"]["ratio"],
        "web_request_ratio": functions["web.handler, the batches"]["ratio"],
        "runs": RUNS,
    }


def _path(build: Path) -> list[str]:
    """The path of a function: its code and its layers, built as `deployment.deploy` does."""
    functions = artifacts.compile_tree(ROOT / "functions", build / "functions")
    package = artifacts.compile_tree(
        ROOT / "layers" / "jobyard" / "jobyard", build / "jobyard" / "jobyard"
    )
    vendor = artifacts.packages_layer(ROOT / "layers" / "vendor", build)
    return [str(folder) for folder in (functions, package.parent, vendor)]


def _environment() -> dict[str, str]:
    """A function's environment variables. A reference to a resource has its own name as value."""
    template = deployment.read_template(ROOT)
    defaults = {name: str(one["Default"]) for name, one in template["Parameters"].items()}
    variables = template["Globals"]["Function"]["Environment"]["Variables"]
    given = {name: _value_of(value, name, defaults) for name, value in variables.items()}
    empty = (
        "JOBYARD_ALLOWED_HOSTS",
        "JOBYARD_S3_SOURCES",
        "JOBYARD_SWEEP_TABLES",
        "JOBYARD_CALL_FUNCTIONS",
        "JOBYARD_CALL_SECRETS",
        "JOBYARD_DEVICE_NETWORKS",
    )
    given |= {name: "" for name in empty}
    account = {"AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1"}
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    return given | account | keys


def _value_of(value: Any, name: str, defaults: Mapping[str, str]) -> str:
    """The value of the variable `name`: its name, if AWS alone knows it."""
    if not isinstance(value, dict):
        return str(value)
    if "Fn::Join" in value:
        separator, parts = value["Fn::Join"]
        return str(separator).join(_value_of(each, name, defaults) for each in parts)
    if isinstance(value.get("Fn::Sub"), str):
        return re.sub(r"\$\{(\w+)\}", lambda part: defaults.get(part[1], part[1]), value["Fn::Sub"])
    return defaults.get(value["Ref"], value["Ref"]) if "Ref" in value else name


def _median(starts: list[Start]) -> Start:
    return Start(
        rounded([each.ms for each in starts], 1), rounded([each.cpu_ms for each in starts], 1)
    )


def _start(name: str, program: str) -> Start:
    """Start a program and return how long it took.

    Raises:
        StartFailed: the program failed.
    """
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-B", "-c", program],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise StartFailed(f"{name}: {done.stderr}")
    ms, cpu_ms = map(float, done.stdout.split()[-2:])
    return Start(ms, cpu_ms)


if __name__ == "__main__":
    main("coldstart", measure)
