"""An array of elements at gate level, cycle by cycle: every toggle and every clock edge of a matrix product."""

import numpy as np

from lut_gen.element import simulate
from lut_gen.element.netlist import ElementNetlist
from lut_gen.element.operand_streams import Operands
from lut_gen.element.power import NEXT, Counts, clock_gates
from lut_gen.library.liberty import Technology
from lut_gen.netlist import unpack_bits


class Array:
    """rows x cols elements, all registers 0 in the beginning; element (r, c) is bit r * cols + c."""

    def __init__(self, element: ElementNetlist, technology: Technology, rows: int, cols: int) -> None:
        self.element, self.cells, self.rows, self.cols = element, technology.cells, rows, cols
        words = -(-rows * cols // 64)
        self.state = np.zeros((len(element.registers), words), dtype=np.uint64)
        self.inside = simulate.port(np.ones(rows * cols, dtype=int), 1)[0]
        self.before: np.ndarray | None = None
        self.toggles = np.zeros(element.nets, dtype=np.int64)
        self.edges = dict.fromkeys(clock_gates(element), 0)
        self.cycles = 0
        self.border = {name: np.zeros(rows, dtype=int) for name in ("x_in", "x_sign_in")}  # what the left side shows

    def _outputs(self, words: np.ndarray, name: str) -> np.ndarray:
        return simulate.numbers(self.element, words, name, self.rows * self.cols).reshape(self.rows, self.cols)

    def clock(self, load: int, left: dict[str, np.ndarray], top: dict[str, np.ndarray]) -> np.ndarray:
        """One cycle. left: int [rows] of valid_in, x_in and x_sign_in; top: int [cols] of w_in, w_sign_in, enable_in.
        Returns the sums below the last row before the edge, int [cols]."""
        held = simulate.evaluate(self.element, self.cells, self.state, {})  # its registers' outputs are right
        inputs = {"load": np.full((self.rows, self.cols), load)}
        for output, port in NEXT.items():
            came = self._outputs(held, output)
            if port in ("valid_in", "x_in", "x_sign_in"):
                inputs[port] = np.concatenate([left[port][:, None], came[:, :-1]], axis=1)
            else:
                first = top.get(port, np.zeros(self.cols, dtype=int))
                inputs[port] = np.concatenate([first[None], came[:-1]], axis=0)
        ports = {name: simulate.port(values.ravel(), len(self.element.inputs[name])) for name, values in inputs.items()}
        words = simulate.evaluate(self.element, self.cells, self.state, ports) & self.inside
        if self.before is not None:
            self.toggles += np.bitwise_count(words ^ self.before).sum(axis=1, dtype=np.int64)
        for net in self.edges:
            self.edges[net] += int(unpack_bits(words[net], self.rows * self.cols).sum())
        self.before, self.cycles = words, self.cycles + self.rows * self.cols
        self.state = simulate.clocked(self.element, words)
        return simulate.numbers(self.element, words, "sum_out", self.rows * self.cols, signed=True)[-self.cols :]

    def matmul(self, operands: Operands) -> np.ndarray:
        """The product, tile by tile as systolic_array.v has it, int64 [M, N]."""
        (vectors, depth), outputs = operands.x.shape, operands.w.shape[0]
        y = np.zeros((vectors, outputs), dtype=np.int64)
        for n in range(0, outputs, self.cols):
            for k in range(0, depth, self.rows):
                y[:, n : n + self.cols] += self._tile(operands, n, k)[:, : outputs - n]
        return y

    def _tile(self, operands: Operands, n: int, k: int) -> np.ndarray:
        rows, cols, vectors = self.rows, self.cols, len(operands.x)
        x, xs = (_block(m, 0, k, vectors, rows) for m in (operands.x, operands.x_negative))
        w, ws = (_block(m, n, k, cols, rows) for m in (operands.w, operands.w_negative))
        enable = _block(np.ones_like(operands.w), n, k, cols, rows)
        rest = {"valid_in": np.zeros(rows, dtype=int), **self.border}
        for row in reversed(range(rows)):
            self.clock(1, rest, {"w_in": w[:, row], "w_sign_in": ws[:, row], "enable_in": enable[:, row]})
        bottom = {"w_in": w[:, 0], "w_sign_in": ws[:, 0], "enable_in": enable[:, 0]}
        found = np.zeros((vectors, cols), dtype=np.int64)
        for cycle in range(vectors + rows + cols - 1):
            at = cycle - np.arange(rows)
            m = np.clip(at, 0, vectors - 1)
            started = at >= 0
            now = {"valid_in": (started & (at < vectors)).astype(int)}
            for name, block in (("x_in", x), ("x_sign_in", xs)):
                now[name] = np.where(started, block[m, np.arange(rows)], rest[name])
            sums = self.clock(0, now, bottom)
            for column in range(cols):
                if 0 <= cycle - rows - column < vectors:
                    found[cycle - rows - column, column] = sums[column]
        self.border = {name: now[name] for name in ("x_in", "x_sign_in")}
        return found

    def forget(self) -> None:
        """Counts anew; registers and nets stay as they are."""
        self.toggles[:] = self.cycles = 0
        self.edges = dict.fromkeys(self.edges, 0)

    def counts(self, products: int) -> Counts:
        return Counts(self.toggles, self.cycles, self.edges, products)


def _block(matrix: np.ndarray | None, first: int, column: int, height: int, width: int) -> np.ndarray:
    """A part of the matrix, padded with 0."""
    found = np.zeros((height, width), dtype=int)
    if matrix is not None:
        part = matrix[first : first + height, column : column + width]
        found[: part.shape[0], : part.shape[1]] = part
    return found
