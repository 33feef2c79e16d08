"""What an array must compute, and what must switch in it: slow and obvious, in numpy."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from lut_gen.element.netlist import ElementNetlist
from lut_gen.library.liberty import Technology
from sim.array_sources import ArrayShape, Circuit
from sim.cosim import Toggles


@dataclass(frozen=True)
class Operands:
    """Patterns x [M, K] and w [N, K] with their signs (None for two's complement patterns)."""

    x: np.ndarray
    w: np.ndarray
    x_negative: np.ndarray | None
    w_negative: np.ndarray | None


def operands(circuit: Circuit, m: int, k: int, n: int, seed: int = 0) -> Operands:
    """Uniform ones."""
    random = np.random.default_rng(seed)
    x, w = (random.integers(0, 2 ** len(nets), (rows, k)) for nets, rows in zip(circuit.operands, (m, n), strict=True))
    if circuit.signed:
        return Operands(x, w, None, None)
    return Operands(x, w, random.random(x.shape) < 0.5, random.random(w.shape) < 0.5)


def products(circuit: Circuit, given: Operands) -> np.ndarray:
    """[M, N, K], signed, from the multiplier's table."""
    table = circuit.netlist.table(circuit.technology.cells, circuit.signed).astype(np.int64)
    table = table if circuit.activation_port == "a" else table.T
    found = table[given.x[:, None], given.w[None]]
    if given.x_negative is not None and given.w_negative is not None:
        found = np.where(given.x_negative[:, None] ^ given.w_negative[None], -found, found)
    return found


def totals(circuit: Circuit, shape: ArrayShape, given: Operands) -> np.ndarray:
    """Totals after each tile of k, [tiles, M, N]: wrapped or saturated after each addition."""
    found = products(circuit, given)
    half = 2 ** (shape.acc_bits - 1)
    total = np.zeros(found.shape[:2], dtype=np.int64)
    after = []
    for start in range(0, found.shape[2], shape.rows):
        total = total + found[:, :, start : start + shape.rows].sum(axis=2)
        total = np.clip(total, -half, half - 1) if shape.saturate else (total + half) % (2 * half) - half
        after.append(total)
    return np.stack(after)


@dataclass
class _Inputs:
    """What stands at the array's ports in one cycle; buses keep their value where nothing new is put on them."""

    reset: int = 0
    load: int = 0
    valid: int = 0
    x: tuple[int, ...] = ()
    x_signs: tuple[int, ...] = ()
    w: tuple[int, ...] = ()
    w_signs: tuple[int, ...] = ()
    enables: tuple[int, ...] = ()


def _cycles(shape: ArrayShape, given: Operands) -> Iterator[_Inputs]:
    """All cycles of a product, after a reset and an idle cycle."""
    (m, k), n = given.x.shape, len(given.w)
    x = np.pad(given.x, ((0, 0), (0, -k % shape.rows)))
    x_signs = np.pad(_signs(given.x_negative, given.x), ((0, 0), (0, -k % shape.rows)))
    w = np.pad(given.w, ((0, -n % shape.cols), (0, -k % shape.rows)))
    w_signs = np.pad(_signs(given.w_negative, given.w), ((0, -n % shape.cols), (0, -k % shape.rows)))
    enables = np.pad(np.ones((n, k), dtype=int), ((0, -n % shape.cols), (0, -k % shape.rows)))
    rows, cols = (0,) * shape.rows, (0,) * shape.cols
    now = _Inputs(1, 0, 0, rows, rows, cols, cols, cols)
    yield now
    now.reset = 0
    yield now
    for first in range(0, n, shape.cols):
        columns = slice(first, first + shape.cols)
        for start in range(0, k, shape.rows):
            now.load = 1
            for row in reversed(range(start, start + shape.rows)):
                now.w, now.w_signs = tuple(w[columns, row]), tuple(w_signs[columns, row])
                now.enables = tuple(enables[columns, row])
                yield now
            now.load, now.valid = 0, 1
            for vector in range(m):
                now.x = tuple(x[vector, start : start + shape.rows])
                now.x_signs = tuple(x_signs[vector, start : start + shape.rows])
                yield now
            now.valid = 0
            for _ in range(shape.rows + shape.cols - 1):
                yield now


def _signs(negative: np.ndarray | None, patterns: np.ndarray) -> np.ndarray:
    return np.zeros(patterns.shape, dtype=int) if negative is None else negative.astype(int)


def switching(
    element: ElementNetlist, technology: Technology, shape: ArrayShape, given: Operands
) -> Toggles:
    """What switches in all elements, from the reset array on."""
    values = np.zeros((element.nets, shape.rows, shape.cols), dtype=np.uint8)
    values[1] = 1
    toggles = np.zeros(element.nets, dtype=np.int64)
    clocks: dict[int | None, int] = dict.fromkeys([None, *(r.clocked_by for r in element.registers)], 0)
    before = values.copy()
    skew = [[(0, 0, 0)] * (row + 1) for row in range(shape.rows)]  # (valid, x, sign) at each stage of a row
    for cycle, now in enumerate(_cycles(shape, given)):
        for row, stages in enumerate(skew):
            stages[0] = (now.valid, now.x[row], now.x_signs[row])
        _settle(element, technology, values, now, [stages[-1] for stages in skew])
        if cycle > 1:
            toggles += (before ^ values).sum(axis=(1, 2), dtype=np.int64)
        before = values.copy()
        for register in element.registers:
            taken = 1 if register.clocked_by is None else before[register.clocked_by]
            values[register.q] = np.where(taken, before[register.data], before[register.q])
        for net in clocks:
            edges = before[1 if net is None else net].sum(dtype=np.int64)
            clocks[net] += int(edges) if cycle > 1 else 0
        for stages in skew:
            for s in reversed(range(len(stages) - 1)):
                kept = stages[s][1:] if stages[s][0] else stages[s + 1][1:]
                stages[s + 1] = (0 if now.reset else stages[s][0], *kept)
    return Toggles(toggles, clocks)


def _settle(
    element: ElementNetlist, technology: Technology, values: np.ndarray, now: _Inputs,
    entering: list[tuple[int, int, int]],
) -> None:
    """Sets all nets from the registers and the ports."""
    shape = values.shape[1:]
    left = {"valid_in": [v for v, _, _ in entering], "x_in": [x for _, x, _ in entering],
            "x_sign_in": [sign for _, _, sign in entering]}  # fmt: skip
    above = {"w_in": now.w, "w_sign_in": now.w_signs, "enable_in": now.enables, "sum_in": (0,) * shape[1]}
    for name, nets in element.inputs.items():
        outputs = element.outputs.get(name.replace("_in", "_out"), ())
        for bit, net in enumerate(nets):
            word = np.zeros(shape, dtype=np.uint8)
            neighbour = values[outputs[bit]] if bit < len(outputs) else word.copy()
            if name in left:
                word[:, 1:] = neighbour[:, :-1]
                word[:, 0] = [int(value) >> bit & 1 for value in left[name]]
            elif name in above:
                word[1:] = neighbour[:-1]
                word[0] = [int(value) >> bit & 1 for value in above[name]]
            else:
                word[:] = now.reset if name == "reset" else now.load
            values[net] = word
    for gate in element.gates:
        functions = technology.cells[gate.cell].functions
        pins = {pin: values[net] for pin, net in gate.inputs.items()}
        for pin, net in gate.outputs.items():
            values[net] = functions[pin].evaluate(pins) & 1
