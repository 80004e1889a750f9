"""Reports of batches and campaigns."""

from collections.abc import Iterable
from datetime import datetime

from pydantic import Field

from api.schemas.fields import Schema
from jobyard.domain.batches import report as domain
from jobyard.domain.batches.report import DeliveryState, ReportKind
from jobyard.domain.mail_addresses import UndeliverableRecipient
from jobyard.domain.webhooks import webhook_id
from jobyard.services.context import QueryContext
from jobyard.services.queries import reports as report_queries


class Undeliverable(Schema):
    """A recipient who cannot be notified."""

    address: str = Field(description="The recipient, as written.")
    reason: str = Field(description="Why.")

    @classmethod
    def all_of(cls, recipients: Iterable[UndeliverableRecipient]) -> "list[Undeliverable]":
        """The recipients of a batch or a delivery."""
        return [cls(address=each.address, reason=each.why) for each in recipients]


class Delivery(Schema):
    """The delivery of a report's mail."""

    state: DeliveryState = Field(description="How far the mail got.")
    updated_at: datetime = Field(description="When that state was reached.")
    message_id: str = Field(
        description='The id of the mail service, or the `webhook-id`; "" until there is one.'
    )
    error: str = Field(
        description="Why the mail service refused it, and the id of the log entry, or why a "
        'webhook delivery failed; "" otherwise.'
    )
    undeliverable: list[Undeliverable] = Field(
        description="Recipients who could not be notified while others were."
    )

    @classmethod
    def of(cls, delivery: domain.Delivery) -> "Delivery":
        """How far a mail or a webhook delivery got."""
        return cls(
            state=delivery.state,
            updated_at=delivery.at,
            message_id=delivery.message_id,
            error=delivery.error,
            undeliverable=Undeliverable.all_of(delivery.undeliverable),
        )


class ReportFiles(Schema):
    """Links to a report's files, valid for 15 minutes; null for a file it does not have."""

    jobs_csv: str | None = Field(description="All jobs.")
    failures_csv: str | None = Field(description="The failed jobs.")
    json_: str | None = Field(alias="json", description="All jobs, as JSON.")
    html: str | None = Field(description="A page to read.")

    @classmethod
    def of(cls, report: domain.Report, context: QueryContext) -> "ReportFiles":
        """Links to the files that the report has."""
        linked = {
            name: report_queries.link_to(report, name, context) if name in report.files else None
            for name in report_queries.LINKED_FILES
        }
        return cls(
            jobs_csv=linked["jobs.csv"],
            failures_csv=linked["failures.csv"],
            json=linked["report.json"],
            html=linked["report.html"],
        )


class Report(Schema):
    """A report about a batch or a campaign."""

    seq: int = Field(description="The number of the report, from 1.")
    kind: ReportKind = Field(description="Why it was written.")
    created_at: datetime = Field(description="When it was written.")
    to: list[str] = Field(description="Who was notified.")
    subject: str = Field(description="The mail's subject.")
    delivery: Delivery
    counts: dict[str, int] = Field(
        description="The number of jobs by the outcome that the report shows."
    )
    changed_count: int = Field(
        description="How many jobs have another outcome than in the report before."
    )
    files: ReportFiles

    @classmethod
    def of(cls, report: domain.Report, context: QueryContext) -> "Report":
        """A report with links to its files."""
        return cls(
            seq=report.seq,
            kind=report.kind,
            created_at=report.created_at,
            to=list(report.to),
            subject=report.subject,
            delivery=Delivery.of(report.delivery),
            counts=dict(report.counts),
            changed_count=report.changed_count,
            files=ReportFiles.of(report, context),
        )


class WebhookDelivery(Schema):
    """A delivery to a webhook about a batch, a campaign or a schedule."""

    delivery_id: str = Field(description="Its id, the `webhook-id` of all of its attempts.")
    origin_id: str = Field(description="The batch, campaign or schedule that it is about.")
    seq: int = Field(description="Its number, to have it sent again as a report is.")
    webhook: str = Field(description="The name of the webhook.")
    subject: str = Field(description="The event and the webhook.")
    url: str = Field(description="The URL when it was stored, without secrets.")
    created_at: datetime = Field(description="When it was stored.")
    tries: int = Field(description="The number of attempts so far.")
    delivery: Delivery

    @classmethod
    def of(cls, report: domain.Report) -> "WebhookDelivery":
        """A delivery as it is stored."""
        return cls(
            delivery_id=webhook_id(report.batch_id, report.seq),
            origin_id=report.batch_id,
            seq=report.seq,
            webhook=report.webhook,
            subject=report.subject,
            url=", ".join(report.to),
            created_at=report.created_at,
            tries=report.delivery.tries,
            delivery=Delivery.of(report.delivery),
        )


class ReportList(Schema):
    """All reports of a batch or a campaign, and the webhook deliveries about it, oldest first."""

    items: list[Report]
    webhook_deliveries: list[WebhookDelivery] = Field(description="The deliveries to webhooks.")

    @classmethod
    def of(cls, found: report_queries.OriginReports, context: QueryContext) -> "ReportList":
        """What was sent about a batch or a campaign."""
        return cls(
            items=[Report.of(each, context) for each in found.reports],
            webhook_deliveries=[WebhookDelivery.of(each) for each in found.deliveries],
        )
