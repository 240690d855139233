from __future__ import annotations

from eatool.publishing.suspects import Suspects


def test_ended_sessions_convict_only_when_others_passed_in_between() -> None:
    suspects = Suspects(3)
    for _ in range(10):
        assert not suspects.accuse("a")
    suspects.acknowledged("b")
    assert not suspects.accuse("a")
    assert not suspects.accuse("a")
    suspects.acknowledged("b")
    assert suspects.accuse("a")


def test_an_acknowledgement_acquits() -> None:
    suspects = Suspects(2)
    suspects.accuse("a")
    assert "a" in suspects
    assert suspects.any_of(["b", "a"])
    suspects.acknowledged("a")
    assert not suspects
    suspects.acknowledged("b")
    assert not suspects.accuse("a")


def test_a_forgotten_stream_starts_afresh() -> None:
    suspects = Suspects(2)
    suspects.accuse("a")
    suspects.acknowledged("b")
    suspects.forget("a")
    assert not suspects.accuse("a")


def test_a_session_that_survives_without_the_only_suspect_counts_like_an_acknowledgement() -> None:
    suspects = Suspects(3)
    for _ in range(2):
        assert not suspects.accuse("a")
        assert suspects.unproven
        suspects.survived()
        assert not suspects.unproven
    assert suspects.accuse("a")


def test_quiet_sessions_convict_one_until_the_broker_takes_something() -> None:
    suspects = Suspects(2)
    suspects.accuse("a")
    suspects.survived()
    assert suspects.accuse("a")
    suspects.forget("a")
    suspects.accuse("b")
    assert not suspects.unproven, "the broker may well break on everything"
    suspects.acknowledged("c")
    suspects.forget("b")
    suspects.accuse("d")
    assert suspects.unproven


def test_two_suspects_prove_nothing_about_either() -> None:
    suspects = Suspects(2)
    suspects.accuse("a")
    suspects.accuse("b")
    assert not suspects.unproven


def test_after_a_silence_a_quiet_session_is_no_evidence() -> None:
    suspects = Suspects(2)
    suspects.accuse("a", silent=True)
    assert not suspects.unproven
    suspects.acknowledged("b")
    assert suspects.accuse("a", silent=True)


def test_an_acquittal_starts_all_counts_anew() -> None:
    suspects = Suspects(3)
    suspects.accuse("a")
    suspects.acknowledged("c")
    suspects.accuse("a")
    suspects.accuse("b")
    suspects.acknowledged("b")
    assert not suspects.accuse("a"), "the broker breaks on innocent events too"
    suspects.acknowledged("c")
    assert suspects.accuse("a")
