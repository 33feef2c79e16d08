"""Arguments that several commands take: numbers that are checked while they are read, network and data set."""

from __future__ import annotations

import argparse
import math
import re
from pathlib import Path


def points(text: str) -> float:
    """Percentage points, 0 to 100."""
    value = float(text)
    if not 0 <= value <= 100:
        raise argparse.ArgumentTypeError(f"percentage points from 0 to 100 were wanted, {text} came")
    return value


def seed(text: str) -> int:
    """A whole number below 2^32."""
    value = int(text)
    if not 0 <= value < 2**32:
        raise argparse.ArgumentTypeError(f"a number from 0 to 4294967295 was wanted, {text} came")
    return value


def positive(text: str) -> int:
    """A whole number from 1 on."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"a number from 1 on was wanted, {text} came")
    return value


def above_zero(text: str) -> float:
    """A number above 0, fractions too."""
    value = float(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"a number above 0 was wanted, {text} came")
    return value


def size(text: str) -> tuple[int, int]:
    """Rows and columns, 1x1 to 64x64."""
    match = re.fullmatch(r"(\d{1,2})x(\d{1,2})", text)
    if match is None or not all(1 <= int(part) <= 64 for part in match.groups()):
        raise argparse.ArgumentTypeError(f"rows and columns from 1x1 to 64x64 were wanted, {text} came")
    return int(match[1]), int(match[2])


def add_array(parser: argparse.ArgumentParser) -> None:
    """--array."""
    parser.add_argument(
        "--array", type=size, default=(8, 8), metavar="ROWSxCOLUMNS", help="elements of an array; default: 8x8"
    )


def add_network(parser: argparse.ArgumentParser) -> None:
    """--model, --data, --data-root, --image-size and --seed."""
    parser.add_argument(
        "--model",
        default="resnet8",
        metavar="NAME",
        help="lenet5, resnet8, resnet14, resnet20, resnet32, resnet56, resnet18, vgg11, vgg16, alexnet, mobilenetv2, "
        "torchvision:NAME or timm:NAME; default: %(default)s",
    )
    parser.add_argument(
        "--data",
        default="digits",
        metavar="NAME",
        help="digits: 1797 real scans, quick; shapes: 28,512 drawn images; from local files: mnist, cifar10, cifar100, "
        "tiny-imagenet, folder (your own images, sorted into folders). Default: %(default)s",
    )
    parser.add_argument("--data-root", type=Path, metavar="DIR", help="where these files are; nothing is downloaded")
    parser.add_argument(
        "--image-size",
        type=positive,
        metavar="PIXELS",
        help="side that the images of tiny-imagenet (default: 64) and folder (default: 224) are brought to",
    )
    parser.add_argument("--seed", type=seed, default=0, help="of data, training and split; default: %(default)s")
