"""What layers keep between forward passes: prepared once, and again after every change of what it was made from."""

import copy
import pickle
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest
import torch
from torch import nn

from agn_hw.codes import SIGNED, UNSIGNED, Codes
from agn_hw.kernels import backend, native
from agn_hw.nn import kept
from agn_hw.nn.layers import TableLayer
from agn_hw.nn.products import TableConv1d, TableConv2d, TableLinear
from tests.agn_hw.nn.single_layers import images, settle, take_table
from tests.agn_hw.tables import random_table8

LUT, OTHER = random_table8(8, 4000), random_table8(9, 4000)
KINDS = ("convolution", "depthwise", "one dimension", "linear")
TABLES = {"table": LUT, "exact product": None}
WITHOUT_GRADIENTS = {"no_grad": torch.no_grad, "inference_mode": torch.inference_mode}


def made(kind: str, lut: torch.Tensor | None = LUT, seed: int = 0) -> TableLayer:
    if kind == "linear":
        layer: TableLayer = TableLinear(nn.Linear(45, 6))
    elif kind == "one dimension":
        layer = TableConv1d(nn.Conv1d(5, 6, 3, padding=1))
    else:
        channels = 6 if kind == "depthwise" else 5
        layer = TableConv2d(nn.Conv2d(channels, 6, 3, padding=1, groups=6 if kind == "depthwise" else 1))
    settle(layer, SIGNED, seed=seed)
    if lut is not None:
        take_table(layer, lut, 0.3)
    return layer


def kind_of(layer: TableLayer) -> str:
    if isinstance(layer, TableLinear):
        return "linear"
    return "one dimension" if isinstance(layer, TableConv1d) else "depthwise" if layer.groups > 1 else "convolution"


def inputs(layer: TableLayer) -> torch.Tensor:
    """Codes 0..127, which signed and unsigned layers take alike."""
    shape = {"linear": (4, 45), "one dimension": (2, 5, 20), "depthwise": (2, 6, 5, 4), "convolution": (2, 5, 5, 4)}
    return images(*shape[kind_of(layer)], codes=Codes(0, 127))


PLAIN = ("in_codes", "out_codes", "weight_bits", "groups", "stride", "padding", "dilation", "padding_mode", "explicit")
"""Settings that are not tensors and that a pass depends on."""


def fresh(layer: TableLayer, x: torch.Tensor | None = None) -> torch.Tensor:
    """The output of a layer with the same parameters, buffers and settings that has never computed anything."""
    other = made(kind_of(layer))
    other.load_state_dict({name: copy.deepcopy(value) for name, value in layer.state_dict().items()})
    for name in PLAIN:
        if hasattr(layer, name):
            setattr(other, name, getattr(layer, name))
    with torch.no_grad():
        return other(inputs(layer) if x is None else x)


@pytest.fixture
def prepared(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Grows by one each time that weights are prepared."""
    calls: list[int] = []
    prepare = backend.prepare
    monkeypatch.setattr(backend, "prepare", lambda *arguments: calls.append(1) or prepare(*arguments))
    yield calls


@pytest.fixture(params=WITHOUT_GRADIENTS)
def mode(request: pytest.FixtureRequest) -> Callable[[], AbstractContextManager]:
    return WITHOUT_GRADIENTS[request.param]


@pytest.fixture(params=[True, False], ids=["as installed", "portable"], autouse=True)
def back_end(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if not request.param:
        monkeypatch.setattr(backend, "compiled", lambda: False)


@pytest.mark.parametrize("kind", KINDS)
def test_weights_are_prepared_once(mode, prepared, kind):
    layer = made(kind)
    with mode():
        outputs = [layer(inputs(layer)) for _ in range(4)]
        times = 2 if backend.compiled() else 1  # again when the table has settled
        assert len(prepared) == times
        assert layer(inputs(layer)[:1]).shape[0] == 1 and len(prepared) == times  # another batch, the same weights
    assert all(torch.equal(y, outputs[0]) for y in outputs)
    for other in WITHOUT_GRADIENTS.values():  # from mode to mode too
        with other():
            assert torch.equal(layer(inputs(layer)), outputs[0])
    assert len(prepared) == times
    assert torch.equal(outputs[0], fresh(layer))


def train(layer: TableLayer) -> None:
    with torch.enable_grad():
        optimizer = torch.optim.SGD(layer.parameters(), 0.3)
        layer(inputs(layer)).square().mean().backward()
        optimizer.step()


def load(layer: TableLayer) -> None:
    layer.load_state_dict(made(kind_of(layer), OTHER, seed=5).state_dict())


def edit_weight(layer: TableLayer) -> None:
    """One weight, by one code: the smallest change there is."""
    with torch.inference_mode():
        layer.weight.view(-1)[0] += 2.0 * layer.weight_scale[0].float() * (-1 if layer.weight.view(-1)[0] > 0 else 1)


def edit_through_data(layer: TableLayer) -> None:
    layer.weight.data.view(-1)[-1] *= -1


def edit_table(layer: TableLayer) -> None:
    with torch.inference_mode():
        if layer.lut.numel():
            layer.lut.add_(37)
        layer.bias.neg_()


def replace_weight(layer: TableLayer) -> None:
    layer.weight = nn.Parameter(layer.weight.detach().flip(0))


def replace_scale(name: str) -> Callable[[TableLayer], object]:
    """As `connect` gives a layer the scale of another module."""
    return lambda layer: setattr(layer, name, nn.Parameter(layer.get_parameter(name) * 1.5, requires_grad=False))


CHANGES: dict[str, Callable[[TableLayer], object]] = {
    "optimiser": train,
    "load_state_dict": load,
    "weight": edit_weight,
    "weight through data": edit_through_data,
    "weight replaced": replace_weight,
    "lut": edit_table,
    "set_table": lambda layer: layer.set_table(OTHER.numpy(), 0.5),
    "no table": lambda layer: (layer.set_table(None), layer.bias.data.neg_()),
    "bias": lambda layer: layer.bias.data.neg_(),
    "in_scale": lambda layer: layer.in_scale.mul_(1.5),
    "in_scale through data": lambda layer: layer.in_scale.data.mul_(1.5),
    "in_scale replaced": replace_scale("in_scale"),
    "out_scale": lambda layer: layer.out_scale.mul_(1.5),
    "out_scale replaced": replace_scale("out_scale"),
    "weight_scale": lambda layer: layer.weight_scale.mul_(1.5),
    "weight_scale of one channel": lambda layer: layer.weight_scale[3].mul_(0.5),
    "weight_scale for all": lambda layer: layer.set_scheme(8, layer.weight_scale[:1]),
    "weight_bits": lambda layer: setattr(layer, "weight_bits", 5),
    "out_codes": lambda layer: setattr(layer, "out_codes", Codes(-128, 20)),
    "gain": lambda layer: layer.gain.mul_(1.5),
    "channel_gain": lambda layer: layer.channel_gain.mul_(1.5),
    "channel_offset": lambda layer: layer.channel_offset.add_(2000),
}


@pytest.mark.parametrize("lut", TABLES.values(), ids=TABLES)
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("kind", KINDS)
def test_every_change_is_noticed(mode, kind, change, lut):
    layer = made(kind, lut)
    with mode():
        before = layer(inputs(layer))
    with torch.no_grad():
        change(layer)
    with mode():
        after = layer(inputs(layer))
        assert torch.equal(layer(inputs(layer)), after)
    assert not torch.equal(after, before)
    assert torch.equal(after, fresh(layer))


@pytest.mark.parametrize("kind", KINDS)
def test_no_parameter_or_buffer_is_left_out(kind):
    layer = made(kind)
    assert set(dict(layer.named_parameters())) | set(dict(layer.named_buffers())) <= set(CHANGES)


GEOMETRY: dict[str, object] = {"stride": [2, 1], "padding": [2, 0], "dilation": [1, 2], "explicit": [1, 0, 2, 1]}


@pytest.mark.parametrize("lut", TABLES.values(), ids=TABLES)
@pytest.mark.parametrize("name", GEOMETRY)
@pytest.mark.parametrize("kind", ["convolution", "depthwise"])
def test_a_changed_geometry_is_noticed(mode, kind, name, lut):
    layer = made(kind, lut)
    with mode():
        before = layer(inputs(layer))
        setattr(layer, name, GEOMETRY[name])
        after = layer(inputs(layer))
    assert not torch.equal(after, before) and torch.equal(after, fresh(layer))


@pytest.mark.parametrize("lut", TABLES.values(), ids=TABLES)
@pytest.mark.parametrize("kind", ["convolution", "depthwise"])
def test_geometry_edited_in_place_is_noticed(mode, kind, lut):
    layer = made(kind, lut)
    assert isinstance(layer, TableConv2d)
    with mode():
        before = layer(inputs(layer))
        layer.dilation[0], layer.padding[0] = 2, 2
        after = layer(inputs(layer))
    assert after.shape == before.shape and not torch.equal(after, before) and torch.equal(after, fresh(layer))


@pytest.mark.parametrize("lut", TABLES.values(), ids=TABLES)
@pytest.mark.parametrize("kind", KINDS)
def test_the_range_of_activations_is_noticed(mode, kind, lut):
    """The byte of -1 is that of 255: what an exact product makes of it depends on the range."""
    layer = made(kind, lut)
    x = inputs(layer)
    with mode():
        layer(x)
        layer.in_codes = (SIGNED,)
        found = layer(x - 100)
    assert torch.equal(found, fresh(layer, x - 100))
    if lut is None:
        with torch.enable_grad():  # sums in float32, without any table
            assert torch.equal(found, layer(x - 100).detach())


def test_the_range_of_codes_is_noticed(mode):
    layer = made("convolution")
    with mode():
        signed = layer(inputs(layer))
        layer.out_codes = UNSIGNED
        unsigned = layer(inputs(layer))
    assert signed.min() < 0 and unsigned.min() == 0 and unsigned.max() > 127
    assert torch.equal(unsigned.clamp(0, 127), signed.clamp(0, 127)) and torch.equal(unsigned, fresh(layer))


@pytest.mark.parametrize("kind", KINDS)
def test_training_and_evaluation_take_turns(mode, kind):
    """A table's split that was made in one mode serves the other, and weights are never those of the step before."""
    layer = made(kind)
    optimizer = torch.optim.SGD(layer.parameters(), 0.1)
    for _ in range(3):
        with mode():
            evaluated = layer(inputs(layer))
        optimizer.zero_grad()
        trained = layer(inputs(layer))
        assert torch.equal(trained.detach(), evaluated) and torch.equal(evaluated, fresh(layer))
        trained.square().mean().backward()
        optimizer.step()
    with mode():
        assert not torch.equal(layer(inputs(layer)), evaluated)


@pytest.fixture
def searches(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one each time that a table's best form is searched; nothing is known from before."""
    monkeypatch.setattr(backend, "compiled", native.available)
    calls: list[int] = []
    search = backend.best_split
    monkeypatch.setattr(backend, "best_split", lambda *arguments: calls.append(1) or search(*arguments))
    kept._best_split.cache_clear()
    return calls


def test_a_table_is_searched_once_it_has_settled(searches):
    layer = made("convolution")
    found = []
    for _ in range(5):
        train(layer)
        found.append(len(searches))
    assert found == [0, 0, 1, 1, 1]
    layer.lut[5, 6] += 1
    y = layer(inputs(layer)).detach()
    assert len(searches) == 1 and torch.equal(y, fresh(layer))


def test_layers_share_the_search_of_a_table(searches):
    layers = [made("convolution"), made("convolution", seed=3), made("linear")]
    for layer in layers:
        for _ in range(4):
            train(layer)
            assert torch.equal(layer(inputs(layer)).detach(), fresh(layer))
    assert len(searches) == 1


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))])
@pytest.mark.parametrize("kind", KINDS)
def test_copies_keep_their_own(mode, prepared, kind, duplicate):
    layer = made(kind)
    with mode():
        y = layer(inputs(layer))
    other = duplicate(layer)
    with mode():
        assert torch.equal(other(inputs(layer)), y) and len(prepared) == 2
        other.weight.neg_()
        changed = other(inputs(layer))
        assert torch.equal(layer(inputs(layer)), y) and len(prepared) == 3
    assert torch.equal(changed, fresh(other)) and not torch.equal(changed, y)


def test_gradients_keep_nothing_of_the_weights(prepared):
    """With gradients on, weights are taken as they are, every time."""
    layer = made("linear")
    for _ in range(2):
        layer(inputs(layer)).sum().backward()
    assert len(prepared) == 2
