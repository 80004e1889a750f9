"""Jobs per second, from the upload of a manifest to its report, compared with a Celery chord.

Both run JOBS jobs that do nothing with WORKERS worker processes, alternating, after one warm-up
each. Ours: from just before the PutObject of the manifest until its batch is completed and its one
mail is sent. Theirs: from the call that sends the chord to the result of its callback. Neither side
writes to disk.

Worker CPU is user and system time from /proc/PID/stat over a whole run. Ours: all descendants of
the emulator, which are the Lambda workers, including those of Open, Settle and Report. Theirs: the
worker's parent, which receives messages from Redis and distributes them, and its pool, which runs
the tasks; the pool is also shown alone. Redis is shown separately, and so is the emulator, which is
S3, EventBridge, Step Functions, Lambda and DynamoDB in one process.
"""

import time

from benchmarks.chord.peer import Peer, peer
from benchmarks.output import Figures, main, rounded, say
from benchmarks.processes import cpu_of_children_s, cpu_s
from benchmarks.stacks import LocalStack, local_stack, manifest, reported_at, send

JOBS = 5_000
WORKERS = 4  # the local stack's MaxConcurrency
RUNS = 3
MILLION = 1_000_000
SIZES = (1, JOBS, 100_000, MILLION)  # batches whose first job is timed
_POLL_S = 0.005
TIMEOUT_S = 120.0


class FirstJobLate(Exception):
    """A batch's first job did not start in time."""


def measure() -> Figures:
    """Jobs per second from upload to report, compared with a Celery chord on Redis."""
    ours: list[dict[str, float]] = []
    with_iam: list[dict[str, float]] = []
    theirs: list[dict[str, float]] = []
    with local_stack() as local, local_stack(iam=True) as enforced, peer(WORKERS) as celery:
        for warm in (local, enforced):
            _ours(warm, "warm-up")
        _theirs(celery)
        for run in range(RUNS):
            ours.append(_ours(local, f"run-{run}"))
            theirs.append(_theirs(celery))
            with_iam.append(_ours(enforced, f"run-{run}"))
            _say_run(run, ours[-1], theirs[-1], with_iam[-1])
    first = {size: _first_job_s(size) for size in SIZES}
    for size, seconds in first.items():
        say(f"first of {size:,} jobs running {seconds:.3f} s after the upload")
    ours_s, theirs_s = _median(ours), _median(theirs)
    return {
        "jobs": JOBS,
        "workers": WORKERS,
        "runs": RUNS,
        "jobs_per_s": round(ours_s["rate"], 1),
        "celery_jobs_per_s": round(theirs_s["rate"], 1),
        "ratio": round(ours_s["rate"] / theirs_s["rate"], 3),
        "cpu_ratio": round(ours_s["workers"] / (theirs_s["pool"] + theirs_s["parent"]), 3),
        "cpu_ratio_to_pool": round(ours_s["workers"] / theirs_s["pool"], 3),
        "first_job_s": round(first[JOBS], 3),
        "first_job_million_s": round(first[MILLION], 3),
        "first_job_s_by_size": {str(size): round(took, 3) for size, took in first.items()},
        "jobs_per_s_iam": round(_median(with_iam)["rate"], 1),
        "worker_cpu_ms_per_job": round(ours_s["workers"], 3),
        "celery_pool_cpu_ms_per_job": round(theirs_s["pool"], 3),
        "emulator_cpu_ms_per_job": round(ours_s["server"], 3),
        "celery_parent_cpu_ms_per_job": round(theirs_s["parent"], 3),
        "redis_cpu_ms_per_job": round(theirs_s["server"], 3),
    }


def _ours(local: LocalStack, name: str) -> dict[str, float]:
    """Run one batch: its rate, and milliseconds of CPU per job."""
    body, pid = manifest(JOBS), local.emulator.pid
    server, workers = cpu_s(pid), cpu_of_children_s(pid)
    sent = send(local, body, f"{name}.checkm")
    took = reported_at(local, sent, JOBS) - sent.at
    return {
        "rate": JOBS / took,
        "workers": (cpu_of_children_s(pid) - workers) * 1000 / JOBS,
        "server": (cpu_s(pid) - server) * 1000 / JOBS,
    }


def _theirs(celery: Peer) -> dict[str, float]:
    """Run one chord: its rate, and milliseconds of CPU per task."""
    server, pool, parent = cpu_s(celery.redis), celery.pool_cpu_s(), celery.parent_cpu_s()
    took = celery.run(JOBS)
    return {
        "rate": JOBS / took,
        "pool": (celery.pool_cpu_s() - pool) * 1000 / JOBS,
        "parent": (celery.parent_cpu_s() - parent) * 1000 / JOBS,
        "server": (cpu_s(celery.redis) - server) * 1000 / JOBS,
    }


def _first_job_s(jobs: int) -> float:
    """Seconds from the upload of a batch to its first job's record, on a new, warm stack."""
    with local_stack() as local:
        reported_at(local, send(local, manifest(WORKERS * 100), "warm-up.checkm"), WORKERS * 100)
        body = manifest(jobs)
        dynamodb = local.client("dynamodb")
        sent = send(local, body, "first.checkm")
        key = {"chunk_id": {"S": f"{sent.batch_id}#0"}, "position": {"N": "0"}}
        request = {"TableName": local.tables["JobsTable"], "Key": key, "ConsistentRead": True}
        while "Item" not in dynamodb.get_item(**request):
            if time.time() > sent.uploaded_at + TIMEOUT_S:
                raise FirstJobLate(f"no job of {jobs} was running after {TIMEOUT_S} s")
            time.sleep(_POLL_S)
        return time.time() - sent.uploaded_at


def _median(runs: list[dict[str, float]]) -> dict[str, float]:
    return {name: rounded([run[name] for run in runs], 4) for name in runs[0]}


def _say_run(
    run: int, ours: dict[str, float], theirs: dict[str, float], with_iam: dict[str, float]
) -> None:
    say(
        f"run {run + 1}: {ours['rate']:.0f} jobs/s, with IAM {with_iam['rate']:.0f}, "
        f"Celery {theirs['rate']:.0f}; CPU per job: workers {ours['workers']:.2f} ms "
        f"(emulator {ours['server']:.2f}), Celery's pool {theirs['pool']:.2f} "
        f"(parent {theirs['parent']:.2f}, Redis {theirs['server']:.2f})"
    )


if __name__ == "__main__":
    main("throughput", measure)
