"""Icarus Verilog, optional: `iverilog` on the PATH or the program that AGN_HW_IVERILOG names, and the `vvp` beside it.

Multipliers are simulated without cocotb: with a Python call for each of 65,536 vectors a catalog takes tens of
minutes. A plain Verilog bench drives the vectors and writes the products; each design runs in a process of its own,
so the designs cannot disturb each other, and an error names its design.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

from lut_gen import child
from lut_gen.errors import ToolError
from sim import cocotb_bench, process, wrapper

_BENCH = Path(__file__).parent / "benches" / "all_operand_pairs.v"
_BENCH_TOP = "agn_hw_bench"
_TIMESCALE = "+timescale+1ns/1ns"  # of sources that give none


def program() -> Path | None:
    """The compiler `iverilog` that is to run, or None. AGN_HW_IVERILOG goes before the PATH."""
    found = shutil.which(os.environ.get("AGN_HW_IVERILOG") or "iverilog")
    return Path(found).absolute() if found else None


def _runtime() -> Path | None:
    """The `vvp` of the same installation, else of the PATH."""
    compiler = program()
    beside = compiler.with_name("vvp") if compiler else None
    found = shutil.which(beside) if beside else None
    found = found or shutil.which("vvp")
    return Path(found).absolute() if found else None


def missing() -> dict[str, str]:
    """What this machine lacks to simulate with Icarus: tool -> how to get it. Empty where all is there."""
    mend = "apt-get install iverilog, or let AGN_HW_IVERILOG name the program"
    lacking = {"iverilog": program(), "vvp": _runtime()}
    return {name: mend for name, found in lacking.items() if found is None}


def version() -> str:
    """Version text, for example "11.0". Raises ToolError where a program is missing or silent."""
    lacking = missing()
    if lacking:
        named = os.environ.get("AGN_HW_IVERILOG")
        came = f"AGN_HW_IVERILOG names {named!r}, which is no program" if named else "it is not on the PATH"
        raise ToolError(f"Icarus Verilog ({' and '.join(lacking)})", came, next(iter(lacking.values())))
    try:
        asked = subprocess.run([str(program()), "-V"], capture_output=True, timeout=60, env=process.environment())
        text = asked.stdout.decode(errors="replace")
    except (OSError, subprocess.TimeoutExpired) as error:
        text = str(error)
    match = re.search(r"Icarus Verilog version (\S+)", text)
    if match is None:
        came = f"`iverilog -V` said: {text.strip()[:200] or 'nothing'}"
        raise ToolError("Icarus Verilog's version", came, "let AGN_HW_IVERILOG name an iverilog program")
    return match[1]


def cocotb_tool() -> cocotb_bench.Tool:
    """Icarus for cocotb's benches, which find it by its usual names. Raises ToolError as `version`."""
    tool, compiler, runtime = version(), program(), _runtime()
    assert compiler is not None and runtime is not None
    if (compiler.name, runtime.name) != ("iverilog", "vvp"):
        mend = "let AGN_HW_IVERILOG name a program that is called so"
        raise ToolError("a program called iverilog, as cocotb starts it", f"'{compiler}' came", mend)
    identity = tool, str(compiler), str(runtime)
    path = os.pathsep.join([str(compiler.parent), str(runtime.parent), os.environ.get("PATH", "")])
    return cocotb_bench.Tool("icarus", "Icarus Verilog", identity, ("-g2005",), {"PATH": path})


def products(instances: list[wrapper.Instance], folder: Path, limit_s: float) -> list[np.ndarray]:
    """Products of the RTL at all operand pairs, int64 [2**a_bits, 2**b_bits] a design, in order.

    A product with a bit that is x or z is wrapper.UNKNOWN. Sources, log and raw products of each design stay in
    a folder of its own below `folder`; as many designs run at once as there are processors. Raises ToolError
    naming the design where it does not compile or does not end within `limit_s` seconds.
    """
    simulate = partial(_simulate, folder=folder.absolute(), tool=version(), limit_s=limit_s)
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:  # the threads only wait for processes
        try:
            return list(pool.map(simulate, instances))
        except BaseException:
            child.stop()  # the other designs need not end
            raise


def _simulate(instance: wrapper.Instance, folder: Path, tool: str, limit_s: float) -> np.ndarray:
    design, bits = instance.design, instance.a_bits + instance.b_bits
    files = {f"{wrapper.TOP}.v": wrapper.text([instance]).encode(), **wrapper.sources([design])}
    files[_BENCH.name] = _BENCH.read_bytes()
    files["files.txt"] = "\n".join([_TIMESCALE, *files, ""]).encode()
    job = folder / _key(files, tool)
    shutil.rmtree(job, ignore_errors=True)
    job.mkdir(parents=True)
    for name, content in files.items():
        (job / name).write_bytes(content)
    compiler = [str(program()), "-g2005", "-s", _BENCH_TOP, f"-P{_BENCH_TOP}.BITS={bits}"]
    compiler += ["-o", "simulation.vvp", "-c", "files.txt"]
    what = f"Icarus' {{}} of '{design.name}'"
    try:
        process.run(what.format("build"), compiler, job / "build.log", limit_s)
    except process.Failed as error:
        raise error.in_users_names(wrapper.original_names([design])) from None
    process.run(what.format("simulation"), [str(_runtime()), "-n", "simulation.vvp"], job / "run.log", limit_s)
    return _read(job / "products.txt", instance)


def _key(files: dict[str, bytes], tool: str) -> str:
    digest = hashlib.sha256(tool.encode())
    for name, content in files.items():
        digest.update(f"{name} {len(content)} ".encode() + content)
    return f"icarus_{digest.hexdigest()[:16]}"


def _read(path: Path, instance: wrapper.Instance) -> np.ndarray:
    """Table of the bench's lines, int64 [2**a_bits, 2**b_bits]. Raises ToolError where lines are missing."""
    bits, width = instance.a_bits + instance.b_bits, wrapper.PRODUCT_BITS
    raw = np.frombuffer(path.read_bytes() if path.exists() else b"", dtype=np.uint8)
    if raw.size != (width + 1) << bits:
        wanted = f"{1 << bits} products of '{instance.design.name}' from Icarus"
        came = f"{raw.size // (width + 1)} came"
        raise ToolError(wanted, came, "remove $finish and $stop from the RTL", path.parent / "run.log")
    digits = raw.reshape(-1, width + 1)[:, :width]  # (pair, bit), the highest bit first
    weights = 1 << np.arange(width - 1, -1, -1, dtype=np.int64)
    weights[0] = -weights[0]
    values = (digits == ord("1")) @ weights
    values[(digits > ord("1")).any(axis=1)] = wrapper.UNKNOWN
    line = np.arange(1 << bits)
    table = np.empty_like(values)
    table[line ^ (line >> 1)] = values
    return table.reshape(1 << instance.a_bits, 1 << instance.b_bits)
