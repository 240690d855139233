"""One replica decides: taken, kept, lost after silence, given away."""

from __future__ import annotations

from tests.rollout.conftest import Open, Time

from eatool.rollout.lease import SqlLease


def test_one_of_two_holds_it_until_it_is_silent_for_too_long(open_store: Open, time: Time) -> None:
    one = SqlLease(open_store().engine, "decide", "one", clock=time)
    two = SqlLease(open_store().engine, "decide", "two", clock=time)
    assert one.hold(10)
    assert not two.hold(10)
    time.advance(seconds=9)
    assert one.hold(10)
    time.advance(seconds=9)
    assert not two.hold(10)
    time.advance(seconds=2)
    assert two.hold(10)
    assert not one.hold(10)


def test_it_is_free_at_once_when_its_holder_leaves(open_store: Open, time: Time) -> None:
    one = SqlLease(open_store().engine, "decide", "one", clock=time)
    two = SqlLease(open_store().engine, "decide", "two", clock=time)
    assert one.hold()
    two.leave()
    assert not two.hold()
    one.leave()
    assert two.hold()


def test_names_are_leases_of_their_own(open_store: Open) -> None:
    engine = open_store().engine
    assert SqlLease(engine, "decide", "one").hold()
    assert SqlLease(engine, "another", "two").hold()
