"""Every kernel in every variant compiles for every architecture and keeps its numbers in registers. Needs no GPU."""

import os
import re

import pytest

from agn_hw.kernels.cuda import compiler
from tests.agn_hw.kernels.cuda.sources import FOLDER, SOURCES, variants

slow = pytest.mark.slow
ARCHITECTURES = (
    pytest.param("sm_75", marks=slow), pytest.param("sm_80", marks=slow), pytest.param("sm_89", marks=slow), "sm_90",
)
"""Turing, Ampere's larger and smaller multiprocessor (Ada's are the same), Hopper."""
MAY_SPILL = {"sm_75": 128}
"""Bytes of a thread's stack: nobody tunes for Turing, it is to compute at all."""
OTHERS = ("sm_86", "sm_100", "sm_120")
LOGS = FOLDER.parents[2] / "build" / "kernels"
KERNEL = re.compile(
    r"Compiling entry function '(\w+)' for '(\w+)'.*?(\d+) bytes stack frame, (\d+) bytes spill stores, "
    r"(\d+) bytes spill loads.*?Used (\d+) registers([^\n]*)",
    re.DOTALL,
)
"""One kernel in ptxas' log."""
MISSING = compiler.missing()
needs_nvrtc = pytest.mark.skipif(MISSING is not None, reason=f"nothing to compile with: {MISSING}")


def assembled(source: str, arch: str, macros: dict[str, int]) -> list[tuple[str, ...]]:
    """What ptxas says of each kernel, kept under build/ as long as nothing changes that the kernels are made of."""
    path = LOGS / f"{source}-{compiler._key(source, arch, macros)[:32]}.log"
    if not path.exists():
        cubin, log = compiler.compiled(source, arch, macros)
        assert cubin.startswith(b"\x7fELF")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_suffix(f".{os.getpid()}").write_text(log)
        path.with_suffix(f".{os.getpid()}").replace(path)
    return KERNEL.findall(path.read_text())


def check(source: str, arch: str, macros: dict[str, int]) -> None:
    names = set(re.findall(r"\b(\w+)\(const \1_arguments\b", (FOLDER / f"{source}.cu").read_text()))
    kernels = assembled(source, arch, macros)
    assert names and names <= {kernel[0] for kernel in kernels}
    for name, target, stack, stores, loads, registers, rest in kernels:
        where = f"{name} of {source}.cu with {macros} for {target}, {registers} registers"
        assert target == ("sm_90a" if arch == "sm_90" else arch)
        spilled = max(int(stack), int(stores))
        assert spilled <= MAY_SPILL.get(arch, 0), f"{where}: {stack} bytes of stack, {stores} spilled, {loads} loaded"
        assert "smem" not in rest, f"{where}: shared memory is to be dynamic: {rest}"


@needs_nvrtc
@pytest.mark.parametrize("arch", ARCHITECTURES)
@pytest.mark.parametrize("source", SOURCES)
def test_compiles_without_spills(source, arch):
    for macros in variants(source):
        check(source, arch, macros)


@slow
@needs_nvrtc
@pytest.mark.parametrize("arch", OTHERS)
@pytest.mark.parametrize("source", SOURCES)
def test_other_architectures_compile(source, arch):
    check(source, arch, variants(source)[0])


def test_every_source_has_a_host_that_names_its_variants():
    headers = "".join(path.read_text() for path in FOLDER.glob("*.cuh"))
    for source in SOURCES:
        text = (FOLDER / f"{source}.cu").read_text() + headers
        assert variants(source)
        for macros in variants(source):
            assert all(re.search(rf"#ifndef {name}\b", text) for name in macros), f"{source}.cu: no default of {macros}"
