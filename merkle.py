"""The Merkle tree of an append-only log (RFC 9162 section 2.1): its root, its proofs, and how they are checked.

Whoever holds the tree keeps the hash of each of its perfect subtrees, by level and number: level 0 are the leaves, and
the subtree (l, n) covers the leaves from n * 2^l on. What the leaves mean is the caller's (key_log.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from crypto_utils import sha256
from errors import CryptoError

EMPTY_ROOT: Final = sha256(b"")  # of the tree without leaves

Nodes = Callable[[int, int], bytes]  # level and number of a perfect subtree: its hash, 32 bytes


def leaf_hash(leaf: bytes) -> bytes:
    """Return the hash of a leaf; the byte before it keeps leaves and nodes apart."""
    return sha256(b"\0" + leaf)


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of a node over its two subtrees."""
    return sha256(b"\1" + left + right)


def appended(nodes: Nodes, size: int, leaf: bytes) -> list[tuple[int, int, bytes]]:
    """Return the perfect subtrees that a leaf completes: level, number and hash of each, the leaf itself first.

    Args:
        nodes: The tree.
        size: How many leaves it has.
        leaf: The hash of the next one.
    """
    level, number, digest = 0, size, leaf
    completed = [(level, number, digest)]
    while number % 2:
        digest = node_hash(nodes(level, number - 1), digest)
        level, number = level + 1, number // 2
        completed.append((level, number, digest))
    return completed


def root(nodes: Nodes, size: int) -> bytes:
    """Return the root of the first `size` leaves."""
    return _subtree(nodes, 0, size) if size else EMPTY_ROOT


def _subtree(nodes: Nodes, start: int, end: int) -> bytes:
    """Return MTH(D[start:end]) of RFC 9162 section 2.1.1; `start` is where such a subtree begins."""
    if (end - start).bit_count() == 1:
        level = (end - start).bit_length() - 1
        return nodes(level, start >> level)
    middle = start + _split(end - start)
    return node_hash(_subtree(nodes, start, middle), _subtree(nodes, middle, end))


def _split(size: int) -> int:
    """Return the largest power of two below a size above 1."""
    return int(1 << ((size - 1).bit_length() - 1))


# ---------------------------------------------------------------- proofs


def inclusion_path(nodes: Nodes, position: int, size: int) -> list[bytes]:
    """Return what leads from a leaf to the root of the first `size` leaves (RFC 9162 section 2.1.3.1)."""
    path: list[bytes] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if position < middle:
            path.append(_subtree(nodes, middle, end))
            end = middle
        else:
            path.append(_subtree(nodes, start, middle))
            start = middle
    return path[::-1]


def consistency_path(nodes: Nodes, before: int, size: int) -> list[bytes]:
    """Return what shows that the tree of `size` leaves begins with that of `before` (RFC 9162 section 2.1.4.1)."""
    if before in {0, size}:  # all trees begin with the empty one, and with themselves
        return []
    path: list[bytes] = []
    start, end = 0, size
    while end != before:
        middle = start + _split(end - start)
        if before <= middle:
            path.append(_subtree(nodes, middle, end))
            end = middle
        else:
            path.append(_subtree(nodes, start, middle))
            start = middle
    if start:  # otherwise it is the whole earlier tree, whose root the other side has
        path.append(_subtree(nodes, start, end))
    return path[::-1]


def verify_inclusion(leaf: bytes, position: int, path: list[bytes], head: tuple[int, bytes]) -> None:
    """Check that a leaf is in a tree (RFC 9162 section 2.1.3.2).

    Args:
        leaf: Its hash.
        position: Its number, from 0.
        path: What `inclusion_path` returned.
        head: The size of the tree, and its root.

    Raises:
        CryptoError: It is not, or not there.
    """
    size, expected = head
    if position >= size:
        raise CryptoError
    number, last, digest = position, size - 1, leaf
    for sibling in path:
        if last == 0:
            raise CryptoError
        if number % 2 or number == last:
            digest = node_hash(sibling, digest)
            number, last = _skip_left_edge(number, last)
        else:
            digest = node_hash(digest, sibling)
        number, last = number >> 1, last >> 1
    if last != 0 or digest != expected:
        raise CryptoError


def verify_consistency(before: tuple[int, bytes], path: list[bytes], after: tuple[int, bytes]) -> None:
    """Check that a tree begins with an earlier one (RFC 9162 section 2.1.4.2).

    Args:
        before: Size and root of the earlier one.
        path: What `consistency_path` returned.
        after: Size and root of the later one.

    Raises:
        CryptoError: It does not.
    """
    (first, first_root), (second, second_root) = before, after
    if first > second or (first == second and first_root != second_root):
        raise CryptoError
    if first in {0, second}:
        if path or (first == 0 and first_root != EMPTY_ROOT):
            raise CryptoError
        return
    hashes = [first_root, *path] if first.bit_count() == 1 else path
    if not hashes:
        raise CryptoError
    number, last = first - 1, second - 1
    while number % 2:
        number, last = number >> 1, last >> 1
    earlier = later = hashes[0]
    for sibling in hashes[1:]:
        if last == 0:
            raise CryptoError
        if number % 2 or number == last:
            earlier, later = node_hash(sibling, earlier), node_hash(sibling, later)
            number, last = _skip_left_edge(number, last)
        else:
            later = node_hash(later, sibling)
        number, last = number >> 1, last >> 1
    if last != 0 or (earlier, later) != (first_root, second_root):
        raise CryptoError


def _skip_left_edge(number: int, last: int) -> tuple[int, int]:
    """Go up while a node is a left one without a right sibling: its hash is its parent's."""
    while number % 2 == 0 and number:
        number, last = number >> 1, last >> 1
    return number, last
