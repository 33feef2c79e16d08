"""Images from files: decoding, the mapped cache, damaged files."""

import io
import os
import signal
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from agn_hw.zoo import data
from agn_hw.zoo.data import decoded
from tests.agn_hw.zoo.pictures import folder, picture


def colours(split):
    return split.images.float().mean(dim=(2, 3))


def whole(splits):
    return {part: getattr(splits, part) for part in data.PARTS}


@pytest.mark.parametrize("suffix", ["png", "JPEG", "bmp", "webp"])
@pytest.mark.parametrize("cached", [True, False])
def test_every_image_comes_back_with_its_label(suffix, cached, tmp_path):
    made = folder(tmp_path / "set", {"train": 20, "val": 4}, suffix=suffix)
    splits = data.load("folder", 0, tmp_path / "cache" if cached else None, str(tmp_path / "set"), size=16)
    assert splits.sizes() == {"train": 51, "calibration": 3, "validation": 6, "test": 12}
    assert (splits.name, splits.classes, splits.channels, splits.side) == ("folder", 3, 3, 16)
    assert splits.calibration.labels.sort().values.tolist() == [0, 1, 2]
    wanted = {"train": [], "val": []}
    for path, colour in made.items():
        wanted[path.parts[-3]].append((*colour.tolist(), ["ant", "bee", "cow"].index(path.parts[-2])))
    for part, names in (("train", ("train", "calibration", "validation")), ("val", ("test",))):
        rows = [torch.cat([colours(split), split.labels[:, None]], 1) for split in map(whole(splits).get, names)]
        found = torch.cat(rows)
        left = np.array(sorted(wanted[part]))
        assert len(found) == len(left)
        for row in found.numpy():  # each image is one of those written, and none comes twice
            at = np.abs(left - row).max(axis=1).argmin()
            assert np.abs(left[at] - row).max() < 4
            left = np.delete(left, at, axis=0)


def test_middle_is_cut_out_and_scaled(tmp_path):
    """Left third red, middle green, right blue: of 90 x 30 the middle square is all green."""
    stripes = np.zeros((30, 90, 3), np.uint8)
    stripes[:, :30, 0] = stripes[:, 30:60, 1] = stripes[:, 60:, 2] = 200
    Image.fromarray(stripes).save(tmp_path / "wide.png")
    Image.fromarray(stripes.transpose(1, 0, 2)).save(tmp_path / "high.png")
    for name in ("wide.png", "high.png"):
        for side in (7, 30, 50):
            image = decoded.decode(tmp_path / name, side)
            assert image.shape == (3, side, side) and image.dtype == np.uint8
            inside = image[:, 1:-1, 1:-1]  # the outermost pixels see a bit of what is beside the square
            assert (inside == np.array([0, 200, 0])[:, None, None]).all()
    exact = np.random.default_rng(0).integers(0, 256, (30, 90, 3), np.uint8)
    Image.fromarray(exact).save(tmp_path / "noise.png")
    scaled = np.asarray(Image.fromarray(exact).resize((30, 10), Image.Resampling.BILINEAR))
    assert np.array_equal(decoded.decode(tmp_path / "noise.png", 10), scaled[:, 10:20].transpose(2, 0, 1))
    exact = exact[:24, :24]
    Image.fromarray(exact).save(tmp_path / "exact.png")
    assert np.array_equal(decoded.decode(tmp_path / "exact.png", 24), exact.transpose(2, 0, 1))


@pytest.mark.parametrize("mode", ["L", "P", "1", "LA", "RGBA", "CMYK"])
def test_other_modes_become_colours(mode, tmp_path):
    path = tmp_path / ("x.jpg" if mode == "CMYK" else "x.png")
    picture(path, 1, mode=mode)
    image = decoded.decode(path, 8)
    assert image.shape == (3, 8, 8)
    if mode in ("L", "LA", "1"):
        assert (image[0] == image[1]).all() and (image[1] == image[2]).all()


def test_palette_with_transparency(tmp_path):
    image = Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8), "L").convert("P")
    image.save(tmp_path / "x.png", transparency=bytes(range(256)))
    assert decoded.decode(tmp_path / "x.png", 8).shape == (3, 8, 8)


def gif():
    """A sound image, of a format that is not among those that are read."""
    file = io.BytesIO()
    Image.new("L", (8, 8)).save(file, "GIF")
    return file.getvalue()


def png_header(width, height):
    """A PNG that says to be this large and holds next to nothing."""
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")


@pytest.mark.parametrize("content, said", [
    (lambda good: good[:len(good) // 2], "cannot be decoded"), (lambda good: good[:20], "cannot be decoded"),
    (lambda good: b"", "cannot be decoded"), (lambda good: b"text", "cannot be decoded"),
    (lambda good: gif(), "cannot be decoded"),
    (lambda good: png_header(100_000, 100_000), "Bomb"), (lambda good: png_header(10_000, 9_000), "Bomb"),
    (lambda good: png_header(9_400, 9_500), "9400 x 9500 pixels"),
    (lambda good: good[:80] + bytes(99) + good[179:], "cannot be decoded"),
], ids=["half", "start", "empty", "text", "another format", "bomb", "large", "a bit large", "changed"])
def test_image_that_cannot_be_used_is_named(content, said, tmp_path):
    made = folder(tmp_path / "set", {"": 8})
    path = list(made)[11]
    path.write_bytes(content(path.read_bytes()))
    with pytest.raises(data.DataError, match=said) as caught:
        data.load("folder", 0, tmp_path / "cache", tmp_path / "set", 8)
    assert str(path) in str(caught.value)
    assert list((tmp_path / "cache").iterdir()) == []


def test_sixteen_bits_are_refused(tmp_path):
    Image.fromarray(np.full((8, 8), 40_000, np.uint16)).save(tmp_path / "x.png")
    with pytest.raises(data.DataError, match="mode I;16"):
        decoded.decode(tmp_path / "x.png", 8)


def test_cache_is_used_and_keyed(tmp_path, monkeypatch):
    made = folder(tmp_path / "set", {"": 8})
    cache = tmp_path / "cache"

    def load(seed=0, size=8):
        return data.load("folder", seed, cache, tmp_path / "set", size)

    first = whole(load())
    (path,) = cache.iterdir()
    assert path.stat().st_size == 24 * 3 * 8 * 8
    assert {split.files for split in first.values()} == {path.stem.rpartition("_")[2]}  # of what they were made
    with monkeypatch.context() as patch:
        patch.setattr(decoded, "decode", lambda *arguments, **options: pytest.fail("decoded again"))
        again = whole(load())
    for part, split in first.items():
        assert torch.equal(split.images, again[part].images) and torch.equal(split.labels, again[part].labels)
    load(seed=1)
    load(size=9)
    os.utime(next(iter(made)), (1, 1))
    load()
    monkeypatch.setattr(decoded.PIL, "__version__", "0")
    load()
    assert len(list(cache.iterdir())) == 5


def test_cache_of_the_wrong_length_is_made_again(tmp_path):
    folder(tmp_path / "set", {"": 8})
    cache = tmp_path / "cache"
    data.load("folder", 0, cache, tmp_path / "set", 8)
    (path,) = cache.iterdir()
    good = path.read_bytes()
    path.write_bytes(good[:-1])
    (cache / ".old.uint8.tmp").write_bytes(b"left by a killed process")
    data.load("folder", 0, cache, tmp_path / "set", 8)
    assert list(cache.iterdir()) == [path] and path.read_bytes() == good


def test_writing_to_the_images_leaves_the_file_alone(tmp_path):
    folder(tmp_path / "set", {"": 8})
    splits = data.load("folder", 0, tmp_path / "cache", tmp_path / "set", 8)
    (path,) = (tmp_path / "cache").iterdir()
    before = path.read_bytes()
    splits.train.images.zero_()
    assert splits.train.images.sum() == 0 and path.read_bytes() == before
    assert np.array_equal(np.frombuffer(before, np.uint8).reshape(24, 3, 8, 8)[-len(splits.test):], splits.test.images)


def test_images_are_mapped_not_read(tmp_path):
    """All parts are views of one mapping, also of a file larger than the machine's memory."""
    path = tmp_path / "large"
    size = 2**42
    with path.open("wb") as file:
        file.truncate(size)  # a hole: four tebibytes that need no room
        file.seek(size - 5)
        file.write(b"\7")
    mapped = decoded._mapped(path, size)
    images = torch.from_numpy(mapped)
    assert images[-5] == 7 and images[0] == 0 and len(images) == size
    images[3] = 9
    assert images[3] == 9 and np.fromfile(path, np.uint8, 5).sum() == 0


KILLED = """
import os, signal, sys
from pathlib import Path
from agn_hw.zoo import data
from agn_hw.zoo.data import decoded
decode, count = decoded.decode, []
def killing(path, side):
    count.append(path)
    if len(count) == 15:
        os.kill(os.getpid(), signal.SIGKILL)
    return decode(path, side)
decoded.decode = killing
data.load("folder", 0, Path(sys.argv[1]), Path(sys.argv[2]), 8)
"""


def test_killed_half_way_leaves_nothing_broken(tmp_path):
    folder(tmp_path / "set", {"": 8})
    command = [sys.executable, "-c", KILLED, str(tmp_path / "cache"), str(tmp_path / "set")]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert [path.name for path in (tmp_path / "cache").iterdir() if not path.name.startswith(".")] == []
    splits = data.load("folder", 0, tmp_path / "cache", tmp_path / "set", 8)
    plain = data.load("folder", 0, None, tmp_path / "set", 8)
    assert all(torch.equal(getattr(splits, part).images, getattr(plain, part).images) for part in data.PARTS)
    assert [path.name[0] for path in (tmp_path / "cache").iterdir()] == ["f"]


def test_cache_that_cannot_be_written(tmp_path):
    folder(tmp_path / "set", {"": 8})
    (tmp_path / "file").write_text("")
    with pytest.raises(data.splits.AgnError, match="file"):
        data.load("folder", 0, tmp_path / "file", tmp_path / "set", 8)
