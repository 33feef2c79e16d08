"""Builds the shared library of an array: Verilator, then the C++ compiler on one file that holds all it made.

No make, so that neither its flags nor spaces in paths matter. A library stands below a folder under a hash of all that
goes into it: Verilog, harness, options, tools, processor. Verilator's own run time is compiled once for all of them.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import shutil
import subprocess
from ctypes import c_char_p, c_int64, c_void_p
from functools import cache
from pathlib import Path

from lut_gen import files
from lut_gen.errors import ToolError
from sim import process, verilator
from sim.array_sources import TOP, ArrayShape, Circuit, parameters

HARNESS = Path(__file__).parent / "harness.cpp"
MODEL = f"V{TOP}"
_VERILATOR = [
    *("--cc", "--top-module", TOP, "--prefix", MODEL, "--Mdir", "model"),
    *("--default-language", "1364-2005", "--no-timing", "--no-assert", "-Wno-fatal", "-Wno-lint"),
    *("--x-assign", "0", "--x-initial", "0", "-O3", "--output-split", "0", "--output-split-cfuncs", "0"),
]
_COMPILER = ["-std=c++17", "-march=native", "-fPIC", "-fvisibility=hidden", "-fvisibility-inlines-hidden", "-w"]
_MARK = "built"


def build(
    texts: dict[str, str], circuit: Circuit, shape: ArrayShape, folder: Path, limit_s: float, nets: int = 0,
    trace: bool = False,
) -> Path:
    """The library of an array of these sources; nothing is done if it is there, and two processes do not do it twice.

    nets: those of the element where toggles are counted, else 0; trace: with waveforms. Raises ToolError where a tool
    is missing, fails or takes longer than `limit_s` seconds.
    """
    values = {**parameters(circuit, shape), "NETS": nets, "MODEL": MODEL}
    options = ["-O2", *_COMPILER, *_defines(trace), *(f"-D{name}={value}" for name, value in values.items())]
    key = _key([texts, HARNESS.read_text(), options])
    job = folder / f"array_{key}"
    with files.locked(job):
        if not (job / _MARK).exists():
            _empty(job)
            _verilate(texts, job, limit_s, trace)
            library = job / "array.so"
            objects = [str(path) for path in _runtime(folder, limit_s, trace)]
            command = ["c++", *options, *_includes(), "-Imodel", "-pthread", "-shared", "-Wl,-Bsymbolic"]
            command += ["-o", library.name, "array.cpp", *objects]
            _compile("the array's library", command, job, limit_s)
            shutil.rmtree(job / "model")
            (job / _MARK).touch()
    return job / "array.so"


@cache
def load(library: Path) -> ctypes.CDLL:
    """The library with its C signatures; arrays of one kind share it, and several kinds can be loaded."""
    loaded = ctypes.CDLL(str(library))
    for name, arguments in (
        ("agn_hw_matmul", [c_void_p]),
        ("agn_hw_tile_totals", [c_void_p, c_int64, c_int64]),
        ("agn_hw_waveform", [c_void_p, c_int64, c_int64, c_char_p]),
    ):
        function = getattr(loaded, name, None)
        if function is not None:  # waveforms are not in every library
            function.restype, function.argtypes = c_int64, arguments
    return loaded


def _verilate(texts: dict[str, str], job: Path, limit_s: float, trace: bool) -> None:
    """Writes the sources, and array.cpp with the model's C++ and the harness in one."""
    for name, text in texts.items():
        (job / name).write_text(text)
    command = [str(verilator.program()), *_VERILATOR, *(["--trace"] if trace else []), *texts]
    process.run("Verilator's run", command, job / "verilator.log", limit_s, verilator.environment())
    made = [f"model/{path.name}" for path in sorted((job / "model").glob("*.cpp"))]
    headers = [f"{MODEL}.h", f"{MODEL}___024root.h"]
    lines = [f'#include "{name}"\n' for name in (*headers, *made)]
    lines.append(f"#define EVALUATE(model) {_evaluation([job / name for name in made], trace)}\n")
    (job / "array.cpp").write_text("".join(lines) + HARNESS.read_text())


def _evaluation(made: list[Path], trace: bool) -> str:
    """What evaluates the model. Its own eval() locks a mutex for objects and messages that no array makes, which takes
    a fifth of the time; the function that it calls is taken where this Verilator has it by this name."""
    inner = f"{MODEL}___024root___eval"
    known = any(f"void {inner}({MODEL}___024root* vlSelf) {{" in path.read_text() for path in made)
    return f"{inner}(model->rootp)" if known and not trace else "model->eval()"


def _runtime(folder: Path, limit_s: float, trace: bool) -> list[Path]:
    """Objects of Verilator's run time, compiled below `folder` where they are not there yet."""
    names = ["verilated", "verilated_threads", *(["verilated_vcd_c"] if trace else [])]
    options = ["-O1", *_COMPILER, *_defines(trace)]
    job = folder / f"verilated_{_key([names, options])}"
    with files.locked(job):
        if not (job / _MARK).exists():
            _empty(job)
            sources = [str(_include() / f"{name}.cpp") for name in names]
            _compile("Verilator's run time", ["c++", *options, *_includes(), "-c", *sources], job, limit_s)
            (job / _MARK).touch()
    return [job / f"{name}.o" for name in names]


def _compile(what: str, command: list[str], job: Path, limit_s: float) -> None:
    process.run(f"the C++ compiler's build of {what}", command, job / "build.log", limit_s)


def _empty(job: Path) -> None:
    """What a killed build left behind."""
    for path in job.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def _key(content: object) -> str:
    """Hash of this, of how things are built here, and of the tools."""
    text = json.dumps([content, Path(__file__).read_text(), *_tools()], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@cache
def _predefined(compiler: str) -> str:
    """What the compiler knows of itself and of this processor (its predefined macros)."""
    command = [compiler, "-march=native", "-dM", "-E", "-x", "c++", "/dev/null"]
    said = subprocess.run(command, capture_output=True, text=True, timeout=60, env=process.environment())
    if said.returncode:
        came = f"it said: {said.stderr.strip()[:200]}"
        raise ToolError("a C++ compiler called c++ that knows -march=native", came, "apt-get install g++")
    return said.stdout


def _tools() -> list[str]:
    """Versions of Verilator and the compiler. Raises ToolError where one is missing."""
    return [verilator.version(), str(verilator.program()), _predefined(str(shutil.which("c++")))]


def _defines(trace: bool) -> list[str]:
    """What Verilator's own makefile would define."""
    values = {"VM_COVERAGE": 0, "VM_SC": 0, "VM_TIMING": 0, "VM_TRACE": int(trace), "VM_TRACE_VCD": int(trace),
              "VM_TRACE_FST": 0, "VM_TRACE_SAIF": 0, "VERILATOR": 1}  # fmt: skip
    return [f"-D{name}={value}" for name, value in values.items()]


def _includes() -> list[str]:
    return [f"-I{_include()}", f"-I{_include() / 'vltstd'}"]


@cache
def _root(program: str) -> Path:
    said = subprocess.run([program, "--getenv", "VERILATOR_ROOT"], capture_output=True, text=True, timeout=60)
    return Path(said.stdout.strip())


def _include() -> Path:
    """Folder of Verilator's C++ headers."""
    root = verilator.environment().get("VERILATOR_ROOT")
    return (Path(root) if root else _root(str(verilator.program()))) / "include"
