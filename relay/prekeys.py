"""The prekeys that devices leave here: kept, counted, handed out (docs/PROTOCOL.md section 4.9)."""

from __future__ import annotations

from canonical_json import canonical, decode
from errors import Code, CryptoError, Refused
from prekeys import verify_prekey
from protocol import FetchPrekeys, Prekeys, PrekeysHeld, PublishPrekeys
from records import IdentityRecord, OneTimePrekey, SignedPrekey
from relay.limits import Limits, Now, RateLimiter
from relay.storage import Address, Store


class PrekeyShelf:
    """The prekeys of all devices."""

    def __init__(self, store: Store, limits: Limits) -> None:
        """Work on a store."""
        self._store = store
        self._limits = limits
        self._fetches = RateLimiter(limits.prekey_fetches)
        self._pages = RateLimiter(limits.prekey_pages)
        self._each = RateLimiter(limits.one_time_prekeys_each)

    def publish(self, device: Address, command: PublishPrekeys, *, now: Now) -> PrekeysHeld:
        """Add prekeys of a device, if there are any in the command, and say what is held then.

        Raises:
            Refused: One is not the device's, or not signed by its account's present identity; or there were too many.
        """
        if command.signed or command.one_time:  # each costs up to 8 ms to check
            self._pages.charge(device.user_id, now.steady_s)
        record = self._store.identity_record(device.user_id)
        assert record is not None  # noqa: S101 - nobody logs in without an identity
        identity = decode(IdentityRecord, record)
        prekeys: list[SignedPrekey | OneTimePrekey] = [*command.signed, *command.one_time]
        for prekey in prekeys:
            _check(prekey, device, identity)
        for signed in command.signed:
            self._store.prekeys.set_signed(device, signed.id, canonical(signed))
        room = max(0, self._limits.one_time_prekeys - self._store.prekeys.count_one_time(device))
        for one_time in command.one_time[:room]:
            self._store.prekeys.add_one_time(device, one_time.id, canonical(one_time))
        return self._held(device)

    def _held(self, device: Address) -> PrekeysHeld:
        signed = self._store.prekeys.signed(device)
        number = decode(SignedPrekey, signed).id if signed is not None else 0
        return PrekeysHeld(one_time=self._store.prekeys.count_one_time(device), signed=number)

    def fetch(self, command: FetchPrekeys, *, asked_by: str, now: Now) -> Prekeys:
        """Hand out a device's prekeys: the signed one, and one that nobody else gets.

        Nobody can empty the shelf: an account gets a few one-time prekeys of a device in a day, and then only the
        signed one.

        Raises:
            Refused: There is no such device, it has left none, or the account asks too often.
        """
        self._fetches.charge(asked_by, now.steady_s)
        device = Address(command.user_id, command.device_id)
        account = self._store.account(command.user_id)
        if account is None or device not in account.mailboxes:
            raise Refused(Code.UNKNOWN_USER)
        signed = self._store.prekeys.signed(device)
        if signed is None:
            raise Refused(Code.NO_PREKEYS)
        one_time = self._take(device, asked_by, now)
        return Prekeys(one_time=one_time, signed=decode(SignedPrekey, signed))

    def _take(self, device: Address, asked_by: str, now: Now) -> list[OneTimePrekey]:
        try:
            self._each.charge(f"{asked_by} {device.user_id} {device.device_id}", now.steady_s)
        except Refused:
            return []
        taken = self._store.prekeys.take_one_time(device)
        return [decode(OneTimePrekey, taken)] if taken is not None else []

    def clear(self, user_id: str) -> None:
        """Forget the prekeys of an account: its present identity has not signed them."""
        self._store.prekeys.drop(user_id)


def _check(prekey: SignedPrekey | OneTimePrekey, device: Address, identity: IdentityRecord) -> None:
    try:
        verify_prekey(prekey, identity)
    except CryptoError as error:
        raise Refused(Code.INVALID_RECORD) from error
    if prekey.device_id != device.device_id:
        raise Refused(Code.INVALID_RECORD)
