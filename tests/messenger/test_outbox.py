from __future__ import annotations

from tests.messenger.people import Town


def test_ids_are_unique_and_lie_together_in_their_order(town: Town) -> None:
    """The relay's index has them side by side: a page of it holds many of one sender."""
    outbox = town.person("alice").messenger.outbox
    ids = [outbox.new_id(1_700_000_000 + number // 10) for number in range(100)]
    assert {len(each) for each in ids} == {16}
    assert ids == sorted(set(ids))


def test_an_id_does_not_tell_how_much_was_written_to_others_before(town: Town) -> None:
    outbox = town.person("alice").messenger.outbox
    for _ in range(5):
        outbox.new_id(7)
    assert outbox.new_id(8)[:8] == bytes([0, 0, 0, 8, 0, 0, 0, 1])


def test_a_second_life_within_the_same_second_makes_other_ids(town: Town) -> None:
    """Its count begins anew, as after a crash or with a restored copy."""
    outbox = town.person("alice").messenger.outbox
    first = outbox.new_id(7)
    outbox._made = 0
    assert outbox.new_id(7) != first
