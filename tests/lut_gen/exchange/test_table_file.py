"""Arrays from files that may be anything: whole and of integers, or a ValueError, before memory is asked for."""

import io
import os
import tracemalloc
import zipfile

import numpy as np
import pytest

from lut_gen.exchange.table_file import as_int32, npy_table, npz_tables, read_bytes

TABLE = np.arange(12, dtype=np.int16).reshape(3, 4)


def npy(array, version=(1, 0)):
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, version)
    return buffer.getvalue()


def npz(**arrays):
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


@pytest.mark.parametrize("dtype", ["<i4", ">i4", "u1", "<u2", "i1", "<i8", ">u8"])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("version", [(1, 0), (2, 0)])
def test_what_numpy_writes_is_read(dtype, order, version):
    table = npy_table(npy(np.asarray(TABLE, dtype=dtype, order=order), version))
    assert np.array_equal(table, TABLE) and table.dtype == dtype


@pytest.mark.parametrize(
    "array",
    [TABLE.astype(float), TABLE[0], TABLE[None], TABLE.astype(str), TABLE.astype([("f", "<i4")]), np.array([[None]])],
    ids=["float", "1-d", "3-d", "text", "fields", "objects"],
)
def test_no_others(array):
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    for read in (npy_table, lambda data: npz_tables(npz(x=array), 10**6)):
        with pytest.raises(ValueError, match="no two-dimensional array of integers"):
            read(buffer.getvalue())


@pytest.mark.parametrize("size", [0, 5, 9, 40, -1])
def test_cut_short(size):
    with pytest.raises(ValueError):
        npy_table(npy(TABLE)[:size])
    with pytest.raises(ValueError):
        npz_tables(npz(lut=TABLE)[:size], 10**6)


def test_a_shape_that_is_not_there_takes_no_memory():
    data = npy(TABLE).replace(b"(3, 4), }" + 12 * b" ", b"(300000000, 99999), }")
    assert b"99999" in data
    tracemalloc.start()
    with pytest.raises(ValueError, match="bytes follow"):
        npy_table(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10**6


def test_a_bomb_is_not_unpacked():
    bomb = npz(lut=np.zeros((4096, 4096), np.int32))
    assert len(bomb) < 10**5
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"would unpack to 671\d+ bytes; 1000000 were the most"):
        npz_tables(bomb, 10**6, ("lut",))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10**6
    many = npz(**{f"a{i}": np.zeros((500, 500), np.int32) for i in range(10)})
    with pytest.raises(ValueError, match="would unpack"):
        npz_tables(many, 5 * 10**6)


def test_a_size_that_lies_is_not_believed():
    data = bytearray(npz(lut=np.zeros((1024, 1024), np.int32)))
    size = (4 * 2**20 + 128).to_bytes(4, "little")
    assert data.count(size) >= 1
    with pytest.raises(ValueError):
        npz_tables(bytes(data.replace(size, (1000).to_bytes(4, "little"))), 2000)


def test_archives_of_other_kinds():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("lut.npy", npy(TABLE))
        for i in range(10_001):
            archive.writestr(f"{i}.npy", b"")
    with pytest.raises(ValueError, match="more than 10000 arrays"):
        npz_tables(buffer.getvalue(), 10**6, ("lut",))
    with pytest.raises(ValueError, match="lut"):
        npz_tables(npz(other=TABLE), 10**6, ("lut",))
    assert list(npz_tables(npz(a=TABLE, b=TABLE.T), 10**6)) == ["a", "b"]


def test_int32():
    assert as_int32(np.array([[2**31 - 1, -(2**31)]])).dtype == np.int32
    for beyond in (2**31, -(2**31) - 1):
        with pytest.raises(ValueError, match="beyond int32"):
            as_int32(np.array([[beyond, 0]]))


def test_only_regular_files_of_bounded_size(tmp_path):
    (tmp_path / "f").write_bytes(b"12345")
    assert read_bytes(tmp_path / "f", 5) == b"12345"
    os.mkfifo(tmp_path / "pipe")
    for path, words in (
        ("f", "more than 4 bytes"),
        (".", "no regular file"),
        ("pipe", "no regular"),
        ("none", "No such"),
    ):
        with pytest.raises(ValueError, match=words):
            read_bytes(tmp_path / path, 4)
