"""The judge is judged: fed a history with a fault, it says so."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.oracle import Verdict, judge

HISTORIES = st.integers(2, 50).flatmap(lambda size: st.tuples(st.just(list(range(size))), st.integers(0, size - 1)))


@given(HISTORIES)
def test_a_history_without_a_fault(history: tuple[list[int], int]) -> None:
    sent, _ = history
    assert judge(sent=sent, accepted=sent, shown=sent) == Verdict([], [], [], [], 0)
    assert judge(sent=sent, accepted=sent, shown=sent).kept


@given(HISTORIES)
def test_a_loss_is_seen(history: tuple[list[int], int]) -> None:
    sent, place = history
    verdict = judge(sent=sent, accepted=sent, shown=[message for message in sent if message != place])
    assert (verdict.lost, verdict.kept) == ([place], False)


@given(HISTORIES)
def test_a_double_is_seen(history: tuple[list[int], int]) -> None:
    sent, place = history
    verdict = judge(sent=sent, accepted=sent, shown=[*sent, place])
    assert (verdict.duplicated, verdict.kept) == ([place], False)


@given(HISTORIES)
def test_what_nobody_sent_is_seen(history: tuple[list[int], int]) -> None:
    sent, place = history
    verdict = judge(sent=sent, accepted=sent, shown=[*sent[:place], -1, *sent[place:]])
    assert (verdict.unexpected, verdict.kept) == ([-1], False)


@given(HISTORIES)
def test_a_wrong_order_is_seen(history: tuple[list[int], int]) -> None:
    sent, place = history
    other = (place + 1) % len(sent)
    shown = list(sent)
    shown[place], shown[other] = shown[other], shown[place]
    verdict = judge(sent=sent, accepted=sent, shown=shown)
    assert verdict.disordered
    assert not verdict.kept


@given(HISTORIES)
def test_what_arrives_without_a_promise_is_no_fault(history: tuple[list[int], int]) -> None:
    sent, place = history
    verdict = judge(sent=sent, accepted=sent[:place], shown=sent)
    assert (verdict.recovered, verdict.kept) == (len(sent) - place, True)
    assert judge(sent=sent, accepted=sent[:place], shown=sent[:place]).kept  # nor what does not
