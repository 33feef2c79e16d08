"""An array of multipliers as a shared library: matrix products computed by its Verilog, clock cycle by clock cycle.

    array = SystolicArray.build(circuit, ArrayShape(8, 8, sum_bits=20, acc_bits=24), "bitsliced", folder)
    product = array.matmul(x, w)          # sums [M, N], and how many cycles they took

Verilator makes C++ of the Verilog, which is compiled with `harness.cpp` by the C++ compiler itself. View "rtl" is
rtl/accelerator as it stands, with the multiplier's mapped netlist in each element; view "bitsliced" (bitsliced.py)
holds each net of all elements in one word, and is many times faster.
"""

from __future__ import annotations

import ctypes
from ctypes import POINTER, Structure, byref, c_char_p, c_int32, c_int64, c_uint8, c_uint32
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lut_gen.element.netlist import ElementNetlist
from lut_gen.element.power import clock_gates
from lut_gen.element.synthesis import synthesise
from lut_gen.errors import AgnError, ToolError
from sim import array_library, bitsliced, process
from sim.array_sources import SIGN_MAGNITUDE, ArrayShape, Circuit, sources

VIEWS = ("bitsliced", "rtl")
_NO_MEMORY = -2  # of harness.cpp


@dataclass(frozen=True, eq=False)
class Toggles:
    """What switched in the bit-sliced view, in all elements together, between settled values (no glitches).

    nets: int64 [nets of the element], changes of each net. clocks: for each net that gates a clock, the rising edges
    that it let pass, in elements x cycles; under None the edges of registers whose clock is not gated.
    """

    nets: np.ndarray
    clocks: dict[int | None, int]


@dataclass(frozen=True, eq=False)
class Product:
    """sums: [M, N], int32 where a total has at most 32 bits, else int64. cycles: clock cycles of the array. macs:
    M * K * N. toggles: None unless the array counts them."""

    sums: np.ndarray
    cycles: int
    macs: int
    toggles: Toggles | None


class _Order(Structure):
    """`Order` of harness.cpp."""

    _fields_ = (
        ("x", POINTER(c_uint32)), ("x_negative", POINTER(c_uint8)),
        ("w", POINTER(c_uint32)), ("w_negative", POINTER(c_uint8)),
        ("m", c_int64), ("k", c_int64), ("n", c_int64), ("totals", POINTER(c_int64)),
        ("toggles", POINTER(c_int64)), ("groups", POINTER(c_int32)), ("group_count", c_int64),
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class SystolicArray:
    """A built array. Each product starts from a fresh one: reset, every register and input 0."""

    circuit: Circuit
    shape: ArrayShape
    view: str
    folder: Path
    element: ElementNetlist | None
    """The element of the bit-sliced view."""
    toggles: bool
    _library: ctypes.CDLL

    @classmethod
    def build(
        cls, circuit: Circuit, shape: ArrayShape, view: str, folder: Path, toggles: bool = False,
        element: ElementNetlist | None = None, limit_s: float = process.LIMIT_S,
    ) -> SystolicArray:
        """The array, built below `folder` or found there.

        view: one of VIEWS; toggles: whether products count what switches ("bitsliced" only); element: netlist of the
        bit-sliced view's element, synthesised where it is not given. Raises AgnError for another view, DesignError
        for an element that cannot be sliced, ToolError where a tool is missing, fails or takes longer than `limit_s`
        seconds.
        """
        if view not in VIEWS or (toggles and view != "bitsliced"):
            mend = "choose one of them; toggles are counted in the bit-sliced one"
            raise AgnError(f"a view out of {', '.join(VIEWS)}", f"'{view}' came", mend)
        folder = folder.absolute()
        if view == "rtl":
            element, texts = None, sources(circuit, shape)
        else:
            element = element or _synthesised(circuit, shape, folder)
            texts = bitsliced.sources(element, circuit, shape, toggles)
        nets = element.nets if element is not None and toggles else 0
        library = array_library.load(array_library.build(texts, circuit, shape, folder, limit_s, nets=nets))
        return cls(circuit, shape, view, folder, element, toggles, library)

    def matmul(
        self, x: np.ndarray, w: np.ndarray, x_negative: np.ndarray | None = None, w_negative: np.ndarray | None = None
    ) -> Product:
        """Sum over k of the products of x [M, K] and w [N, K].

        x, w: operand patterns, integers that fit the multiplier's ports. x_negative, w_negative: bool of the same
        shapes, which magnitudes are negative (unsigned multipliers only). Columns of n are the outer loop over tiles,
        ascending k the inner one. Raises AgnError for operands of another form.
        """
        order = _Operands(self, x, w, x_negative, w_negative)
        totals = np.zeros((order.m, order.n), dtype=np.int64)
        if 0 in (order.m, order.k, order.n):
            return Product(self._narrowed(totals), 0, 0, self._counted(order, 0))
        cycles = self._finished(self._library.agn_hw_matmul(byref(order.filled(totals))))
        macs = order.m * order.k * order.n
        return Product(self._narrowed(totals), cycles, macs, self._counted(order, cycles))

    def tile_totals(
        self, x: np.ndarray, w: np.ndarray, x_negative: np.ndarray | None = None, w_negative: np.ndarray | None = None,
        *, n_tile: int,
    ) -> np.ndarray:
        """Totals after each tile of k, [k tiles, M, columns of this tile], for the columns from n_tile * cols on.

        Types and errors as in `matmul`; AgnError for a tile that is not there.
        """
        order = _Operands(self, x, w, x_negative, w_negative)
        columns = order.check_tile(n_tile, order.k_tiles - 1)
        totals = np.zeros((order.k_tiles, order.m, self.shape.cols), dtype=np.int64)
        self._finished(self._library.agn_hw_tile_totals(byref(order.filled(totals)), n_tile, order.k_tiles))
        return self._narrowed(totals[:, :, :columns])

    def waveform(
        self, x: np.ndarray, w: np.ndarray, x_negative: np.ndarray | None = None, w_negative: np.ndarray | None = None,
        *, k_tile: int, n_tile: int, path: Path, limit_s: float = process.LIMIT_S,
    ) -> None:
        """Writes a VCD of one tile on the plain RTL to `path`: weights, then all vectors of x, ten units a cycle.

        The tiles of k before it run first, so that totals are those of the product. Built where it is not there yet.
        """
        order = _Operands(self, x, w, x_negative, w_negative)
        order.check_tile(n_tile, k_tile)
        texts = sources(self.circuit, self.shape)
        built = array_library.build(texts, self.circuit, self.shape, self.folder, limit_s, trace=True)
        totals = np.zeros((k_tile + 1, order.m, self.shape.cols), dtype=np.int64)
        written = str(path.absolute()).encode()
        library = array_library.load(built)
        self._finished(library.agn_hw_waveform(byref(order.filled(totals)), n_tile, k_tile + 1, c_char_p(written)))
        if not path.exists():
            raise ToolError(f"a waveform at {path}", "it was not written", "choose a folder that can be written to")

    @property
    def _groups(self) -> list[int]:
        """Nets that gate clocks."""
        return [] if self.element is None else clock_gates(self.element)

    def _counted(self, order: _Operands, cycles: int) -> Toggles | None:
        if not self.toggles or self.element is None:
            return None
        nets, clocks = np.split(order.toggles, [self.element.nets])
        elements = self.shape.rows * self.shape.cols
        gated: dict[int | None, int] = dict(zip(self._groups, clocks.tolist(), strict=True))
        return Toggles(nets, {None: cycles * elements, **gated})

    def _narrowed(self, totals: np.ndarray) -> np.ndarray:
        return totals.astype(np.int32) if self.shape.acc_bits <= 32 else totals

    @staticmethod
    def _finished(cycles: int) -> int:
        if cycles == _NO_MEMORY:
            raise AgnError("memory for the product's operands", "there is too little", "give fewer activations at once")
        if cycles < 0:
            mend = "look at a waveform of the array: its out_valid comes too often, too late or not at all"
            raise ToolError("one result from the array for each vector", "more or fewer came", mend)
        return cycles


class _Operands:
    """The operands of a product in the harness's types; they live as long as this does."""

    def __init__(
        self, array: SystolicArray, x: np.ndarray, w: np.ndarray, x_negative: np.ndarray | None,
        w_negative: np.ndarray | None,
    ) -> None:
        self.array = array
        x_nets, w_nets = array.circuit.operands
        self.x, self.w = _patterns(x, len(x_nets), "activations"), _patterns(w, len(w_nets), "weights")
        if self.x.shape[1] != self.w.shape[1]:
            came = f"they have {self.x.shape[1]} and {self.w.shape[1]} columns"
            raise AgnError("activations [M, K] and weights [N, K]", came, "give both the same K")
        (self.m, self.k), self.n = self.x.shape, len(self.w)
        self.x_negative = _signs(x_negative, self.x.shape, array.circuit)
        self.w_negative = _signs(w_negative, self.w.shape, array.circuit)
        self.k_tiles = -(-self.k // array.shape.rows)
        nets = array.element.nets if array.toggles and array.element is not None else 0
        self.groups = np.array(array._groups if nets else (), dtype=np.int32)
        self.toggles = np.zeros(nets + len(self.groups), dtype=np.int64)

    def filled(self, totals: np.ndarray) -> _Order:
        """The order for the harness, with its results to go to `totals`."""
        return _Order(
            _pointer(self.x, c_uint32), _pointer(self.x_negative, c_uint8),
            _pointer(self.w, c_uint32), _pointer(self.w_negative, c_uint8),
            self.m, self.k, self.n, _pointer(totals, c_int64),
            _pointer(self.toggles if self.array.toggles else None, c_int64), _pointer(self.groups, c_int32),
            len(self.groups),
        )  # fmt: skip

    def check_tile(self, n_tile: int, k_tile: int) -> int:
        """Number of columns that the tile uses. Raises AgnError where there is no such tile."""
        cols = self.array.shape.cols
        n_tiles = -(-self.n // cols)
        if not (0 <= n_tile < n_tiles and 0 <= k_tile < self.k_tiles):
            came = f"tile ({k_tile}, {n_tile}) of {self.k_tiles} by {n_tiles}"
            raise AgnError("a tile (of k, of n) of the product", came, "name one that is there")
        return min(cols, self.n - n_tile * cols)


def _patterns(values: np.ndarray, bits: int, what: str) -> np.ndarray:
    """uint32, contiguous. Raises AgnError where a pattern does not fit the port."""
    values = np.asarray(values)
    wanted, mend = f"{what} as integers [rows, K] from 0 to {2**bits - 1}", "give the patterns on the multiplier's port"
    if values.ndim != 2 or values.dtype.kind not in "iu":
        raise AgnError(wanted, f"an array of {values.dtype} {values.shape} came", mend)
    if values.size and (int(values.min()) < 0 or int(values.max()) >> bits):
        raise AgnError(wanted, f"they go from {values.min()} to {values.max()}", mend)
    return np.ascontiguousarray(values, dtype=np.uint32)


def _signs(negative: np.ndarray | None, shape: tuple[int, ...], circuit: Circuit) -> np.ndarray | None:
    if negative is None:
        return None
    if circuit.mode != SIGN_MAGNITUDE:
        mend = "give two's complement patterns and no signs"
        raise AgnError("operands for a signed multiplier", "signs of their own came", mend)
    negative = np.asarray(negative)
    if negative.shape != shape or negative.dtype != np.bool_:
        came = f"an array of {negative.dtype} {negative.shape} came"
        raise AgnError(f"signs as bool {shape}", came, "give one for each pattern")
    return np.ascontiguousarray(negative, dtype=np.uint8)


def _pointer(array: np.ndarray | None, kind: type) -> object:
    return None if array is None else array.ctypes.data_as(POINTER(kind))


def _synthesised(circuit: Circuit, shape: ArrayShape, folder: Path) -> ElementNetlist:
    port, technology = circuit.activation_port, circuit.technology
    return synthesise(circuit.netlist, circuit.signed, port, shape.sum_bits, technology, folder)
