"""What is kept of compiled kernels, and what a machine without the packages is told."""

import subprocess
import sys
from pathlib import Path

import pytest

from agn_hw.kernels import cuda_toolkit
from agn_hw.kernels.cuda import compiler
from lut_gen.errors import ToolError

SOURCE = """
#include "device.cuh"
struct go_arguments { u32 *y; };
extern "C" __global__ void __launch_bounds__(32) go(const go_arguments a) { a.y[threadIdx.x] = VALUE; }
"""
MISSING = compiler.missing()
needs_nvrtc = pytest.mark.skipif(MISSING is not None, reason=f"nothing to compile with: {MISSING}")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of sources with one kernel, and a cache of its own."""
    made = tmp_path / "sources"
    made.mkdir()
    (made / "go.cu").write_text(SOURCE)
    (made / "device.cuh").write_text((compiler.FOLDER / "device.cuh").read_text())
    monkeypatch.setattr(compiler, "FOLDER", made)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return made


@pytest.fixture
def compilations(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Grows with every compilation; none is one."""
    done: list[str] = []

    def compiled(source, arch, macros):
        done.append(arch)
        return f"{source} {arch} {macros} {len(done)}".encode(), ""

    monkeypatch.setattr(compiler, "compiled", compiled)
    monkeypatch.setattr(cuda_toolkit, "nvrtc_version", lambda: "13.0")
    return done


@needs_nvrtc
def test_a_cubin(folder):
    made = compiler.cubin("go", "sm_90", {"VALUE": 7})
    assert made.startswith(b"\x7fELF") and b"go" in made
    assert compiler.cubin("go", "sm_90", {"VALUE": 7}) == made != compiler.cubin("go", "sm_90", {"VALUE": 8})


def test_everything_that_matters_is_in_the_key(folder, compilations, monkeypatch):
    def ask(arch="sm_90", **macros):
        before = len(compilations)
        first = compiler.cubin("go", arch, macros)
        assert compiler.cubin("go", arch, macros) == first
        return len(compilations) - before

    assert [ask(A=1, B=2), ask(B=2, A=1), ask(A=1), ask(), ask("sm_80")] == [1, 0, 1, 1, 1]
    (folder / "go.cu").write_text(SOURCE + "//")
    assert [ask(), ask()] == [1, 0]
    (folder / "new.cuh").write_text("")
    assert [ask(), ask()] == [1, 0]
    monkeypatch.setattr(cuda_toolkit, "nvrtc_version", lambda: "13.1")
    assert [ask(), ask()] == [1, 0]
    monkeypatch.setattr(compiler, "CONTRACTED", {"go"})
    assert [ask(), ask()] == [1, 0]


def test_damaged_files_are_made_anew(folder, compilations):
    made = compiler.cubin("go", "sm_90", {})
    (path,) = compiler.cache_folder().rglob("*.cubin")
    for damaged in (b"", path.read_bytes()[:-1], path.read_bytes() + b"x", b"0" * 40):
        path.write_bytes(damaged)
        assert compiler.cubin("go", "sm_90", {}) != made
    assert len(compilations) == 5


def test_nothing_is_left_beside_the_cubin(folder, compilations):
    compiler.cubin("go", "sm_90", {})
    assert [path.suffix for path in compiler.cache_folder().rglob("*") if path.is_file()] == [".cubin"]


def test_a_folder_that_cannot_be_written_to(folder, compilations, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert compiler.cubin("go", "sm_90", {}) and compiler.cubin("go", "sm_90", {})
    assert len(compilations) == 2


def test_without_the_variable_the_cache_is_at_home(monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", "/somewhere")
    assert compiler.cache_folder() == Path("/somewhere/.cache/agn-hw/kernels")


def test_without_a_home_nothing_is_kept(monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(compiler.os.path, "expanduser", lambda path: path)
    assert compiler.cubin("finish", "sm_90", {}).startswith(b"\x7fELF")
    assert not Path("~").exists()



@needs_nvrtc
def test_a_source_that_does_not_compile(folder):
    message = r"wanted go.cu for sm_90\n  but NVRTC .*failed:\n(.*\n)*.*VALUE.* is undefined"
    with pytest.raises(ToolError, match=message):
        compiler.cubin("go", "sm_90", {})
    with pytest.raises(ToolError, match="install a newer NVRTC"):
        compiler.cubin("go", "sm_999", {"VALUE": 1})


@pytest.fixture
def nothing_known():
    """Before and after, nothing is kept of what was found."""
    found = cuda_toolkit.program, cuda_toolkit.nvrtc_version, cuda_toolkit.driver, cuda_toolkit.missing
    for cached in found:
        cached.cache_clear()
    yield
    for cached in found:
        cached.cache_clear()


def test_missing_packages_are_named(nothing_known, monkeypatch):
    for name in ("cuda.core", "cuda.core.experimental"):
        monkeypatch.setitem(sys.modules, name, None)
    assert "cuda-core is not usable" in compiler.missing()
    with pytest.raises(ToolError, match=r"pip install 'agn-hw\[cuda\]'"):
        compiler.compiled("layout", "sm_90", {})


def test_a_missing_library_is_named(nothing_known, monkeypatch):
    nvrtc = pytest.importorskip("cuda.bindings.nvrtc")

    def version():
        raise RuntimeError("\nFailed to dlopen libnvrtc.so.13\nmore")

    monkeypatch.setattr(nvrtc, "nvrtcVersion", version)
    assert compiler.missing() == "NVRTC is not usable (Failed to dlopen libnvrtc.so.13)"


def test_no_package_is_imported_before_it_is_needed():
    """Torch imports some of them for itself."""
    script = (
        "import sys, torch\n"
        "before = set(sys.modules)\n"
        "import agn_hw, agn_hw.kernels.op, agn_hw.kernels.cuda.launch, agn_hw.kernels.cuda.compiler\n"
        "print([name for name in set(sys.modules) - before if name.split('.')[0] == 'cuda'])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
