"""The bill: one table of prices, each line a quantity times its price."""

import pytest

from jobyard.domain.cost import KINDS, PRICES, Usage, price_usage, total


def test_each_kind_of_use_but_milliseconds_has_one_price() -> None:
    priced_kinds = [price.kind for price in PRICES]

    # Lambda is paid by memory times time; the time itself is only shown.
    assert sorted(priced_kinds) == sorted(set(KINDS) - {"ms"})
    assert all(price.source for price in PRICES)


def test_a_million_write_units_cost_what_the_table_says() -> None:
    cost = price_usage(Usage(write_units=1_000_000))

    assert cost.dollars == pytest.approx(0.625)
    assert [line.price.title for line in cost.lines if line.dollars] == ["DynamoDB write units"]


def test_a_gigabyte_second_is_priced_as_lambda_prices_it() -> None:
    assert price_usage(Usage(mb_ms=512 * 2000)).dollars == pytest.approx(0.0000133334)


def test_usage_adds_up() -> None:
    first = Usage(write_units=1.5, transitions=2, mails=1)
    second = Usage(write_units=2.0, s3_reads=3)

    assert total([first, second]) == Usage(write_units=3.5, transitions=2, mails=1, s3_reads=3)
    assert total([]) == Usage()


@pytest.mark.parametrize(
    ("usage", "amount"),
    [
        (Usage(transitions=36), "$0.000900"),
        (Usage(write_units=2_000_000), "$1.25"),
        (Usage(), "$0.000000"),
    ],
)
def test_small_sums_are_shown_with_significant_digits(usage: Usage, amount: str) -> None:
    assert price_usage(usage).amount() == amount


def test_the_text_names_the_prices_date() -> None:
    words = price_usage(Usage(write_units=2053, transitions=36, invocations=15)).description()

    assert "2,053 write units, 36 transitions, 15 invocations" in words
    assert "prices of 2026-10-04" in words


def test_one_of_a_kind_is_written_in_the_singular() -> None:
    words = price_usage(Usage(write_units=1, transitions=1, invocations=1)).description()

    assert "(1 write unit, 1 transition, 1 invocation; " in words
