"""Digests are the same in each process of a function."""

from web.digests import digest_of


def test_a_digest_does_not_depend_on_the_order_of_sets() -> None:
    one, other = frozenset([0, 8]), frozenset([8, 0])  # they collide, so they keep this order

    assert repr(one) != repr(other)
    assert digest_of(("x", one, [one])) == digest_of(("x", other, [other]))
    assert digest_of(("x", one)) != digest_of(("x", frozenset([0, 9])))
    assert digest_of(frozenset()) != digest_of(frozenset([0]))
