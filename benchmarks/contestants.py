"""Who is timed: our back ends, and the yardsticks they are held against."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch.nn import functional as F

from agn_hw.kernels import backend, native, op, portable
from agn_hw.kernels.forms import Geometry
from benchmarks import yardsticks
from benchmarks.operands import Shape


@dataclass(frozen=True)
class Case:
    """One product: x uint8 [M, K], w uint8 [N, K], lut int32 [256, 256].

    If the shape is a convolution's, it is computed too: image uint8 [B, C, H, W] by the same w as [N, C, 3, 3].
    """

    shape: Shape
    x: torch.Tensor
    w: torch.Tensor
    lut: torch.Tensor

    @property
    def image(self) -> torch.Tensor:
        """The first C columns of x, put together to an image. Raises ValueError if there is no convolution."""
        if self.shape.images is None:
            raise ValueError(f"{self.shape.name} is no convolution")
        batch, height, width = self.shape.images
        return self.x[:, : self.shape.depth // 9].reshape(batch, height, width, -1).permute(0, 3, 1, 2).contiguous()

    @property
    def filters(self) -> torch.Tensor:
        return self.w.view(self.shape.columns, -1, 3, 3)

    def as_product(self) -> Case:
        """The convolution as a matrix product: its windows as x, its filters as w."""
        windows = F.unfold(self.image.float(), 3, padding=1).transpose(1, 2).reshape(self.x.shape)
        return replace(self, x=windows.to(torch.uint8))


Run = Callable[[], torch.Tensor]


@dataclass(frozen=True)
class Contestant:
    """One way to compute a case.

    set_up(case, threads) is not timed; what it returns is, and gives y int32 [M, N] (or more columns; the first N
    count), or of the convolution [B, N, H, W]. isa: the native library's instruction set during the run. exact:
    whether y is the table product, and is checked. most_lookups: a slow loop whose rate does not depend on M gets
    only so many rows.
    """

    back_end: str
    set_up: Callable[[Case, int], Run]
    isa: str = ""
    kernel: str = ""
    exact: bool = True
    most_lookups: int | None = None

    @property
    def name(self) -> str:
        return " ".join(part for part in (self.back_end, self.isa, self.kernel) if part)

    def part(self, case: Case) -> Case:
        """The case with the rows that this contestant computes."""
        if self.most_lookups is None:
            return case
        rows = max(4, self.most_lookups // case.shape.lookups_per_row)
        return replace(case, x=case.x[:rows])


OPERATOR = "operator"
FP32 = "fp32 matmul"
SCALAR = "scalar loop"
_SLOW = 30_000_000


def contestants(shape: Shape, library: yardsticks.ctypes.CDLL | None) -> list[Contestant]:
    """All that can compute `shape` on this machine. library: the compiled yardsticks, if there are any.

    `operator` is torch.ops.agn_hw.lut_matmul: the automatic choice, with its checks.
    """
    ours = [
        Contestant(OPERATOR, lambda case, _: lambda: op.lut_matmul(case.x, case.w, case.lut)),
        Contestant("portable", lambda case, _: lambda: portable.lut_matmul(case.x, case.w, case.lut)),
    ]
    return ours + _native_contestants(shape) + _float_yardsticks(shape) + _table_yardsticks(library)


@functools.cache
def instruction_sets() -> tuple[str, ...]:
    """Of the native library on this processor, the one in use first; () if there is no library."""
    if not native.available():
        return ()
    best, found = native.isa(), []
    for name in native.ISAS:
        with contextlib.suppress(ValueError):
            native.use_isa(name)
            found.append(name)
    native.use_isa(best)
    return (best, *(name for name in found if name != best))


def switch_to(isa: str) -> None:
    """The native library uses `isa` from now on; with "", the one that was in use first."""
    if instruction_sets():
        native.use_isa(isa or instruction_sets()[0])


_KERNELS = {"auto": None, "row_add": native.ROW_ADD, "columns": native.COLUMNS}
_GEOMETRY = Geometry(padding=(1, 1))


def _native_contestants(shape: Shape) -> list[Contestant]:
    """Each kernel on each instruction set. "native" splits the table, packs the weights and multiplies every time;
    "prepared" only multiplies, "conv2d" does all for the convolution, both on the best set only."""
    best = instruction_sets()[:1]
    ways = [("native", _native_whole, instruction_sets()), ("prepared", _native_prepared, best)]
    if shape.images is not None:
        ways.append(("conv2d", _native_conv2d, best))
    return [
        Contestant(name, functools.partial(set_up, kernel), isa, kernel_name)
        for name, set_up, sets in ways
        for isa in sets
        for kernel_name, kernel in _KERNELS.items()
    ]


def _multiply(case: Case, prepared: backend.Prepared, kernel: int | None) -> torch.Tensor:
    if kernel is None:
        return backend.matmul(case.x, prepared)
    _, _, split, packed = prepared
    return native.matmul(split, packed, case.shape.columns, case.x, kernel=kernel)


def _native_whole(kernel: int | None, case: Case, threads: int) -> Run:
    return lambda: _multiply(case, backend.prepare(case.w, case.lut), kernel)


def _native_prepared(kernel: int | None, case: Case, threads: int) -> Run:
    prepared = backend.prepare(case.w, case.lut)
    return lambda: _multiply(case, prepared, kernel)


def _native_conv2d(kernel: int | None, case: Case, threads: int) -> Run:
    image, filters = case.image, case.filters

    def run() -> torch.Tensor:
        prepared = backend.prepare(filters, case.lut, _GEOMETRY)
        if kernel is None:
            return backend.conv2d(image, prepared, _GEOMETRY)
        split, packed = prepared[2:4]
        return native.conv2d(split, packed, filters.shape, image, _GEOMETRY, kernel=kernel)

    return run


def _float_yardsticks(shape: Shape) -> list[Contestant]:
    found = [Contestant(FP32, _fp32_matmul, exact=False)]
    if shape.images is not None:
        found.append(Contestant("fp32 conv2d", _fp32_conv2d, exact=False))
    return found


def _fp32_matmul(case: Case, threads: int) -> Run:
    x, w = case.x.to(torch.float32), case.w.view(torch.int8).to(torch.float32)
    return lambda: x @ w.t()


def _fp32_conv2d(case: Case, threads: int) -> Run:
    x, w = case.image.to(torch.float32), case.filters.view(torch.int8).to(torch.float32)
    return lambda: F.conv2d(x, w, padding=1)


def _table_yardsticks(library: yardsticks.ctypes.CDLL | None) -> list[Contestant]:
    if library is None:
        return []

    def loop(way: Callable[..., torch.Tensor], case: Case, threads: int) -> Run:
        return lambda: way(library, case.x, case.w, case.lut, threads)

    def gather(case: Case, threads: int) -> Run:
        packed = yardsticks.eights(case.w)
        return lambda: yardsticks.gather_loop(library, case.x, packed, case.lut, threads)

    found = [
        Contestant(SCALAR, functools.partial(loop, yardsticks.scalar_loop), most_lookups=_SLOW),
        Contestant("compiler's loop", functools.partial(loop, yardsticks.compiler_loop), most_lookups=_SLOW),
    ]
    if library.has_gather():
        found.append(Contestant("AVX2 gather", gather, most_lookups=_SLOW))
    return found
