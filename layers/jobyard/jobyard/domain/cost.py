"""The usage of AWS and its cost, by one dated table of prices."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import date

from jobyard.domain.plurals import plural

PRICED_ON = date(2026, 10, 4)
REGION = "us-east-1"


@dataclass(frozen=True)
class Usage:
    """Counts of what AWS bills, as the meter of each invocation counts it (services/meter.py).

    `ms` is Lambda's time in milliseconds; AWS bills `mb_ms`, the memory in MB times that, summed
    over invocations. `transitions` include the start of each Map child. `s3_writes` are PUT, COPY,
    POST and LIST requests, `s3_reads` all others but DELETE, which is free. `bytes_stored` are the
    bytes sent to S3, not those copied within it; their price is that of one month. `mails` counts
    one for each recipient, `events` are those of EventBridge that S3 sent.
    """

    write_units: float = 0.0
    read_units: float = 0.0
    transitions: int = 0
    invocations: int = 0
    ms: int = 0
    mb_ms: int = 0
    s3_writes: int = 0
    s3_reads: int = 0
    bytes_stored: int = 0
    mails: int = 0
    events: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(*(getattr(self, name) + getattr(other, name) for name in KINDS))


KINDS = tuple(field.name for field in fields(Usage))


@dataclass(frozen=True)
class Price:
    """The price in US dollars of `per` units of `kind`, a field of `Usage`. No free tier counts."""

    kind: str
    title: str
    dollars: float
    per: float
    source: str


_GB = 1024**3
PRICES = (
    Price("write_units", "DynamoDB write units", 0.625, 1e6, "DynamoDB pricing, on demand"),
    Price("read_units", "DynamoDB read units", 0.125, 1e6, "DynamoDB pricing, on demand"),
    Price("transitions", "Step Functions transitions", 0.025, 1e3, "Step Functions pricing"),
    Price("invocations", "Lambda invocations", 0.20, 1e6, "Lambda pricing"),
    Price("mb_ms", "Lambda MB·ms, arm64", 0.0000133334, 1024 * 1000, "Lambda pricing, per GB·s"),
    Price("s3_writes", "S3 PUT, COPY, POST, LIST", 0.005, 1e3, "S3 pricing, Standard"),
    Price("s3_reads", "S3 GET and other requests", 0.0004, 1e3, "S3 pricing, Standard"),
    Price(
        "bytes_stored", "S3 bytes, for one month", 0.023, _GB, "S3 pricing, Standard, first 50 TB"
    ),
    Price(
        "mails",
        "SES mails, one for each recipient",
        0.10,
        1e3,
        "SES pricing, without a plan; 0.16 with one",
    ),
    Price("events", "EventBridge events from S3", 1.00, 1e6, "EventBridge pricing, opt-in events"),
)


@dataclass(frozen=True)
class CostLine:
    """One line of a cost: a quantity and its price."""

    price: Price
    quantity: float

    @property
    def dollars(self) -> float:
        """The cost of the quantity, in US dollars."""
        return self.quantity * self.price.dollars / self.price.per


@dataclass(frozen=True)
class Cost:
    """The cost of a usage, line by line."""

    usage: Usage
    lines: tuple[CostLine, ...]
    region: str = REGION
    priced_on: date = PRICED_ON

    @property
    def dollars(self) -> float:
        """The sum, in US dollars."""
        return sum(line.dollars for line in self.lines)

    def description(self) -> str:
        """The cost in one line, for people."""
        usage = self.usage
        return (
            f"{self.amount()} ({plural(round(usage.write_units), 'write unit')}, "
            f"{plural(usage.transitions, 'transition')}, "
            f"{plural(usage.invocations, 'invocation')}; {REGION} prices of {PRICED_ON})"
        )

    def amount(self) -> str:
        """The sum for people: with cents from one dollar on, else with six decimals."""
        return f"${self.dollars:,.2f}" if self.dollars >= 1 else f"${self.dollars:.6f}"


def price_usage(usage: Usage) -> Cost:
    """The cost of `usage` at the prices of the table."""
    return Cost(usage, tuple(CostLine(price, getattr(usage, price.kind)) for price in PRICES))


def total(usages: Iterable[Usage]) -> Usage:
    """The sum of `usages`."""
    return sum(usages, Usage())
