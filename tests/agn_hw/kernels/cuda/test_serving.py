"""Which tensors the CUDA kernels take, and what is said where they cannot."""

import pytest
import torch

from agn_hw.kernels import cuda
from agn_hw.kernels.cuda import compiler


class Elsewhere:
    """What `serves` asks of a tensor on a device."""

    is_cuda = True

    def get_device(self) -> int:
        return 3


@pytest.fixture(autouse=True)
def nothing_found(monkeypatch):
    monkeypatch.setattr(cuda, "_FOUND", {})


def test_tensors_of_the_processor_are_not_ours():
    assert not cuda.serves(torch.zeros(1))


@pytest.mark.parametrize("capability, missing, words", [
    ((9, 0), None, None),
    ((9, 0), "cuda-core is not usable", "cuda-core is not usable. .*pip install 'agn-hw.cuda.'"),
    ((7, 0), None, "device 3 has compute capability 7.0. .*7.5 and newer"),
    ((6, 1), "cuda-core is not usable", "capability 6.1"),
])
def test_devices(monkeypatch, recwarn, capability, missing, words):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda index: capability)
    monkeypatch.setattr(compiler, "missing", lambda: missing)
    if words:
        with pytest.warns(RuntimeWarning, match=words):
            assert not cuda.serves(Elsewhere())
        assert not cuda.serves(Elsewhere())  # once is enough
    else:
        assert cuda.serves(Elsewhere())
    assert not recwarn.list
