"""Who is timed on a device: our operators, the libraries' products of the same shape, and a gather through textures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.nn import functional as F

from agn_hw.kernels import op
from agn_hw.kernels import prepare as prepared_weights
from benchmarks.cuda.cases import Case, some_rows
from benchmarks.cuda.texture import Table

PREPARED, OPERATOR = "prepared", "operator"
INT8, BF16, FP32, TEXTURE, CACHED = "int8", "bf16", "fp32", "texture", "read-only cache"
YARDSTICKS = (INT8, BF16, FP32, TEXTURE)
Run = Callable[[], torch.Tensor]


class WrongResult(RuntimeError):
    """A contestant's result differs from what the table says."""


@dataclass(frozen=True)
class Contestant:
    """set_up(case) is not timed; what it returns is. exact: whether that is the table product, and is checked."""

    name: str
    set_up: Callable[[Case], Run]
    exact: bool = False


def contestants(case: Case) -> list[Contestant]:
    """All that can compute the case where it lies."""
    found = [Contestant(PREPARED, _prepared, True), Contestant(OPERATOR, _operator, True)]
    on_device = case.x.is_cuda
    if case.geometry is not None:
        return [*found, Contestant(BF16, _bf16_convolution), Contestant(FP32, _fp32_convolution)]
    if case.x.shape[0] > 16 and case.x.shape[1] % 8 == 0 and case.w.shape[0] % 8 == 0:
        found.append(Contestant(INT8, _int8))
    found += [Contestant(BF16, _bf16), Contestant(FP32, _fp32)]
    if on_device:
        found.append(Contestant(TEXTURE, lambda case: _gather(case, True), True))
        found.append(Contestant(CACHED, lambda case: _gather(case, False), True))
    return found


def check(name: str, case: Case, y: torch.Tensor) -> None:
    """Compares some rows bit for bit. Raises WrongResult."""
    picked, expected = some_rows(case)
    picked = picked.to(y.device)
    found = y[picked] if y.dim() == 2 else y[0].flatten(1).t()[picked]
    wrong = int((found != expected).sum())
    if wrong or y.dtype != torch.int32:
        raise WrongResult(
            f"{name} is wrong on {case.task.name} with table {case.table}: {wrong} of {expected.numel()} compared sums "
            f"differ; found {found.flatten()[:4].tolist()}, wanted {expected.flatten()[:4].tolist()}"
        )


def _geometry(case: Case) -> tuple:
    stride, padding, dilation, groups, code = case.geometry or op.geometry_of([1, 1], [0, 0], [1, 1], 1)
    return list(stride), list(padding), list(dilation), groups, code


def _prepared(case: Case) -> Run:
    """With weights packed beforehand."""
    kept = prepared_weights(case.w, case.lut, case.geometry)
    if case.geometry is None:
        return lambda: torch.ops.agn_hw.lut_matmul_prepared(case.x, kept)
    return lambda: torch.ops.agn_hw.lut_conv2d_prepared(case.x, kept, *_geometry(case))


def _operator(case: Case) -> Run:
    """With weights packed every time, as in training."""
    if case.geometry is None:
        return lambda: torch.ops.agn_hw.lut_matmul(case.x, case.w, case.lut)
    return lambda: torch.ops.agn_hw.lut_conv2d(case.x, case.w, case.lut, *_geometry(case))


def _int8(case: Case) -> Run:
    x, w = case.x.view(torch.int8), case.w.view(torch.int8).t()
    return lambda: torch._int_mm(x, w)


def _fp32(case: Case) -> Run:
    x, w = case.x.float(), case.w.view(torch.int8).float().t()
    return lambda: x @ w


def _bf16(case: Case) -> Run:
    x, w = case.x.bfloat16(), case.w.view(torch.int8).bfloat16().t()
    return lambda: x @ w


def _fp32_convolution(case: Case) -> Run:
    x, w = case.x.float(), case.w.view(torch.int8).float()
    geometry = _geometry(case)[:4]
    return lambda: F.conv2d(x, w, None, *geometry)


def _bf16_convolution(case: Case) -> Run:
    """Channels last, which is the libraries' fastest."""
    both = case.x.bfloat16(), case.w.view(torch.int8).bfloat16()
    x, w = (codes.to(memory_format=torch.channels_last) for codes in both)
    geometry = _geometry(case)[:4]
    return lambda: F.conv2d(x, w, None, *geometry)


def _gather(case: Case, texture: bool) -> Run:
    table = Table(case.lut, texture)
    return lambda: table.product(case.x, case.w)
