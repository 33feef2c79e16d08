"""The gather yardstick of the CUDA benchmarks: compiled for every architecture, and computed on a processor."""

import ctypes
import shutil
import subprocess
from pathlib import Path

import pytest
import torch

from agn_hw.kernels import reference
from benchmarks.cuda import texture
from tests.agn_hw.kernels.operands import operands
from tests.agn_hw.tables import random_table8

ARCHITECTURES = ("sm_75", "sm_80", "sm_86", "sm_89", "sm_90", "sm_90a")


@pytest.fixture(scope="module")
def block(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """The kernel without a texture, for int32 tables, as a function on a processor."""
    if not shutil.which("g++"):
        pytest.skip("wants g++")
    made = tmp_path_factory.mktemp("block") / "block.so"
    source = f'-DSOURCE="{texture.SOURCE}"'
    flags = ["-std=c++20", "-O1", "-shared", "-fPIC", "-pthread", "-DFETCH=0", "-DENTRY=int", source]
    done = subprocess.run(
        ["g++", *flags, str(Path(__file__).with_name("one_block.cpp")), "-o", str(made)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return ctypes.CDLL(str(made))


@pytest.mark.parametrize("rows, depth, columns", [(1, 1, 1), (64, 16, 64), (70, 33, 65), (130, 100, 20), (3, 15, 129)])
def test_sums_are_the_tables(block, rows, depth, columns):
    x, w = operands(rows, depth, columns)
    lut, y = random_table8(0), torch.full((rows + 1, columns), -7, dtype=torch.int32)
    pointers = [ctypes.c_void_p(tensor.data_ptr()) for tensor in (x, w, lut, y)]
    block.product(*pointers, *(ctypes.c_int(size) for size in (rows, columns, depth)))
    assert torch.equal(y[:rows], reference.lut_matmul(x, w, lut)) and (y[rows] == -7).all()


@pytest.mark.parametrize("fetched", [True, False])
@pytest.mark.parametrize("entry", [torch.int16, torch.int32])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_compiles_without_a_device(architecture, entry, fetched):
    pytest.importorskip("cuda.bindings.nvrtc", reason="wants cuda-bindings and nvidia-cuda-nvrtc")
    code = texture.compiled(architecture, fetched, entry)
    assert code.startswith(b"\x7fELF") and texture.KERNEL in code


def test_the_compilers_words_are_in_the_error(monkeypatch, tmp_path):
    pytest.importorskip("cuda.bindings.nvrtc", reason="wants cuda-bindings and nvidia-cuda-nvrtc")
    wrong = tmp_path / "wrong.cu"
    wrong.write_text("nonsense;")
    monkeypatch.setattr(texture, "SOURCE", wrong)
    with pytest.raises(texture.CudaError, match=r"NVRTC failed on wrong.cu for sm_80(.|\n)*nonsense"):
        texture.compiled("sm_80", True, torch.int16)
