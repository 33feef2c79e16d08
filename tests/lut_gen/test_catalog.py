"""The catalog on disk: lazy, typed, and a CatalogError for whatever is missing or damaged."""

import csv
import io
import json
import os
import shutil

import numpy as np
import pytest

from lut_gen.catalog import COLUMNS, Catalog
from lut_gen.characterize import build
from lut_gen.design import Design
from lut_gen.errors import CatalogError
from lut_gen.files import npz_bytes, sha256

MODULE = "module m (input {s} [{a}:0] a, input {s} [{b}:0] b, output {s} [{y}:0] y); assign y = a * b; endmodule\n"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A catalog of two small multipliers: ours_u (3x2, unsigned) and ours_s (2x2, signed)."""
    folder = tmp_path_factory.mktemp("catalog")
    designs = []
    for name, sign, a, b in (("ours_u", "", 3, 2), ("ours_s", "signed", 2, 2)):
        source = folder / f"{name}.v"
        source.write_text(MODULE.format(s=sign, a=a - 1, b=b - 1, y=a + b - 1))
        designs.append(Design(name, "NA", (source,), "m"))
    assert [outcome.error for outcome in build(designs, folder / "c", jobs=1)] == [None, None]
    return folder / "c"


@pytest.fixture
def folder(built, tmp_path):
    """A copy to damage."""
    return shutil.copytree(built, tmp_path / "c")


def test_what_a_catalog_holds(built):
    catalog = Catalog.load(str(built))
    assert len(catalog) == 2 and "ours_u" in catalog and "nope" not in catalog
    assert [multiplier.name for multiplier in catalog] == ["ours_u", "ours_s"]
    assert tuple(catalog.table.columns) == COLUMNS
    assert catalog.table["signed"].tolist() == [False, True]
    assert catalog.table["family"].tolist() == ["NA", "NA"]  # a text like any other
    unsigned, signed = catalog
    assert np.array_equal(unsigned.lut, np.outer(range(8), range(4)))
    assert unsigned.lut.dtype == np.int32 and not unsigned.lut.flags.writeable
    assert np.array_equal(signed.lut, np.outer([0, 1, -2, -1], [0, 1, -2, -1]))
    assert (unsigned.a_bits, unsigned.b_bits, unsigned.signed, unsigned.parameters) == (3, 2, False, {})
    assert unsigned.sign_magnitude_energy_fj == unsigned.energy_fj + unsigned.sign_energy_fj > unsigned.energy_fj
    assert signed.sign_magnitude_energy_fj == signed.energy_fj > 0
    with pytest.raises(AttributeError):
        _ = unsigned.no_such_column


def test_the_netlist_gives_the_table(built, technology):
    for multiplier in Catalog.load(built):
        assert np.array_equal(multiplier.netlist.table(technology.cells, multiplier.signed), multiplier.lut)


def test_tables_and_netlists_are_read_when_asked_for(folder):
    catalog = Catalog.load(folder)
    shutil.rmtree(folder / "luts")
    shutil.rmtree(folder / "netlists")
    multiplier = catalog["ours_u"]
    assert multiplier.energy_fj > 0
    with pytest.raises(CatalogError, match=r"ours_u\.npz is damaged"):
        _ = multiplier.lut
    with pytest.raises(CatalogError, match=r"ours_u\.json is damaged"):
        _ = multiplier.netlist


def test_a_name_that_is_not_there(built):
    with pytest.raises(CatalogError, match=r"(?s)no 'ours_x'; it has ours_u, ours_s.*agn-hw catalog"):
        Catalog.load(built)["ours_x"]
    with pytest.raises(CatalogError, match="no 'nope'; it has ours_u"):
        Catalog.load(built)["nope"]


def test_no_catalog(tmp_path):
    for path in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(CatalogError, match=r"no catalog\.json.*\n.*agn-hw luts"):
            Catalog.load(path)


HEADERS = ["", "[]", "{}", '{"schema_version": 1}', "\0", '{"schema_version": 1, "technology": 3}']


@pytest.mark.parametrize("text", HEADERS)
def test_damaged_header(folder, text):
    (folder / "catalog.json").write_text(text)
    with pytest.raises(CatalogError, match=r"(?s)catalog\.json is damaged.*delete the folder, or build into another"):
        Catalog.load(folder)


def test_another_schema(folder):
    (folder / "catalog.json").write_text(json.dumps({"schema_version": 7}))
    with pytest.raises(CatalogError, match=r"schema version 1.*\n.*has version 7"):
        Catalog.load(folder)


def cut(text, by):
    return text[:-by]


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "",
        lambda text: text[: len(text) // 2],
        lambda text: cut(text, 1),
        lambda text: cut(text, 10),
        lambda text: cut(text, 10) + "\n",
        lambda text: cut(text, 90) + "\n",
        lambda text: text.replace("energy_fj", "energy"),
        lambda text: text.replace(",3,2,False,", ",3,two,False,"),
        lambda text: text.replace(",3,2,False,", ",3,2,perhaps,"),
        lambda text: text.replace(",3,2,False,", ",3,,False,"),
        lambda text: text + "a,row,of,another,length" + 99 * ",",
    ],
)
def test_damaged_index(folder, damage):
    path = folder / "index.csv"
    path.write_text(damage(path.read_text()))
    with pytest.raises(CatalogError, match=r"index\.csv is damaged"):
        Catalog.load(folder)


def test_missing_index(folder):
    (folder / "index.csv").unlink()
    with pytest.raises(CatalogError, match=r"index\.csv is damaged"):
        Catalog.load(folder)


@pytest.mark.parametrize("size", [0, 1, 100, -1])
def test_a_table_cut_short(folder, size):
    path = folder / "luts" / "ours_u.npz"
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(CatalogError, match=r"ours_u\.npz is damaged"):
        _ = Catalog.load(folder)["ours_u"].lut


def test_a_flipped_bit_in_table_or_netlist(folder):
    for path in (folder / "luts" / "ours_s.npz", folder / "netlists" / "ours_s.json"):
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(bytes(data))
    multiplier = Catalog.load(folder)["ours_s"]
    with pytest.raises(CatalogError, match="sha256"):
        _ = multiplier.lut
    with pytest.raises(CatalogError, match="sha256"):
        _ = multiplier.netlist


@pytest.mark.parametrize(
    "data",
    [
        npz_bytes(lut=np.zeros((8, 4), np.int64)),
        npz_bytes(lut=np.zeros((4, 8), np.int32)),
        npz_bytes(table=np.zeros((8, 4), np.int32)),
        npz_bytes(lut=np.zeros((8, 4), np.int32))[:-30],
        b"no archive",
    ],
    ids=["dtype", "shape", "key", "cut", "no archive"],
)
def test_a_table_of_another_form_with_the_right_hash(folder, data):
    index = folder / "index.csv"
    path = folder / "luts" / "ours_u.npz"
    index.write_text(index.read_text().replace(sha256(path.read_bytes()), sha256(data)))
    path.write_bytes(data)
    with pytest.raises(CatalogError, match=r"ours_u\.npz is damaged"):
        _ = Catalog.load(folder)["ours_u"].lut


def test_a_netlist_of_another_form_with_the_right_hash(folder):
    index, path, data = folder / "index.csv", folder / "netlists" / "ours_u.json", b'{"schema_version": 1}'
    index.write_text(index.read_text().replace(sha256(path.read_bytes()), sha256(data)))
    path.write_bytes(data)
    with pytest.raises(CatalogError, match="a netlist file"):
        _ = Catalog.load(folder)["ours_u"].netlist


def test_the_same_arrays_give_the_same_bytes():
    lut = np.arange(12, dtype=np.int32).reshape(4, 3)
    assert npz_bytes(lut=lut) == npz_bytes(lut=lut.copy())


def row_of(folder, name):
    """A catalog's index as text, and the row of a multiplier in it."""
    text = (folder / "index.csv").read_text()
    return text, next(line for line in text.splitlines(keepends=True) if line.startswith(f"{name},"))


@pytest.mark.parametrize(
    "name", ["../../x", "/etc/passwd", "..", ".hidden", "", "a/b", "a\\b", "-o", "x" * 101, '"a\nb"', "a b", "u\0", "é"]
)
def test_names_that_are_no_names(folder, name):
    text, row = row_of(folder, "ours_u")
    (folder / "index.csv").write_text(text.replace(row, row.replace("ours_u", name, 1)))
    with pytest.raises(CatalogError, match=r"(?s)index\.csv is damaged.*no multiplier's name"):
        Catalog.load(folder)


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("a_bits", "19", "operands of 19 and 2 bits"),
        ("a_bits", "1000000", "operands of 1000000"),
        ("a_bits", "9223372036854775807", "index.csv is damaged"),
        ("a_bits", "99999999999999999999", "index.csv is damaged"),
        ("b_bits", "0", "operands of 3 and 0"),
        ("a_bits", "-3", "operands of -3"),
        ("lut_sha256", "../../x", "no sha256"),
        ("netlist_sha256", "short", "no sha256"),
        ("energy_fj", "nan", "energy_fj of ours_u is nan"),
        ("energy_fj", "inf", "energy_fj of ours_u is inf"),
        ("mae", "nan", "mae of ours_u is nan"),
        ("mae", "x", "index.csv is damaged"),
    ],
)
def test_columns_that_cannot_be(folder, column, value, words):
    text, row = row_of(folder, "ours_u")
    cells = next(csv.reader([row]))
    cells[COLUMNS.index(column)] = value
    changed = ",".join('"' + cell.replace('"', '""') + '"' for cell in cells) + "\n"
    (folder / "index.csv").write_text(text.replace(row, changed))
    with pytest.raises(CatalogError, match=words):
        Catalog.load(folder)


def test_a_name_that_stands_twice(folder):
    text, row = row_of(folder, "ours_u")
    (folder / "index.csv").write_text(text + row)
    with pytest.raises(CatalogError, match="'ours_u' stands twice"):
        Catalog.load(folder)


def replace_file(folder, path, data):
    """Puts `data` where `path` was, with its hash in the index."""
    index = folder / "index.csv"
    index.write_text(index.read_text().replace(sha256(path.read_bytes()), sha256(data)))
    path.write_bytes(data)


def test_a_bomb_with_the_right_hash_is_not_unpacked(folder):
    bomb = npz_bytes(lut=np.zeros((2**12, 2**12), np.int32))
    replace_file(folder, folder / "luts" / "ours_u.npz", bomb)
    with pytest.raises(CatalogError, match="would unpack to"):
        _ = Catalog.load(folder)["ours_u"].lut


def test_pickled_objects_are_not_unpickled(folder, tmp_path):
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "made"),)

    buffer = io.BytesIO()
    np.savez(buffer, lut=np.array([Evil()], dtype=object), allow_pickle=True)
    replace_file(folder, folder / "luts" / "ours_u.npz", buffer.getvalue())
    with pytest.raises(CatalogError, match="no two-dimensional array of integers"):
        _ = Catalog.load(folder)["ours_u"].lut
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("name", ["catalog.json", "index.csv", "luts/ours_u.npz", "netlists/ours_u.json"])
@pytest.mark.parametrize("kind", ["link out", "link in a ring", "pipe", "folder", "large", "not UTF-8", "deep"])
def test_things_in_a_files_place(folder, tmp_path, name, kind):
    path = folder / name
    data = path.read_bytes()
    path.unlink()
    if kind == "link out":
        (tmp_path / "outside").write_bytes(data)
        path.symlink_to(tmp_path / "outside")
    elif kind == "link in a ring":
        path.symlink_to(path)
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "large":
        with path.open("wb") as sink:
            sink.truncate(2**40)  # takes no room on the disk
    else:
        path.write_bytes(data)
        replace_file(folder, path, b"\xff\xfe{" if kind == "not UTF-8" else b"[" * 50_000)
    with pytest.raises(CatalogError):
        multiplier = Catalog.load(folder)["ours_u"]
        _ = multiplier.lut, multiplier.netlist


def test_links_within_and_to_the_folder_are_followed(folder, tmp_path):
    (folder / "luts" / "ours_u.npz").rename(folder / "kept.npz")
    (folder / "luts" / "ours_u.npz").symlink_to(folder / "kept.npz")
    (tmp_path / "link").symlink_to(folder)
    assert Catalog.load(tmp_path / "link")["ours_u"].lut[7, 3] == 21


def test_a_netlist_of_other_widths(folder):
    other = (folder / "netlists" / "ours_s.json").read_bytes()
    replace_file(folder, folder / "netlists" / "ours_u.json", other)
    with pytest.raises(CatalogError, match=r"operands of 2 and 2 bits, unlike index\.csv"):
        _ = Catalog.load(folder)["ours_u"].netlist


@pytest.mark.parametrize("parameters", ["", "3", "[1]", '{"A": "x"}', '{"A": 1.5}', "{", "[" * 5000])
def test_parameters_that_are_none(folder, parameters):
    text, row = row_of(folder, "ours_u")
    assert ",{}," in row
    quoted = '"' + parameters.replace('"', '""') + '"'
    (folder / "index.csv").write_text(text.replace(row, row.replace(",{},", f",{quoted},")))
    with pytest.raises(CatalogError, match="the parameters of ours_u"):
        _ = Catalog.load(folder)["ours_u"].parameters


@pytest.mark.parametrize("column", ["family", "parameters", "recipe"])
@pytest.mark.parametrize("value", ["a\rb", "a\nb", "a\r\nb", "\x1b[31m", "a\tb", "\x7f", "a\u2028b", "\u202e"])
def test_characters_that_cannot_be_printed(folder, column, value):
    """Quoted line ends are part of the field, which is refused by its name; nothing reaches the terminal raw."""
    text, row = row_of(folder, "ours_u")
    cells = next(csv.reader([row]))
    cells[COLUMNS.index(column)] = value
    changed = ",".join(f'"{cell}"' for cell in cells) + "\n"
    (folder / "index.csv").write_bytes(text.replace(row, changed).encode())
    with pytest.raises(CatalogError, match=f"the {column} of ours_u holds characters that cannot be printed") as error:
        Catalog.load(folder)
    assert repr(value) in str(error.value) and value not in str(error.value)


def test_parameters_and_versions_that_cannot_be_printed(folder):
    text, row = row_of(folder, "ours_u")
    (folder / "index.csv").write_text(text.replace(row, row.replace(",{},", r""","{""\u001b[31m"": 1}",""")))
    with pytest.raises(CatalogError, match="the parameters of ours_u"):
        _ = Catalog.load(folder)["ours_u"].parameters
    (folder / "catalog.json").write_text(json.dumps({"schema_version": "\x1b[31m"}))
    with pytest.raises(CatalogError, match="schema version 1") as error:
        Catalog.load(folder)
    assert "\x1b" not in str(error.value)


def test_rows_as_text(folder):
    catalog = Catalog.load(folder)
    rows = catalog.text_rows()
    assert list(rows) == ["ours_u", "ours_s"] and rows["ours_u"]["signed"] == "False"
    assert float(rows["ours_u"]["energy_fj"]) == catalog["ours_u"].energy_fj
