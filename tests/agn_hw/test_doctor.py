"""Lines of `agn-hw doctor` about what not everybody needs: Icarus, a CUDA device; Verilator is needed."""

import pytest

from agn_hw import doctor
from agn_hw.kernels import cuda_toolkit
from lut_gen.errors import ToolError
from sim import icarus


def lines(capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, str]]:
    """Exit status, and each line by the tool that it is about."""
    status = doctor.report()
    printed = capsys.readouterr().out.splitlines()
    return status, {line[9:33].strip(): line for line in printed[:-1]} | {"": printed[-1]}


def test_icarus_with_its_version(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(icarus, "version", lambda: "12.0")
    _, found = lines(capsys)
    assert found["icarus"].split() == ["ok", "icarus", "12.0"]


def test_a_machine_without_icarus_misses_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent() -> str:
        raise ToolError("Icarus Verilog", "it is not on the PATH", "apt-get install iverilog")

    before = lines(capsys)
    monkeypatch.setattr(icarus, "version", absent)
    after = lines(capsys)
    assert (before[0], before[1][""]) == (after[0], after[1][""])
    assert after[1]["icarus"].startswith("absent ") and "optional" in after[1]["icarus"]
    assert "apt-get install iverilog" in after[1]["icarus"]


def test_missing_parts_of_verilator_are_counted(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    status, found = lines(capsys)
    assert status == 1 and found["make"].startswith("MISSING") and "needed to simulate RTL" in found["make"]
    assert found["icarus"].startswith("absent ")


def no_packages() -> str:
    raise ToolError("what compiles", "cuda-core is not usable (No module named 'cuda')", "pip install 'agn-hw[cuda]'")


def test_a_machine_without_a_gpu_misses_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cuda_toolkit, "program", lambda: None)
    monkeypatch.setattr(cuda_toolkit, "nvrtc_version", lambda: "13.0")
    monkeypatch.setattr(cuda_toolkit, "devices", lambda: [])
    before = lines(capsys)
    assert before[1]["cuda"].startswith("absent ") and "no CUDA device; NVRTC 13.0" in before[1]["cuda"]
    monkeypatch.setattr(cuda_toolkit, "devices", no_packages)
    monkeypatch.setattr(cuda_toolkit, "program", no_packages)
    after = lines(capsys)
    assert (before[0], before[1][""]) == (after[0], after[1][""])
    assert after[1]["cuda"].startswith("absent ") and "pip install 'agn-hw[cuda]'" in after[1]["cuda"]


def test_a_gpu_without_a_compiler_is_counted(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cuda_toolkit, "devices", lambda: ["NVIDIA H200"])
    monkeypatch.setattr(cuda_toolkit, "program", lambda: None)
    monkeypatch.setattr(cuda_toolkit, "nvrtc_version", lambda: "13.0")
    _, found = lines(capsys)
    assert found["cuda"].split(maxsplit=2) == ["ok", "cuda", "NVIDIA H200; NVRTC 13.0"]
    monkeypatch.setattr(cuda_toolkit, "program", no_packages)
    status, found = lines(capsys)
    assert status == 1 and found["cuda"].startswith("MISSING") and "cuda-core is not usable" in found["cuda"]
