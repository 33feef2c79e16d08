"""The network in the loop: equal where the array is, and a fault is found where it sits."""

import dataclasses

import numpy as np
import pytest
import torch

from agn_hw import mapping
from agn_hw.accelerator import hardware_loop, mismatch
from agn_hw.accelerator.hardware_loop import Checked, OnArray
from agn_hw.conversion.approximate import approximate
from agn_hw.nn.layers import table_layers
from agn_hw.nn.overflow import set_accumulator
from lut_gen.errors import ToolError
from tests.agn_hw.accelerator.table_array import TableArray
from tests.agn_hw.networks import images, quantized_resnet

FAULTY = "stage2.conv1"


@pytest.fixture(scope="module", params=["kulkarni_4x4", "drum_8_k4", "truncated_signed_8x8_d6"])
def case(catalog, request):
    """A network with one multiplier in all layers, the mappings, and that multiplier."""
    names = [name for name in catalog.table["name"] if name == request.param]
    multiplier = catalog[names[0] if names else next(n for n in catalog.table["name"] if catalog[n].signed)]
    quantized = quantized_resnet()
    choice = {
        name: (multiplier, mapping.default(multiplier, "b" if i % 2 else "a", codes=layer.in_codes[0]))
        for i, (name, layer) in enumerate(table_layers(quantized).items())
    }
    return approximate(quantized, choice, gradient="ste"), {name: own for name, (_, own) in choice.items()}, multiplier


def on_arrays(case, fault=None) -> dict[str, OnArray]:
    _, mappings, multiplier = case
    return {
        name: OnArray(TableArray(own.oriented(multiplier.lut), fault=fault if name == FAULTY else None), own, Checked())
        for name, own in mappings.items()
    }


def test_an_array_that_is_right_is_equal(case):
    network, _, _ = case
    on, steps = on_arrays(case), []
    x = images(5, seed=3)
    assert hardware_loop.run(network, on, x, lambda: steps.append(1), batch=2) == 0
    assert len(steps) == 3 * len(on)
    layers = table_layers(network)
    for name, one in on.items():
        checked = one.checked
        assert checked.equal and checked.first is None and checked.images == 5
        assert checked.macs == 5 * layers[name].macs(*_shapes(network, name))
        assert checked.sums % len(layers[name].weight) == 0


def _shapes(network, name):
    """Input and output of one image, as TableLayer.macs wants them."""
    found = {}
    layer = table_layers(network)[name]
    handle = layer.register_forward_hook(lambda module, given, output: found.update(shape=output.shape))
    with torch.no_grad():
        network(images(1))
    handle.remove()
    return (found["shape"],)


def test_some_layers_only(case):
    network, _, _ = case
    on = {FAULTY: on_arrays(case)[FAULTY]}
    assert hardware_loop.run(network, on, images(2)) == 0
    assert on[FAULTY].checked.sums > 0


def test_a_fault_is_found_where_it_sits(case, tmp_path):
    network, _, multiplier = case

    def fault(totals):
        if totals.shape[2] > 3:
            totals[2:, -1, 3] += 4096  # from the third tile on, in an image's last vector

    on = on_arrays(case, fault)
    hardware_loop.run(network, on, images(4, seed=3), batch=2)
    checked = on[FAULTY].checked
    assert not checked.equal and checked.differing == 4
    others = [one.checked.differing for name, one in on.items() if name != FAULTY]
    assert not any(others)  # what flows on is the array's: the layers after it do what their tables say
    first = checked.first
    assert (first.image, first.group, first.column) == (0, 0, 3) and first.got - first.expected == 4096
    lut = on[FAULTY].mapping.oriented(multiplier.lut)
    found = mismatch.locate(on[FAULTY].array, lut, first)
    assert (found.k_tile, found.n_tile) == (2, 0) and found.got - found.expected == 4096
    assert len(found.x) == len(found.w) == len(found.products) == 8
    signed = on[FAULTY].mapping.encoding == mapping.TWOS_COMPLEMENT
    entries = lut[np.abs(found.x), np.abs(found.w)] * (1 if signed else np.sign(found.x) * np.sign(found.w))
    assert [product for product, x, w in zip(found.products, found.x, found.w, strict=True) if x and w] == [
        int(entry) for entry, x, w in zip(entries, found.x, found.w, strict=True) if x and w
    ]
    text = "\n".join(found.lines())
    assert all(str(part) in text for part in (first.got, first.expected, "K tile 2", found.x, found.w))
    path = tmp_path / "new" / "tile.vcd"
    assert str(path) in mismatch.kept(on[FAULTY].array, found, path) and path.exists()
    vectors, *tile = on[FAULTY].array.waves[0]
    assert tile == [2, 0] and np.array_equal(vectors[-1], first.operands.x[first.row])


def test_a_fault_that_does_not_come_again_is_still_told(case):
    network, _, multiplier = case
    calls = []

    def once(totals):
        calls.append(1)
        if len(calls) == 1:
            totals[-1, 5, 0] -= 1

    on = on_arrays(case, once)
    hardware_loop.run(network, on, images(2), batch=2)
    first = on[FAULTY].checked.first
    found = mismatch.locate(on[FAULTY].array, on[FAULTY].mapping.oriented(multiplier.lut), first)
    assert found.expected - found.got == 1 and first.row == 5


def test_a_fault_in_a_later_image_names_that_image(case):
    network, _, _ = case
    calls = []

    def third(totals):
        calls.append(1)
        totals[-1, 2, 1] += len(calls) == 4

    on = on_arrays(case, third)
    hardware_loop.run(network, on, images(6), batch=2)
    first = on[FAULTY].checked.first
    assert first.image == 3 and first.column == 1 and on[FAULTY].checked.differing == 1


def test_where_totals_saturate_the_right_tile_is_named(case):
    """What is due after each tile is what the narrow accumulator holds."""
    network, _, multiplier = case
    layer = table_layers(network)[FAULTY]
    set_accumulator(layer, bits=5, overflow="saturate", rows=8)

    def saturating(faulty):
        def change(totals):
            sums = np.diff(totals, axis=0, prepend=0)
            total = np.zeros_like(sums[0])
            for number, tile in enumerate(sums):
                total = np.clip(total + tile, -16, 15)
                totals[number] = total
            if faulty:
                totals[-1, 0, 0] ^= 1

        return change

    try:
        good = on_arrays(case, saturating(False))
        assert hardware_loop.run(network, good, images(2)) == 0 and good[FAULTY].checked.equal
        on = on_arrays(case, saturating(True))
        hardware_loop.run(network, on, images(2))
        array = on[FAULTY].array
        array.shape.acc_bits, array.shape.saturate = 5, True
        found = mismatch.locate(array, on[FAULTY].mapping.oriented(multiplier.lut), on[FAULTY].checked.first)
        assert found.k_tile == -(-layer.weight[0].numel() // 8) - 1 and found.got == found.expected ^ 1
    finally:
        layer.accumulator = None


def test_two_views_must_agree(case):
    """Also where the tables are right about the one that is used."""
    network, _, _ = case
    on = on_arrays(case)
    others = on_arrays(case, lambda totals: np.add(totals, totals.shape[1] > 3, out=totals))
    both = {name: dataclasses.replace(one, plain=others[name].array) for name, one in on.items()}
    assert hardware_loop.run(network, both, images(2)) == 0
    assert both[FAULTY].checked.views_differ and not both[FAULTY].checked.equal
    assert not both["stem.conv"].checked.views_differ


def test_no_waveform_is_no_obstacle(case, tmp_path):
    network, _, multiplier = case
    on = on_arrays(case, lambda totals: np.add(totals, 1, out=totals))
    hardware_loop.run(network, on, images(2), batch=2)
    array = on[FAULTY].array
    found = mismatch.locate(array, on[FAULTY].mapping.oriented(multiplier.lut), on[FAULTY].checked.first)

    def fails(*given, **named):
        raise ToolError("a build", "no compiler came", "install one")

    array.waveform = fails
    assert "no compiler came" in mismatch.kept(array, found, tmp_path / "tile.vcd")


def test_narrow_accumulators_are_the_arrays(case):
    """A layer that was told to wrap expects what an array that wraps gives."""
    network, _, _ = case
    layer = table_layers(network)[FAULTY]
    set_accumulator(layer, bits=5, overflow="wrap")
    try:
        on = on_arrays(case, lambda totals: np.copyto(totals, (totals + 16 & 31) - 16))
        assert hardware_loop.run(network, on, images(3)) == 0
        assert on[FAULTY].checked.equal
        plain = on_arrays(case)
        hardware_loop.run(network, plain, images(3))
        assert not plain[FAULTY].checked.equal
    finally:
        layer.accumulator = None
