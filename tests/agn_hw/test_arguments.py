"""Arguments that are checked while they are read."""

import argparse

import pytest

from agn_hw import arguments


@pytest.mark.parametrize(("text", "wanted"), [("8x8", (8, 8)), ("1x64", (1, 64)), ("16x4", (16, 4))])
def test_sizes_of_arrays(text, wanted):
    assert arguments.size(text) == wanted


@pytest.mark.parametrize("text", ["8", "0x8", "8x65", "8x", "-1x8", "8x8x8", "100x1", "axb", ""])
def test_senseless_sizes(text):
    with pytest.raises(argparse.ArgumentTypeError, match="1x1 to 64x64"):
        arguments.size(text)
