"""Launches against a made-up driver: what it is asked, how often, and what becomes of its errors."""

import ctypes
import struct
import threading
from types import SimpleNamespace
from typing import NamedTuple

import pytest
import torch

from agn_hw.kernels.cuda import compiler, launch

OWN, OTHER = 0x1000, 0x9000
"""Contexts: torch's, and another one."""


class Made:
    """The functions of cuda.bindings.driver that a launch needs. `asked` is what was called, `failing` what fails."""

    CUfunction_attribute = SimpleNamespace(CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES=8)
    CUstreamCaptureMode = SimpleNamespace(CU_STREAM_CAPTURE_MODE_RELAXED=2)

    def __init__(self) -> None:
        self.asked: list[tuple[object, ...]] = []
        self.contexts, self.failing, self.mode = [OWN], "", 0

    def _answer(self, name: str, *asked: object, value: object = None) -> tuple[object, ...]:
        self.asked.append((name, *asked))
        return (700,) if name == self.failing else (0,) if value is None else (0, value)

    def cuCtxGetCurrent(self):
        return 0, self.contexts[-1] if self.contexts else 0

    def cuDeviceGet(self, index):
        return self._answer("device", index, value=index)

    def cuDevicePrimaryCtxRetain(self, device):
        return self._answer("retain", device, value=OWN)

    def cuCtxPushCurrent(self, context):
        self.contexts.append(context)
        return self._answer("push", context)

    def cuCtxPopCurrent(self):
        return self._answer("pop", value=self.contexts.pop())

    def cuThreadExchangeStreamCaptureMode(self, mode):
        before, self.mode = self.mode, mode
        return 0, before

    def cuModuleLoadData(self, image):
        self.mode_of_loading = self.mode
        return self._answer("load", image, self.contexts[-1], value=f"module {image}")

    def cuModuleGetFunction(self, module, name):
        return self._answer("function", module, name, value=f"{name} of {module}")

    def cuFuncSetAttribute(self, function, attribute, value):
        return self._answer("attribute", function, attribute, value)

    def cuLaunchKernel(self, function, *sizes_and_stream_and_arguments):
        *sizes, stream, pointers, extra = sizes_and_stream_and_arguments
        structure = ctypes.c_void_p.from_address(pointers).value
        self.bytes = ctypes.string_at(structure, 8 * self.fields)
        return self._answer("launch", function, *sizes, stream, extra, self.contexts[-1])

    def cuGetErrorName(self, code):
        return 0, b"CUDA_ERROR_MADE_UP"

    def cuGetErrorString(self, code):
        return 0, b"of no device"


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Made:
    made = Made()
    made.compiled = []
    monkeypatch.setattr(launch, "_driver", lambda: made)
    monkeypatch.setattr(launch, "_kernels", {})
    monkeypatch.setattr(launch, "_modules", {})
    monkeypatch.setattr(launch, "facts", lambda device: launch.Facts("sm_90", 132, 232448))
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: SimpleNamespace(cuda_stream=0xABC0))

    def cubin(source, arch, macros):
        made.compiled.append((source, arch, macros))
        return f"{source} {macros}"

    monkeypatch.setattr(compiler, "cubin", cubin)
    launch._context.cache_clear()
    yield made
    launch._context.cache_clear()


class Pair(NamedTuple):
    tensor: torch.Tensor | None
    size: int


def names(driver: Made) -> list[object]:
    return [asked[0] for asked in driver.asked]


def test_a_launch(driver):
    x = torch.arange(8)
    driver.fields = 6
    launch.launch("multiply", "add", (3, 2, 1), 256, 1000, (Pair(x, 7), (x[2:], (2.5, None)), -3), BLOCK=64, AT=1)
    assert struct.unpack("<qqqdqq", driver.bytes) == (x.data_ptr(), 7, x.data_ptr() + 16, 2.5, 0, -3)
    assert driver.compiled == [("multiply", "sm_90", {"AT": 1, "BLOCK": 64})]
    function = "b'add' of module multiply {'AT': 1, 'BLOCK': 64}"
    assert driver.asked[-1] == ("launch", function, 3, 2, 1, 256, 1, 1, 1000, 0xABC0, 0, OWN)
    assert names(driver) == ["device", "retain", "load", "function", "launch"]
    assert driver.mode_of_loading == 2 and driver.mode == 0


def test_torchs_stream_0_is_the_drivers_legacy_stream(driver, monkeypatch):
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: SimpleNamespace(cuda_stream=0))
    driver.fields = 1
    launch.launch("multiply", "add", (1, 1, 1), 32, 0, (torch.zeros(1),))
    assert driver.asked[-1][-3] == 1


def test_modules_and_kernels_are_loaded_once(driver):
    x = torch.zeros(1)
    driver.fields = 1
    for kernel in ("add", "add", "clear", "add"):
        launch.launch("multiply", kernel, (1, 1, 1), 32, 0, (x,), A=1, B=2)
        launch.launch("multiply", kernel, (1, 1, 1), 32, 0, (x,), B=2, A=1)
    assert names(driver).count("load") == 1 and names(driver).count("function") == 2
    launch.launch("multiply", "add", (1, 1, 1), 32, 0, (x,), A=2, B=2)
    assert names(driver).count("load") == 2 and names(driver).count("launch") == 9


def test_many_threads_load_once(driver):
    x = torch.zeros(1)
    driver.fields = 1

    def go():
        launch.launch("multiply", "add", (1, 1, 1), 32, 0, (x,))

    threads = [threading.Thread(target=go) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert names(driver).count("load") == 1 and names(driver).count("launch") == 8


def test_shared_memory_is_asked_for_as_it_grows(driver):
    driver.fields = 1
    for shared in (48 * 1024, 60_000, 50_000, 200_000, 200_000):
        launch.launch("multiply", "add", (1, 1, 1), 32, shared, (torch.zeros(1),))
    assert [asked[3] for asked in driver.asked if asked[0] == "attribute"] == [60_000, 200_000]


@pytest.mark.parametrize("before", [[], [OTHER]])
def test_another_context_is_put_back(driver, before):
    driver.contexts, driver.fields = list(before), 1
    launch.launch("multiply", "add", (1, 1, 1), 32, 0, (torch.zeros(1),))
    assert driver.asked[-2][-1] == OWN and names(driver)[-1] == "pop" and driver.contexts == before
    driver.failing = "launch"
    with pytest.raises(RuntimeError):
        launch.launch("multiply", "add", (1, 1, 1), 32, 0, (torch.zeros(1),))
    assert driver.contexts == before


def test_nothing_is_launched_for_nothing(driver):
    launch.launch("multiply", "add", (3, 0, 1), 32, 0, (torch.zeros(1),))
    assert driver.asked == []


def test_errors_name_kernel_and_reason(driver):
    driver.fields, driver.failing = 1, "launch"
    message = r"add of multiply.cu could not be launched \(\(1, 1, 1\) blocks of 2048 .*MADE_UP: of no device"
    with pytest.raises(RuntimeError, match=message):
        launch.launch("multiply", "add", (1, 1, 1), 2048, 5, (torch.zeros(1),))
    driver.failing = "load"
    with pytest.raises(RuntimeError, match="MADE_UP"):
        launch.launch("multiply", "other", (1, 1, 1), 32, 0, (torch.zeros(1),), A=1)


def test_wrong_arguments(driver):
    with pytest.raises(ValueError, match="on one device, got none"):
        launch.launch("multiply", "add", (1, 1, 1), 32, 0, (1, 2.0))
    with pytest.raises(ValueError, match="on one device, got"):
        launch.launch("multiply", "add", (1, 1, 1), 32, 0, (torch.zeros(1), torch.zeros(1, device="meta")))
    with pytest.raises(TypeError, match="wanted tensors, None, int and float"):
        launch.launch("multiply", "add", (1, 1, 1), 32, 0, (torch.zeros(1), "x"))
    assert names(driver) == []


def test_facts_of_a_device(monkeypatch):
    found = SimpleNamespace(major=9, minor=0, multi_processor_count=132, shared_memory_per_block_optin=232448)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: found)
    launch._facts.cache_clear()
    assert launch.facts(torch.device("cuda", 3)) == ("sm_90", 132, 232448)
    launch._facts.cache_clear()
