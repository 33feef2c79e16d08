"""The emulator itself: what it computes, and that it finds what a device would leave undefined."""

from pathlib import Path

import pytest
import torch

from agn_hw.kernels.cuda import launch
from tests.agn_hw.kernels.cuda.emulator.runner import ORDERS, SANITIZED, Emulator, EmulatorError
from tests.agn_hw.kernels.operands import random_bytes

HEAD = """
#include "device.cuh"
struct go_arguments { const u8 *x; u32 *y; i64 size; double number; };
extern "C" __global__ void __launch_bounds__(512, 1) go(const go_arguments a) {
  SHARED_MEMORY(memory);
  const int thread = threadIdx.x, lane = thread % 32;
  u32 *words = reinterpret_cast<u32 *>(memory);
"""
every_order = pytest.mark.parametrize("emulated", ORDERS, indirect=True)
not_sanitized = pytest.mark.skipif(SANITIZED, reason="the address sanitizer ends the process here")


@pytest.fixture
def run(emulated: Emulator, tmp_path: Path):
    """Runs the body of a kernel: u8 *a.x, u32 *a.y, i64 a.size, double a.number -> y, int32 [count]."""
    emulated.folder = tmp_path

    def go(
        body: str, x: torch.Tensor | None = None, count: int = 64, threads: int = 64,
        grid: tuple[int, int, int] = (1, 1, 1), shared: int = 1024, **macros: int,
    ) -> torch.Tensor:
        (tmp_path / "snippet.cu").write_text(HEAD + body + "\n}\n")
        y = torch.zeros(count, dtype=torch.int32)
        x = torch.zeros(4, dtype=torch.uint8) if x is None else x
        launch.launch("snippet", "go", grid, threads, shared, (x, (y, len(x)), 2.5), **macros)
        return y

    return go


@every_order
def test_blocks_threads_and_arguments(run):
    body = """
  const u32 block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
  a.y[block * blockDim.x + thread] = block * 1000 + thread + (a.number == 2.5 && a.size == 4 ? PLUS : 0);"""
    y = run(body, count=12 * 32, threads=32, grid=(2, 3, 2), PLUS=7)
    assert y.reshape(12, 32).equal(1000 * torch.arange(12)[:, None].int() + torch.arange(32).int() + 7)


@every_order
def test_a_barrier_shows_what_others_wrote(run):
    y = run("words[thread] = 3 * thread; __syncthreads(); a.y[thread] = words[63 - thread];")
    assert y.equal(3 * torch.arange(63, -1, -1).int())


def results(run, emulated: Emulator, body: str, **given) -> set[tuple[int, ...]]:
    made = set()
    for emulated.order in ORDERS:
        made.add(tuple(run(body, **given).tolist()))
    return made


def test_a_missing_barrier_shows(run, emulated):
    body = "words[thread] = 3 * thread; %s a.y[thread] = words[63 - thread];"
    assert len(results(run, emulated, body % "__syncthreads();")) == 1
    assert len(results(run, emulated, body % "")) >= 2
    between_phases = """
  words[thread] = thread;
  __syncthreads();
  u32 of = words[63 - thread];
  %s
  words[thread] = 9;
  __syncthreads();
  a.y[thread] = of;"""
    assert len(results(run, emulated, between_phases % "__syncthreads();")) == 1
    assert len(results(run, emulated, between_phases % "")) >= 2


def test_a_missing_barrier_of_the_warp_shows(run, emulated):
    body = "words[thread] = thread; %s a.y[thread] = words[thread ^ 5];"
    assert len(results(run, emulated, body % "__syncwarp();")) == 1
    assert len(results(run, emulated, body % "")) >= 2


@every_order
def test_warps_run_apart(run):
    """A barrier of a warp is none of the block."""
    body = "words[thread] = thread; __syncwarp(); a.y[thread] = words[thread ^ 32] == (thread ^ 32);"
    assert 0 < run(body).sum() <= 32


@every_order
def test_shuffles(run):
    lanes = torch.arange(32).int()
    y = run("a.y[lane] = __shfl_xor_sync(0xffffffff, lane * 2, 5) + __shfl_sync(~0u, lane, 3);", count=32, threads=32)
    assert y.equal(2 * (lanes ^ 5) + 3)
    y = run("a.y[thread] = __shfl_up_sync(~0u, lane, 3, 16);", count=32, threads=32)
    assert y.equal(torch.where(lanes % 16 >= 3, lanes - 3, lanes))
    y = run("a.y[thread] = __shfl_down_sync(~0u, lane, 3);", count=32, threads=32)
    assert y.equal(torch.where(lanes < 29, lanes + 3, lanes))
    y = run("for (int i = 0; i < 5; ++i) words[lane] = __ballot_sync(~0u, lane > 28 + i % 2); a.y[lane] = words[lane];",
            count=32, threads=32)
    assert y.equal(torch.full((32,), -(2**29)).int())
    y = run("double v = lane; for (int by = 16; by; by /= 2) v += __shfl_xor_sync(~0u, v, by); a.y[lane] = v;",
            count=32, threads=32)
    assert y.equal(torch.full((32,), 496).int())


COPY = """
  copy_async<16>(memory + 16 * thread, a.x + 16 * thread);
  commit_copies();
  copy_async<4>(memory + 1024 + 4 * thread, a.x + 4 * thread);
  commit_copies();
  wait_copies<%d>();
  %s
  a.y[thread] = words[4 * (63 - thread) + 1];
  a.y[64 + thread] = words[256 + 63 - thread];"""


@every_order
def test_copies_arrive_when_they_are_waited_for(run):
    x = random_bytes(1024)
    words = x.view(torch.int32)
    y = run(COPY % (0, "__syncthreads();"), x, 128, shared=1280)
    assert y[:64].equal(words[1::4].flip(0)) and y[64:].equal(words[:64].flip(0))
    y = run(COPY % (1, "__syncthreads();"), x, 128, shared=1280)
    assert y[:64].equal(words[1::4].flip(0)) and not (y[64:] == words[:64].flip(0)).any()
    y = run(COPY % (2, "__syncthreads();"), x, 128, shared=1280)
    assert not (y[:64] == words[1::4].flip(0)).any()
    y = run(COPY % (0, ""), x, 128, shared=1280)
    assert not y[:64].equal(words[1::4].flip(0))


def test_older_devices_copy_at_once(run, emulated):
    emulated.device = emulated.device._replace(arch="sm_75")
    x = random_bytes(1024)
    assert run(COPY % (2, "__syncthreads();"), x, 128, shared=1280)[64:].equal(x.view(torch.int32)[:64].flip(0))


@every_order
def test_load_matrices(run):
    x = random_bytes(32, 16)
    body = """
  for (int i = 0; i < 4; ++i) words[4 * thread + i] = reinterpret_cast<const u32 *>(a.x)[4 * thread + i];
  __syncwarp();
  u32 part[4];
  load_matrices(part, memory + 16 * lane);
  for (int i = 0; i < 4; ++i) a.y[32 * i + lane] = part[i];"""
    y = run(body, x.flatten(), 128, threads=32)
    assert y.equal(x.view(torch.int32).flatten())  # row l / 4, word l % 4: the words one after another


@every_order
def test_multiply_add(run):
    a, b = random_bytes(16, 32), random_bytes(8, 32, seed=1).view(torch.int8)
    c = torch.arange(128).reshape(16, 8) * 2**24
    body = """
  const u32 *x = reinterpret_cast<const u32 *>(a.x);
  const int g = lane / 4, t = lane % 4;
  u32 part[4] = {x[g * 8 + t], x[(g + 8) * 8 + t], x[g * 8 + 4 + t], x[(g + 8) * 8 + 4 + t]};
  int sum[4];
  for (int i = 0; i < 4; ++i) sum[i] = ((g + i / 2 * 8) * 8 + 2 * t + i % 2) << 24;
  multiply_add(sum, part, x[128 + g * 8 + t], x[128 + g * 8 + 4 + t]);
  for (int i = 0; i < 4; ++i) a.y[(g + i / 2 * 8) * 8 + 2 * t + i % 2] = sum[i];"""
    y = run(body, torch.cat([a.flatten(), b.view(torch.uint8).flatten()]), 128, threads=32)
    wanted = (a.long() @ b.long().T + c) & 0xFFFFFFFF
    assert (y.reshape(16, 8).long() & 0xFFFFFFFF).equal(wanted)


def test_arithmetic_of_one_thread(run):
    x = torch.arange(1, 9, dtype=torch.uint8)
    body = """
  const u32 p = *reinterpret_cast<const u32 *>(a.x), q = *reinterpret_cast<const u32 *>(a.x + 4);
  a.y[0] = __byte_perm(p, q, 0x0724);
  a.y[1] = __dp4a(static_cast<int>(0x80ff0102), 0x7f020304, -5);
  a.y[2] = __dp4a(0x80ff0102u, 0x7f020304u, 5u);
  a.y[3] = __float2int_rn(2.5f) + 10 * __float2int_rn(-3.5f);
  a.y[4] = min(3, -2) + max(1u, 7u);
  a.y[5] = __double2int_rn(1e99);
  a.y[6] = __popc(0xf0f0u) + __ffs(8) + __clz(1);
  a.y[7] = atomicAdd(reinterpret_cast<int *>(a.y) + 7, 4) + 6;
  a.y[8] = __funnelshift_r(p, q, 8);"""
    y = run("if (thread == 0) {" + body + "}", x)
    signed = -128 * 127 + -1 * 2 + 1 * 3 + 2 * 4 - 5
    unsigned = 128 * 127 + 255 * 2 + 1 * 3 + 2 * 4 + 5
    assert y[:9].tolist() == [0x01080305, signed, unsigned, 2 - 40, 5, 2**31 - 1, 8 + 4 + 31, 6, 0x05040302]


FAILURES = {
    "deadlock": ("if (thread < 40) __syncthreads();", "of 64 threads 40 wait at __syncthreads, 0 at a coll.*, 24 have"),
    "half a warp": ("if (thread % 2) __syncwarp();", "deadlock.* 32 at a collective"),
    "mask": ("a.y[0] = __shfl_sync(0xffff, thread, 0);", r"mask 0000ffff"),
    "another collective": ("if (lane < 9) __syncwarp(); else __shfl_sync(~0u, 1, 1);", "while other lanes"),
    "misaligned copy": ("copy_async<16>(memory, a.x + 4);", "copy_async<16> .* not both aligned"),
    "copy outside": ("copy_async<4>(memory + 1024, a.x);", "to outside of shared memory"),
    "misaligned matrix": ("u32 p[4]; load_matrices(p, memory + 4 * lane); a.y[0] = p[0];", "not aligned to 16"),
    "misaligned vector": ("a.y[0] = reinterpret_cast<const uint4 *>(a.x + a.size)->x;", r"not aligned .*snippet.cu:8"),
    "index": ("int t[4] = {}; t[a.size + thread] = 1; a.y[0] = t[1];", "out of bounds .*snippet.cu"),
    "overflow": ("int big = 0x7fffffff; a.y[0] = big + static_cast<int>(a.size);", "overflows"),
    "null": ("if (blockIdx.x == 2) *reinterpret_cast<u32 *>(a.size - 4) = 1;", r"\(2, 0, 0\), thread \d+: touched"),
    "recursion": ("volatile char big[100000]; for (int i = 99999; i >= 0; --i) big[i] = a.size;", "touched"),
}


@not_sanitized
@every_order
@pytest.mark.parametrize("case", FAILURES)
def test_errors(run, case):
    body, message = FAILURES[case]
    with pytest.raises(EmulatorError, match=message) as caught:
        run(body, grid=(3, 1, 1))
    assert str(caught.value).startswith("go, block (")
    assert run("a.y[thread] = 1;").sum() == 64  # the emulator is as new


@not_sanitized
@every_order
def test_reads_beside_a_tensor(run, emulated):
    x = random_bytes(5000)
    behind = "a.y[thread] = a.x[a.size + 16 * thread];"
    before = "a.y[thread] = a.x[-1 - thread];"
    with pytest.raises(EmulatorError, match="5016 bytes from the start of argument 0, uint8 .5000., 5000 bytes"
                       if emulated.order == "forward" else "bytes from the start of argument 0"):
        run(before if emulated.order == "reverse" else behind, x)


@not_sanitized
def test_writes_beside_a_tensor(run):
    with pytest.raises(AssertionError, match="go wrote outside of argument 1"):
        run("a.y[a.size] = 1;", torch.zeros(63, dtype=torch.uint8), count=63)


@not_sanitized
@every_order
def test_writes_beside_shared_memory(run):
    with pytest.raises(EmulatorError, match="written 4 bytes past its 1024 bytes"):
        run("memory[1024 + 4] = 1;")
    with pytest.raises(EmulatorError, match="written 1 bytes before its start"):
        run("memory[-1 + 0 * thread] = 1;")


@not_sanitized
@every_order
def test_blocks_that_write_the_same(run):
    own = "a.y[blockIdx.x * 64 + thread] += 1;"
    assert run(own, count=192, grid=(3, 1, 1)).tolist() == [1] * 192
    added = "atomicAdd(a.y + thread, 1u);"
    assert run(added, grid=(3, 1, 1)).tolist() == [3] * 64
    alone = "atomicAdd(a.y + 64 * blockIdx.x + thread, 1u); a.y[64 * blockIdx.x + thread] = 8;"
    assert run(alone, count=192, grid=(3, 1, 1)).tolist() == [8] * 192
    with pytest.raises(EmulatorError, match=r"wrote to address 0x.*, as block number . did: 0 .* argument 1"):
        run("a.y[thread] += 1;", grid=(3, 1, 1))
    with pytest.raises(EmulatorError, match=r"as atomic operations of several|, where block number|as block number"):
        run("if (blockIdx.x == 1) a.y[thread] = 7; else atomicAdd(a.y + thread, 1u);", grid=(2, 2, 1))


def test_shared_memory_starts_as_garbage(run):
    y = run("for (int i = 0; i < 4; ++i) a.y[4 * thread + i] = words[4 * thread + i];", count=256)
    assert len(y.unique()) > 250


def test_memory_of_torch_starts_as_garbage(emulated):
    assert torch.empty(3, dtype=torch.int32).tolist() == [2**31 - 1] * 3


def test_what_a_device_would_not_launch(run, emulated):
    for wrong in ({"threads": 40}, {"threads": 2048}, {"threads": 544}, {"shared": 2**20}, {"grid": (1, 70000, 1)}):
        with pytest.raises(EmulatorError):
            run("a.y[0] = 1;", **wrong)
    with pytest.raises(EmulatorError, match="take 32 bytes, given were 3"):
        launch.launch("snippet", "go", (1, 1, 1), 32, 0, (torch.zeros(1), None, 1))


def test_views_of_one_memory_stay_one(emulated, tmp_path):
    emulated.folder = tmp_path
    (tmp_path / "snippet.cu").write_text(HEAD + "if (thread == 0) a.y[1] = a.x[4] + a.y[0]; }\n")
    memory = torch.arange(4, dtype=torch.int32)
    launch.launch("snippet", "go", (1, 1, 1), 32, 0, (memory.view(torch.uint8), memory[2:], 1, 0.0))
    assert memory.tolist() == [0, 1, 2, 3]
