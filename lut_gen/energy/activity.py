"""Activity: how often each net toggles per multiplication, zero-delay, exact for any operand distribution.

`Signals` holds the value of every net for all operand pairs, one bit each. With v(a, b) the value of a net,
P(a, b) the share of each pair and p = sum P v:

    independent draws   2 p (1 - p)
    weight held         sum over b of P(b) 2 p_b (1 - p_b),   p_b = sum over a of P(a | b) v(a, b)

so a distribution costs one weighted count of ones per net and held operand: a matrix product. Signal
probabilities: Parker, McCluskey, "Probabilistic treatment of general combinational networks", 1975; here they
are counted, not propagated, so correlations inside the circuit and between the operands are exact.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lut_gen.energy.data_order import INDEPENDENT, DataOrder
from lut_gen.errors import AgnError
from lut_gen.library.cell import Cell
from lut_gen.netlist import Netlist, all_operands

_UNPACKED = 2**18  # bits at a time: 2 MB as float64, which stays in the cache
_STEPS = 2**20  # of a recorded sequence at a time: 128 KB a net


@dataclass(frozen=True)
class Signals:
    """The value of each net for all operand pairs: uint8 [nets, 2**a_bits * 2**b_bits / 8, rounded up].

    Pair (a, b) is bit k % 8 of byte k // 8 with k = a * 2**b_bits + b, the order of tables. 8 KB a net for an
    8x8 multiplier.
    """

    bits: np.ndarray
    a_bits: int
    b_bits: int

    @classmethod
    def of(cls, netlist: Netlist, cells: Mapping[str, Cell]) -> Signals:
        """Evaluates the netlist on all operand pairs."""
        a_bits, b_bits = len(netlist.a), len(netlist.b)
        words = netlist.evaluate(cells, *all_operands(a_bits, b_bits))
        size = -(-(2 ** (a_bits + b_bits)) // 8)
        return cls(np.ascontiguousarray(words.astype("<u8").view(np.uint8)[:, :size]), a_bits, b_bits)

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of a joint histogram: (2**a_bits, 2**b_bits)."""
        return 2**self.a_bits, 2**self.b_bits

    def toggles(self, joint: np.ndarray, order: DataOrder = INDEPENDENT) -> np.ndarray:
        """Mean toggles of each net per multiplication, float64 [nets].

        joint: how often each pair of operand patterns occurs, [2**a_bits, 2**b_bits], integers or floats of any
        sum. Raises AgnError for another shape, negative or non-finite entries or an empty histogram.
        """
        shares = normalised(joint, self.shape)
        used_a, used_b = (np.flatnonzero(shares.sum(axis=axis)) for axis in (1, 0))
        shares = np.ascontiguousarray(shares[np.ix_(used_a, used_b)])
        axis = 1 if order.held == "a" else 0
        rates = np.empty(len(self.bits))
        for nets, values in self._values(used_a, used_b):
            values *= shares
            rates[nets] = _rates(values.sum(axis=1 + axis), shares.sum(axis=axis), order.stay)
        return rates

    def toggles_of_marginals(
        self, a: np.ndarray, b: np.ndarray, order: DataOrder | Sequence[DataOrder] = INDEPENDENT
    ) -> np.ndarray:
        """The same for many distributions of independent operands at once, float64 [distributions, nets].

        a: float or integer [distributions, 2**a_bits], b: [distributions, 2**b_bits]: row i stands for the joint
        histogram outer(a[i], b[i]). order: of all, or one each, which then hold the same operand. Raises AgnError as
        `toggles` does.
        """
        orders = [order] * len(a) if isinstance(order, DataOrder) else list(order)
        held_port = _held_by_all(orders, len(a))
        stay = np.array([order.stay for order in orders])
        a, b = (normalised(m, (len(a), size), axis=1) for m, size in zip((a, b), self.shape, strict=True))
        used_a, used_b = (np.flatnonzero(shares.sum(axis=0)) for shares in (a, b))
        rates = np.empty((len(a), len(self.bits)))
        a, b = np.ascontiguousarray(a[:, used_a]), np.ascontiguousarray(b[:, used_b])
        held, moving = (a, b) if held_port == "a" else (b, a)
        for nets, values in self._values(used_a, used_b):
            ones = moving @ (values.transpose(0, 2, 1) if held_port == "a" else values)  # [nets, distributions, held]
            rates[:, nets] = _rates(ones * held, held, stay).T
        return rates

    def _values(self, rows: np.ndarray, columns: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
        """Some nets at a time: which ones, and their values for these patterns of a and b, float64 [nets, A, B]."""
        pairs = 2 ** (self.a_bits + self.b_bits)
        step = max(_UNPACKED // pairs, 1)
        whole = (len(rows), len(columns)) == self.shape
        for first in range(0, len(self.bits), step):
            nets = slice(first, first + step)
            values = np.unpackbits(self.bits[nets], axis=1, count=pairs, bitorder="little").reshape(-1, *self.shape)
            yield nets, (values if whole else values.take(rows, axis=1).take(columns, axis=2)).astype(np.float64)


def recorded(netlist: Netlist, cells: Mapping[str, Cell], a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Zero-delay toggles of each net over a recorded sequence of operand patterns: int64 [nets].

    a, b: integers [T], the raw bits on the ports; T - 1 steps are counted.
    """
    toggles = np.zeros(netlist.nets, dtype=np.int64)
    for first in range(0, len(a) - 1, _STEPS):
        part = slice(first, first + _STEPS + 1)  # the last pair is the next part's first
        words = netlist.evaluate(cells, a[part], b[part])
        following = np.concatenate([words[:, 1:], words[:, :1]], axis=1)
        switched = words ^ (words >> np.uint64(1) | following << np.uint64(63))
        full, rest = divmod(len(a[part]) - 1, 64)
        toggles += np.bitwise_count(switched[:, :full]).sum(axis=1, dtype=np.int64)
        if rest:
            toggles += np.bitwise_count(switched[:, full] & np.uint64(2**rest - 1))
    return toggles


def _held_by_all(orders: Sequence[DataOrder], count: int) -> str | None:
    """The operand that these orders hold. Raises AgnError if they are not `count`, or hold different ones."""
    held = {order.held for order in orders if order.stay}
    if len(orders) != count or len(held) > 1:
        came = f"{len(orders)} came, which hold {', '.join(sorted(map(str, held))) or 'nothing'}"
        raise AgnError(f"one order, or {count} that hold the same operand", came, "call it once for each operand held")
    return held.pop() if held else None


def _rates(ones: np.ndarray, held: np.ndarray, stay: float | np.ndarray) -> np.ndarray:
    """Toggles per multiplication [...] from the mass of ones [..., held patterns] and the mass of each held
    pattern (broadcasts to `ones`); stay: share of the steps that keep the held operand (broadcasts to the result)."""
    p = ones.sum(axis=-1)
    anew = 2 * p * (1 - p)
    if not np.any(stay):
        return anew
    within = 2 * (ones * (1 - np.divide(ones, held, out=np.zeros_like(ones), where=held > 0))).sum(axis=-1)
    return stay * within + (1 - stay) * anew


def normalised(histogram: np.ndarray, shape: tuple[int, ...], axis: int | None = None) -> np.ndarray:
    """Shares that add up to 1 (along `axis`), float64. Raises AgnError for what is no histogram of this shape."""
    shares = np.asarray(histogram, dtype=np.float64)
    wanted = f"a histogram of shape {shape}: counts or shares, none negative, not all zero"
    if shares.shape != shape:
        raise AgnError(wanted, f"its shape is {shares.shape}", "count the raw patterns on the ports, port a first")
    if not np.isfinite(shares).all() or (shares < 0).any():
        raise AgnError(wanted, "it holds negative or non-finite entries", "count the patterns again")
    total = shares.sum(axis=axis, keepdims=True)
    if not (total > 0).all():
        raise AgnError(wanted, "nothing was counted", "count at least one pair")
    return shares / total
