"""What has no integer form is refused by name."""

import pytest
import torch
from torch import nn

from agn_hw.nn.quantize import ModelError, quantize, skeleton
from lut_gen.errors import AgnError
from tests.agn_hw.networks import images, small_resnet


def test_no_batch_is_an_error():
    with pytest.raises(ValueError, match="at least one batch"):
        quantize(small_resnet(), [])


def test_negative_inputs_are_an_error():
    with pytest.raises(ModelError, match=r"not negative\n.*-0\.25"):
        quantize(small_resnet(), [images(4), images(4) * 0 - 0.25])


class Odd(nn.Module):
    """A convolution, some step, and a linear layer."""

    def __init__(self, step, *modules) -> None:
        super().__init__()
        self.conv, self.other, self.fc = nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 3, 1), nn.Linear(3 * 64, 2)
        self.extra = nn.ModuleList(modules)
        self.step = step

    def forward(self, x):
        return self.fc(torch.flatten(self.step(self, x), 1))


def relu(net, x):
    return torch.relu(net.conv(x))


REFUSED = {
    "module": (Odd(lambda net, x: net.extra[0](net.conv(x)), nn.Sigmoid()), "'extra.0'.*Sigmoid"),
    "function": (Odd(lambda net, x: torch.sigmoid(net.conv(x))), "'sigmoid'"),
    "constant": (Odd(lambda net, x: relu(net, x) + 1), "'add'"),
    "weighted sum": (Odd(lambda net, x: torch.add(relu(net, x), x, alpha=2)), "'add'"),
    "named sum": (Odd(lambda net, x: torch.add(input=relu(net, x), other=x)), "'add'"),
    "product": (Odd(lambda net, x: relu(net, x) * x), "'mul'"),
    "signed layer input": (Odd(lambda net, x: torch.relu(net.other(net.conv(x)))), "'other'.*negative"),
    "signed linear input": (Odd(lambda net, x: net.conv(x)), "'fc'.*negative"),
    "signed sum": (Odd(lambda net, x: net.conv(x) + x), "'fc'.*negative"),
    "signed average": (nn.Sequential(nn.Conv2d(3, 3, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2)),
                       "'1'.*negative"),
    "lonely ReLU": (Odd(lambda net, x: torch.relu(x)), "'relu'.*does not follow"),
    "shared before ReLU": (Odd(lambda net, x: (lambda y: torch.relu(y) + y)(net.conv(x))), "'relu'.*its own"),
    "lonely BatchNorm": (Odd(lambda net, x: net.extra[0](relu(net, x)), nn.BatchNorm2d(3)), "'extra.0'.*BatchNorm"),
    "shared before BatchNorm": (
        Odd(lambda net, x: (lambda y: torch.relu(net.extra[0](y) + y))(net.conv(x)), nn.BatchNorm2d(3)),
        "'extra.0'.*its own",
    ),
    "layer used twice": (Odd(lambda net, x: torch.relu(net.conv(relu(net, x)))), "'conv'"),
    "padding": (nn.Sequential(nn.Conv2d(3, 3, 3, padding="same"), nn.Flatten()), "'0'.*same"),
    "pool with indices": (Odd(lambda net, x: net.extra[0](relu(net, x))[0], nn.MaxPool2d(1, return_indices=True)),
                          "'extra.0'.*MaxPool2d"),
    "average to 2x2": (nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(12, 2)), "'0'.*AdaptiveAvg"),
    "ends in flatten": (nn.Sequential(nn.Conv2d(3, 3, 3), nn.Flatten()), "must end in"),
    "ends in a ReLU": (nn.Sequential(nn.Flatten(), nn.Linear(192, 2), nn.ReLU()), "must end in"),
    "linear on rows": (nn.Sequential(nn.Linear(8, 8)), "'0'.*4 dimensions"),
    "branches on data": (Odd(lambda net, x: x if x.sum() > 0 else -x), "'Odd'.*trace"),
}


@pytest.mark.parametrize("model, message", REFUSED.values(), ids=REFUSED)
def test_what_has_no_integer_form_is_named(model, message):
    with pytest.raises(ModelError, match=message) as caught:
        quantize(model, [images(4)])
    assert isinstance(caught.value, AgnError) and "to mend" in str(caught.value)


def test_a_second_input_is_refused():
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(4, 2)

        def forward(self, x, y):
            return self.fc(x + y)

    with pytest.raises(ModelError, match=r"'y'.*second input"):
        skeleton(Two())
