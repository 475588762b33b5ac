"""What a client checks of the server's key log; the vectors are in tests/test_vectors.py."""

from __future__ import annotations

import pytest

from crypto_utils import sha256
from errors import CryptoError
from key_log import EMPTY, prove_index, verify_entries, verify_index
from records import Inclusion
from tests.relay.world import LOG_KEY, SERVER_KEY


def test_an_index_is_the_logs_own_and_of_one_account() -> None:
    proof = prove_index(LOG_KEY, "alice")
    assert verify_index(LOG_KEY.public_key(), "alice", proof) == sha256(proof)
    for key, user_id in ((SERVER_KEY, "alice"), (LOG_KEY, "bob")):
        with pytest.raises(CryptoError):
            verify_index(key.public_key(), user_id, proof)


def test_each_entry_needs_its_place() -> None:
    with pytest.raises(CryptoError):
        verify_entries(EMPTY, [], [Inclusion(path=[], position=0)])
