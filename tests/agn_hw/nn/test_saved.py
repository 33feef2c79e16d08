"""Saved, copied and moved networks."""

import copy
import gzip
import io
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import fx

from agn_hw.conversion.approximate import approximate
from agn_hw.conversion.quantize import kept_exact, skeleton
from agn_hw.nn.coded import SCHEMA, Coded, scales
from agn_hw.nn.layers import table_layers
from tests.agn_hw.networks import images, quantized_resnet, small_resnet
from tests.agn_hw.nn.small_networks import NETWORKS, float_network, inputs, quantized
from tests.agn_hw.nn.test_network import with_random_tables
from tests.agn_hw.tables import multiplier, truncated_lut

FIRST = Path(__file__).parent / "saved" / "network_schema1.pt.gz"
EVERY = pytest.mark.parametrize("name", NETWORKS)


def fresh(name: str) -> fx.GraphModule:
    """A network with the structure of one of `NETWORKS` and neutral scales."""
    _, scheme, layers = NETWORKS[name]
    return skeleton(float_network(name), scheme, layers, inputs(name, 2))


def saved(network: fx.GraphModule) -> dict:
    """The state after a way through a file."""
    file = io.BytesIO()
    torch.save(network.state_dict(), file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def sharing(network: fx.GraphModule) -> list[list[str]]:
    """Names of scales that are one tensor."""
    names: dict[int, list[str]] = {}
    for name, parameter in network.named_parameters(remove_duplicate=False):
        names.setdefault(id(parameter), []).append(name)
    return sorted(names.values())


def test_a_network_of_the_first_schema_gives_its_logits():
    """Saved with tables in stage1.conv1 and fc. Biases of layers with tables were rounded in their own units then, in
    products now: logits move by one of their 16-bit steps at
    most, 3 % of them."""
    with gzip.open(FIRST) as file:
        first = torch.load(file, weights_only=True)
    network = skeleton(small_resnet())
    network.load_state_dict(first["state"])
    assert [name for name, layer in table_layers(network).items() if layer.lut.numel()] == ["stage1.conv1", "fc"]
    steps = (network(first["images"]) - first["logits"]).abs() / network.get_submodule("logits").in_scale
    assert steps.max() < 1.5 and (steps > 0.5).double().mean() < 0.1


@EVERY
@pytest.mark.parametrize("tables", [False, True])
def test_a_saved_network_comes_back(name, tables):
    network = quantized(name)
    if tables:
        network = with_random_tables(network, True)
    again = fresh(name)
    assert again.load_state_dict(saved(network)) == ([], [])
    x = inputs(name, 6)
    for mode in (torch.no_grad(), torch.enable_grad()):
        with mode:
            assert torch.equal(again(x), network(x))
    assert sharing(again) == sharing(network)
    assert kept_exact(again) == kept_exact(network)
    for left, right in zip(again.modules(), network.modules(), strict=True):
        if isinstance(left, Coded):
            assert left.in_codes == right.in_codes and left.bits == right.bits
            assert getattr(left, "out_codes", None) == getattr(right, "out_codes", None)


def test_a_state_of_other_scales_for_weights_fits_both_ways():
    each, one = quantized("signal"), quantized("signal per tensor")
    x = inputs("signal", 6)
    for state, other in ((each, one), (one, each)):
        again = copy.deepcopy(other)
        again.load_state_dict(saved(state))
        assert torch.equal(again(x), state(x))


def test_what_does_not_fit_is_named():
    network = quantized("mobile")
    state = saved(network)
    del state["fc.weight"]
    with pytest.raises(RuntimeError, match=r"Missing key.*fc\.weight"):
        fresh("mobile").load_state_dict(state)
    with pytest.raises(RuntimeError, match=r"Unexpected key.*more"):
        fresh("mobile").load_state_dict({**saved(network), "more": torch.zeros(1)})
    with pytest.raises(RuntimeError, match=r"size mismatch for fc\.weight"):
        fresh("mobile").load_state_dict({**saved(network), "fc.weight": torch.zeros(7, 8)})
    with pytest.raises(RuntimeError, match=r"size mismatch for fc\.weight_scale"):
        fresh("mobile").load_state_dict({**saved(network), "fc.weight_scale": torch.zeros(7, dtype=torch.float64)})
    with pytest.raises(RuntimeError, match=r"Missing key"):
        fresh("mobile").load_state_dict(saved(quantized("squeeze")))


def test_a_newer_schema_is_refused():
    state = saved(quantized("mobile"))
    state["fc._extra_state"] = {**state["fc._extra_state"], "schema": SCHEMA + 1}
    with pytest.raises(RuntimeError, match=f"schema {SCHEMA} or older, {SCHEMA + 1} came; update agn-hw"):
        fresh("mobile").load_state_dict(state)


@EVERY
def test_copies_and_pickles_are_the_same_network(name):
    network = with_random_tables(quantized(name), True)
    x = inputs(name, 4)
    expected = network(x)
    for twin in (copy.deepcopy(network), pickle.loads(pickle.dumps(network)), copy.deepcopy(copy.deepcopy(network))):
        assert torch.equal(twin(x), expected)
        assert sharing(twin) == sharing(network) and kept_exact(twin) == kept_exact(network)
        assert len(scales(twin)) == len(scales(network))
        for scale in scales(twin):
            scale.data.mul_(2)
        assert torch.equal(network(x), expected)


def test_scales_are_shared_by_maker_and_taker():
    for network in (quantized("resnet"), fresh("resnet"), copy.deepcopy(quantized("resnet"))):
        layers = table_layers(network)
        assert layers["stage1.conv1"].out_scale is layers["stage1.conv2"].in_scale
        assert layers["stem.conv"].out_scale is layers["stage1.conv1"].in_scale
        assert layers["fc"].out_scale is network.get_submodule("logits").in_scale


@pytest.mark.parametrize("name", ["affine squeeze of 6 bits", "rows"])
def test_a_pickle_opens_in_another_process(name, tmp_path):
    network = with_random_tables(quantized(name), True)
    x = inputs(name, 4)
    torch.save({"network": network, "x": x, "y": network(x).detach(), "kept": kept_exact(network)}, tmp_path / "n.pt")
    code = ("import sys, torch; from agn_hw.conversion.quantize import kept_exact; torch.set_num_threads(1); "
            "d = torch.load(sys.argv[1], weights_only=False); "
            "assert torch.equal(d['network'](d['x']), d['y']); "
            "assert kept_exact(d['network']) == d['kept']; print('same')")
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "n.pt")], capture_output=True, text=True,
                          cwd=Path(__file__).parents[3])
    assert done.stdout == "same\n", done.stderr


@pytest.mark.parametrize("name", ["resnet", "affine mobile", "squeeze"])
@pytest.mark.parametrize("tables", [False, True])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_another_precision_is_no_other_network(name, tables, dtype):
    """Scales and weights say what the hardware computes; half() must not change them unseen."""
    network = quantized(name)
    if tables:
        network = with_random_tables(network, True)
    x = inputs(name, 4)
    expected = network(x)
    moved = copy.deepcopy(network).to(dtype)
    assert torch.equal(moved(x), expected) and torch.equal(moved(x.to(torch.float64)), expected)
    with torch.no_grad():
        assert torch.equal(moved(x), expected)
    assert sharing(moved) == sharing(network)
    assert all(left.dtype == right.dtype for left, right in zip(moved.parameters(), network.parameters(), strict=True))


def test_the_gradient_of_tables_is_saved_with_them():
    exact, x = quantized_resnet(), images(6)
    found = approximate(exact, multiplier(truncated_lut(5)), gradient="smoothed")
    fresh = skeleton(small_resnet())
    fresh.load_state_dict(found.state_dict())
    other = approximate(exact, multiplier(truncated_lut(3)), gradient="slopes")
    other.load_state_dict(found.state_dict())
    plain = approximate(exact, multiplier(truncated_lut(5)), gradient="slopes")
    plain.load_state_dict(approximate(exact, multiplier(truncated_lut(5)), gradient="ste").state_dict())
    assert not table_layers(plain)["fc"].gradient()
    wanted = _gradients(found, x)
    for loaded in (fresh, other):
        assert all(torch.equal(a, b) for a, b in zip(_gradients(loaded, x), wanted, strict=True))


def _gradients(model, x):
    model(x).square().sum().backward()
    return [layer.weight.grad for layer in table_layers(model).values()]
