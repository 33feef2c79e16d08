"""Files of tables from anywhere, damaged at random: CatalogError only, and what is read is a table."""

import io

import numpy as np
import pytest
from hypothesis import given

from lut_gen.errors import CatalogError
from lut_gen.exchange.importing import read_tables
from tests.fuzz.mutations import TRIES, mutated

TABLE = np.outer(range(4), range(8))


def saved(save, *arrays, **named):
    buffer = io.BytesIO()
    save(buffer, *arrays, **named)
    return buffer.getvalue()


ROWS = "},\n{".join(",".join(map(str, row)) for row in TABLE)
MATRIX = "\n".join(",".join(map(str, [a, *row])) for a, row in enumerate(TABLE))
FILES = {
    "npy": [saved(np.save, TABLE.astype(np.int16)), saved(np.save, np.asfortranarray(TABLE))],
    "npz": [saved(np.savez_compressed, m=TABLE, n=TABLE.T), saved(np.savez, m=TABLE.astype(np.uint8))],
    "csv": [f"a\\b,0,1,2,3,4,5,6,7\n{MATRIX}\n".encode()],
    "h": [f"/* a */ #include <stdint.h>\nstatic const int16_t lut[4][8] = {{\n{{{ROWS}}}}};\n".encode()],
}
WORDS = {
    "npy": [b"'<i4'", b"|O", b"(4, 8)", b"(4,)", b"(99999999, 99999999)", b"True", b"\x93NUMPY\x02\x00", b"\xff\xff"],
    "npz": [
        b"PK\x05\x06",
        b"PK\x01\x02",
        b"PK\x03\x04",
        b"../../x.npy",
        b"\x93NUMPY",
        b"\xff\xff\xff\xff",
        b"\x01\x00",
    ],
    "csv": [
        b",",
        b"\n",
        b'"',
        b"-1",
        b"9" * 30,
        b"9" * 5000,
        b"\0",
        b"\xff",
        b"1.5",
        b"nan",
        b"\r",
        b'"' + b"x" * 140_000,
    ],
    "h": [
        b"/*",
        b"*/",
        b"//",
        b"{",
        b"}",
        b"[4][8]",
        b"[9999999][9999999]",
        b"0x1",
        b"9" * 30,
        b"int8_t ",
        b";",
        b" " * 9999,
    ],
}


@pytest.mark.parametrize("form", FILES)
def test_only_catalog_errors(tmp_path, form):
    path = tmp_path / f"m.{form}"
    for data in FILES[form]:
        path.write_bytes(data)
        assert np.array_equal(read_tables(path)["m"].lut, TABLE)

    @TRIES
    @given(mutated(FILES[form], WORDS[form]))
    def damaged(data):
        path.write_bytes(data)
        try:
            tables = read_tables(path)
        except CatalogError as error:
            assert len(str(error)) < 1000
            return
        for table in tables.values():
            assert table.lut.dtype == np.int32 and table.lut.ndim == 2 and table.lut.flags.c_contiguous
            assert all(size > 1 and size & (size - 1) == 0 for size in table.lut.shape)

    damaged()


@pytest.mark.parametrize(
    ("form", "data"),
    [
        ("h", b"/*" * 2**22),
        ("h", b"/" * 2**23),
        ("h", b"const int16_t lut[2][2] =" + b" " * 2**23),
        ("h", b"const int16_t lut[2][2] = {" + b"1," * 2**22),
        ("h", b"int16_t " * 2**20),
        ("h", b"int16_t" + b" " * 2**23),
        ("h", b"int" + b"1" * 2**23),
        ("csv", b"\n" * 2**23),
        ("csv", b"1," * 2**22),
        ("csv", b"1\n" * 2**22),
        ("csv", b'"' * 2**23),
        ("npz", b"PK\x05\x06" * 2**20),
        ("npz", b"PK\x01\x02" * 2**20 + saved(np.savez, m=TABLE)[-22:]),
        ("h", b" " * (2**24 + 1)),
        ("csv", b" " * (2**24 + 1)),
    ],
    ids=range(15),
)
def test_large_files_of_nothing_are_refused_in_no_time(tmp_path, form, data):
    """Readers that go through all for each piece do not come to the end of these."""
    (tmp_path / f"m.{form}").write_bytes(data)
    with pytest.raises(CatalogError, match="tables in"):
        read_tables(tmp_path / f"m.{form}")
