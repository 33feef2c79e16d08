"""A catalog's four files, damaged at random, by accident or by design (hashes made right again): CatalogError only."""

import json
import re
import warnings
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lut_gen.catalog import COLUMNS, Catalog, Multiplier
from lut_gen.errors import CatalogError
from lut_gen.files import npz_bytes, sha256
from lut_gen.netlist import Gate, Netlist
from lut_gen.pareto import compared, fronts
from tests.fuzz.mutations import TRIES, mutated

LUT = npz_bytes(lut=np.outer(range(4), range(4)).astype(np.int32))
NETLIST = Netlist((2, 3), (4, 5), (6, 7), (Gate("and2", {"A": 2, "B": 4}, {"X": 6}), Gate("inv", {"A": 6}, {"Y": 7})))
HEADER = {"schema_version": 1, "technology": {"file": "l.lib", "sha256": "0" * 64}, "tools": {"yosys": "0.70"}}
ROW = dict.fromkeys(COLUMNS, "1.5") | {
    **{"name": "m2", "family": "f", "parameters": '"{""A"": 2}"', "a_bits": "2", "b_bits": "2", "signed": "False"},
    **{"recipe": "abc", "source_sha256": "1" * 64, "identity": "2" * 64},
    **{"lut_sha256": sha256(LUT), "netlist_sha256": sha256(NETLIST.to_json().encode())},
}
INDEX = (",".join(COLUMNS) + "\n" + ",".join(ROW.values()) + "\n").encode()
FILES = {
    "catalog.json": json.dumps(HEADER).encode(),
    "index.csv": INDEX + INDEX.splitlines()[1].replace(b"m2", b"m3") + b"\n",
    "luts/m2.npz": LUT,
    "netlists/m2.json": NETLIST.to_json().encode(),
}
WORDS = {
    "catalog.json": [
        b"{",
        b"[" * 3000,
        b"null",
        b"1e999",
        b'"technology"',
        b"\xff",
        b"99",
        b'"tools": {}',
        b"true",
        b",",
    ],
    "index.csv": [
        *(
            b"../../x",
            b"/etc/passwd",
            b"\0",
            b'"',
            b",",
            b"\n",
            b"nan",
            b"inf",
            b"-1",
            b"99999999999999999999",
            b"True",
        ),
        *(b"m2", b"\xff", b"\r", b"1e400", b"0", b"20", b"3", b"1" * 64, b"name", b"{" * 2000, b"#"),
    ],
    "luts/m2.npz": [
        b"PK\x05\x06",
        b"PK\x01\x02",
        b"PK\x03\x04",
        b"\x93NUMPY",
        b"|O",
        b"(4, 4)",
        b"<i8",
        b"\xff\xff\xff\xff",
    ],
    "netlists/m2.json": [
        b"[",
        b"]" * 9,
        b"[" * 3000,
        b"{",
        b"1",
        b"99999999",
        b"null",
        b'"A":',
        b"-1",
        b"1.5",
        b"true",
        b",",
    ],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fuzz") / "c"
    for name, data in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def read_everything(folder):
    """All that readers of a catalog do."""
    catalog = Catalog.load(folder)
    fronts(catalog.table)
    for multiplier in catalog:
        read_multiplier(multiplier)
    for signed in (False, True):
        compared(catalog, signed)


def read_multiplier(multiplier):
    parts = (
        lambda: (
            multiplier.lut.shape == (2**multiplier.a_bits, 2**multiplier.b_bits) and multiplier.lut.dtype == np.int32
        ),
        lambda: (len(multiplier.netlist.a), len(multiplier.netlist.b)) == (multiplier.a_bits, multiplier.b_bits),
        lambda: all(type(value) is int for value in multiplier.parameters.values()),
        lambda: len(multiplier.contents()) == 2,
        lambda: multiplier.sign_magnitude_energy_fj == multiplier.sign_magnitude_energy_fj,
    )
    for part in parts:
        with suppress(CatalogError):
            assert part()


def test_the_sound_one_is_read(folder):
    read_everything(folder)
    multiplier = Catalog.load(folder)["m2"]
    assert multiplier.lut[3, 3] == 9 and multiplier.netlist == NETLIST and multiplier.parameters == {"A": 2}


@pytest.mark.parametrize(
    ("name", "hashed"), [*((name, False) for name in FILES), ("luts/m2.npz", True), ("netlists/m2.json", True)]
)
def test_only_catalog_errors(folder, name, hashed):
    """`hashed`: the hash is made right, as one who damages on purpose would."""
    figures = Catalog.load(folder)["m2"].figures

    @TRIES
    @given(mutated([FILES[name]], WORDS[name]))
    def damaged(data):
        (folder / name).write_bytes(data)
        with warnings.catch_warnings(), suppress(CatalogError):
            warnings.simplefilter("error")
            if name in ("index.csv", "catalog.json"):
                read_everything(folder)
            elif hashed:
                column = "lut_sha256" if name.endswith("npz") else "netlist_sha256"
                read_multiplier(Multiplier(folder, figures | {column: sha256(data)}))
            else:
                read_multiplier(Multiplier(folder, figures))

    try:
        damaged()
    finally:
        for known, data in FILES.items():
            (folder / known).write_bytes(data)


FIELDS = st.one_of(
    st.sampled_from(
        ["../../x", "/x", "..", ".", "", "a/b", "m2", "\0", "a" * 300, "nan", "inf", "-1", "1", "31", "1e9", "é"]
    ),
    st.text(st.characters(exclude_characters=',"\n\r', exclude_categories=["Cs"]), max_size=20),
)


def test_fields_of_a_row_replaced(folder):
    @TRIES
    @given(st.dictionaries(st.sampled_from(COLUMNS), FIELDS, min_size=1, max_size=3))
    def replaced(fields):
        row = ",".join({**ROW, **fields}.values())
        (folder / "index.csv").write_text(",".join(COLUMNS) + "\n" + row + "\n")
        try:
            catalog = Catalog.load(folder)
        except CatalogError:
            return
        assert all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}", multiplier.name) for multiplier in catalog)
        read_everything(folder)

    try:
        replaced()
    finally:
        (folder / "index.csv").write_bytes(FILES["index.csv"])
