"""Shows how a batch ended: its result, its report and useful next commands."""

from rich.console import Console
from rich.text import Text

from cli.client import ApiClient, Document
from cli.progress import is_repaired
from cli.tables import next_commands
from cli.terminal import counts_text, state


def show_end(api: ApiClient, batch: Document, console: Console) -> None:
    """Show how a batch ended: its result, failures, last report and useful next commands."""
    console.print(Text.assemble(state(batch["state"]), ": ", _outcome(batch)))
    for group in batch.get("failure_groups") or ():
        console.print(
            f"  {group['count']} x {group['failure_code']}: {group['description']}", markup=False
        )
    if batch["history"] and batch["history"][-1]["reason"]:
        console.print(f"  {batch['history'][-1]['reason']}", markup=False)
    reports = api.get(f"/batches/{batch['batch_id']}/reports")["items"]
    for report in reports[-1:]:
        console.print(report_text(report), markup=False)
    offered = next_steps(batch, is_reported=bool(reports))
    if offered:
        console.print(next_commands(offered))


def _outcome(batch: Document) -> str:
    counts = batch["counts"]
    if batch["state"] == "failed" and counts["total"] and is_repaired(batch):
        return f"its jobs are repaired ({counts_text(counts)}), but not reported yet"
    return batch.get("failure_message") or counts_text(counts)


def report_text(report: Document) -> str:
    """Recipients and delivery of a report, as text."""
    delivery = report["delivery"]
    to = ", ".join(report["to"]) or "no recipient"
    error = f" ({delivery['error']})" if delivery.get("error") else ""
    unreached = f"; undeliverable: {addresses}" if (addresses := undeliverable(delivery)) else ""
    return f"report {report['seq']} to {to}: {delivery['state']}{error}{unreached}"


def undeliverable(found: Document) -> str:
    """Addresses that cannot be reached, with the reasons; "" if there are none."""
    return "; ".join(
        f"{each['address']}: {each['reason']}" for each in found.get("undeliverable") or ()
    )


def next_steps(batch: Document, *, is_reported: bool) -> list[tuple[str, str]]:
    """Commands that are useful and allowed now, each with what it does."""
    batch_id, counts, groups = batch["batch_id"], batch["counts"], batch.get("failure_groups")
    is_failed = batch["state"] == "failed"
    offered = []
    if batch.get("findings_count"):
        offered.append((f"jobyard findings {batch_id}", "show what is wrong in the manifest"))
    if counts.get("failed") and batch["state"] != "deleted":
        offered.append((f"jobyard jobs {batch_id} --state failed", "show the failed jobs"))
    final = sum(group.get("not_requeueable", 0) for group in groups or ())
    if is_failed and counts.get("failed", 0) > final:
        offered.append((f'jobyard requeue {batch_id} --reason "…"', "requeue them (operators)"))
    if is_failed and counts.get("total"):
        offered.append(
            (
                f'jobyard update-reporting {batch_id} --reason "…"',
                "report the changes (admins)",
            )
        )
    if batch["state"] in {"completed", "cancelled"} and counts.get("total"):
        offered.append((f"jobyard jobs {batch_id}", "show all jobs"))
    if is_reported:
        offered.append((f"jobyard reports {batch_id} --download .", "download the report"))
    return offered
