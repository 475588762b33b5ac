"""The log's tree, against the published vectors of Certificate Transparency and a second implementation."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

import merkle
from errors import CryptoError

# Leaves and roots of the reference implementation of Certificate Transparency (transparency-dev/merkle, testonly).
LEAVES = [bytes.fromhex(leaf) for leaf in (
    "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f",
)]  # fmt: skip
ROOTS = [bytes.fromhex(root) for root in (
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)]  # fmt: skip


class Tree:
    """A log of some leaves."""

    def __init__(self, leaves: list[bytes]) -> None:
        self.nodes: dict[tuple[int, int], bytes] = {}
        for size, leaf in enumerate(leaves):
            for level, number, digest in merkle.appended(self.at, size, merkle.leaf_hash(leaf)):
                assert (level, number) not in self.nodes
                self.nodes[level, number] = digest

    def at(self, level: int, number: int) -> bytes:
        return self.nodes[level, number]


def by_definition(leaves: list[bytes]) -> bytes:
    """MTH as RFC 9162 section 2.1.1 writes it down, with nothing of ours."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    split = max(2**exponent for exponent in range(60) if 2**exponent < len(leaves))
    return hashlib.sha256(b"\x01" + by_definition(leaves[:split]) + by_definition(leaves[split:])).digest()


def path_by_definition(position: int, leaves: list[bytes]) -> list[bytes]:
    """PATH of section 2.1.3.1."""
    if len(leaves) == 1:
        return []
    split = max(2**exponent for exponent in range(60) if 2**exponent < len(leaves))
    if position < split:
        return [*path_by_definition(position, leaves[:split]), by_definition(leaves[split:])]
    return [*path_by_definition(position - split, leaves[split:]), by_definition(leaves[:split])]


def proof_by_definition(before: int, leaves: list[bytes], *, whole: bool = True) -> list[bytes]:
    """SUBPROOF of section 2.1.4.1."""
    if before == len(leaves):
        return [] if whole else [by_definition(leaves)]
    split = max(2**exponent for exponent in range(60) if 2**exponent < len(leaves))
    if before <= split:
        return [*proof_by_definition(before, leaves[:split], whole=whole), by_definition(leaves[split:])]
    return [*proof_by_definition(before - split, leaves[split:], whole=False), by_definition(leaves[:split])]


@pytest.mark.parametrize("size", range(9))
def test_the_published_roots(size: int) -> None:
    assert merkle.root(Tree(LEAVES).at, size) == ROOTS[size] == by_definition(LEAVES[:size])


MANY = [bytes([number]) * 3 for number in range(33)]
TREE = Tree(MANY)


@pytest.mark.parametrize("size", range(1, 34))
def test_inclusion(size: int) -> None:
    for position in range(size):
        check_inclusion(position, size)


def check_inclusion(position: int, size: int) -> None:
    path, head = merkle.inclusion_path(TREE.at, position, size), (size, merkle.root(TREE.at, size))
    assert path == path_by_definition(position, MANY[:size])
    leaf = merkle.leaf_hash(MANY[position])
    merkle.verify_inclusion(leaf, position, path, head)
    others = [
        (merkle.leaf_hash(b"another"), position, path, head),
        (leaf, position, [*path, bytes(32)], head),
        (leaf, position, path, (size, bytes(32))),
        (leaf, size, path, head),
        *[(leaf, other, path, head) for other in range(size) if other != position],
        *[(leaf, position, path[:at] + path[at + 1 :], head) for at in range(len(path))],
        *[(leaf, position, [*path[:at], bytes(32), *path[at + 1 :]], head) for at in range(len(path))],
    ]
    for other in others:
        with pytest.raises(CryptoError):
            merkle.verify_inclusion(*other)


@pytest.mark.parametrize("size", range(1, 34))
def test_consistency(size: int) -> None:
    for before in range(size + 1):
        check_consistency(before, size)


def check_consistency(before: int, size: int) -> None:
    path = merkle.consistency_path(TREE.at, before, size)
    assert path == ([] if before == 0 else proof_by_definition(before, MANY[:size]))
    first, second = ((count, merkle.root(TREE.at, count)) for count in (before, size))
    merkle.verify_consistency(first, path, second)
    others = [
        (first, [*path, bytes(32)], second),
        ((before, bytes(32)), path, second),
        ((size + 1, first[1]), path, second),
        *([(first, path, (size, bytes(32)))] if before else []),  # nothing is said about what follows the empty tree
        *([(first, [], second)] if path else []),
        *[(first, path[:at] + path[at + 1 :], second) for at in range(len(path))],
        *[(first, [*path[:at], bytes(32), *path[at + 1 :]], second) for at in range(len(path))],
    ]
    for other in others:
        with pytest.raises(CryptoError):
            merkle.verify_consistency(*other)


@given(st.integers(1, 70), st.data())
def test_two_histories_are_never_consistent(size: int, data: st.DataObject) -> None:
    """Whichever leaf another history has otherwise, no path of either tree leads from one to the other."""
    leaves = [number.to_bytes(2, "big") for number in range(size)]
    altered = data.draw(st.integers(0, size - 1))
    before = data.draw(st.integers(altered + 1, size))
    other = Tree([*leaves[:altered], b"other", *leaves[altered + 1 :]])
    this = Tree(leaves)
    known = (before, merkle.root(this.at, before))
    shown = (size, merkle.root(other.at, size))
    for tree in (this, other):
        with pytest.raises(CryptoError):
            merkle.verify_consistency(known, merkle.consistency_path(tree.at, before, size), shown)
