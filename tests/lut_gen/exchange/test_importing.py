"""Tables of other projects: every form to the same table, every damage a CatalogError, costs only as given."""

import io
import math

import numpy as np
import pytest

from lut_gen.catalog import Catalog
from lut_gen.characterize import build
from lut_gen.design import Design
from lut_gen.errors import CatalogError
from lut_gen.exchange.export import c_header, csv, torch_approx
from lut_gen.exchange.importing import import_tables, read_figures, read_tables
from lut_gen.metrics import error_metrics, exact_table
from tests.lut_gen.exchange.test_export import random_table
from tests.lut_gen.tables_on_disk import catalog_of, entry


def npy(array, **kwargs):
    buffer = io.BytesIO()
    np.save(buffer, array, **kwargs)
    return buffer.getvalue()


UNSIGNED, SIGNED = random_table(8, 8, False), random_table(8, 8, True)


@pytest.mark.parametrize("form", ["npy", "h", "csv"])
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("weight_first", [False, True])
def test_there_and_back(tmp_path, form, signed, weight_first):
    lut = random_table(8, 8, signed)
    multiplier = catalog_of(tmp_path / "c", entry("m", lut, signed=signed))["m"]
    data = {"npy": torch_approx, "h": c_header, "csv": csv}[form](multiplier, weight_first)
    path = tmp_path / f"m.{form}"
    path.write_bytes(data)
    back = import_tables([path], tmp_path / "back", weight_first=weight_first)["m"]
    if form == "npy" and not signed:  # torch-approx' table of an unsigned multiplier holds its signs
        assert back.signed and np.array_equal(back.lut[:128, :128], lut[:128, :128]) and back.lut[255, 3] == -lut[1, 3]
    else:
        assert back.signed == signed and np.array_equal(back.lut, lut)
        assert back.mae == pytest.approx(error_metrics(lut, signed)["mae"])


def test_narrow_tables_from_csv_and_header(tmp_path):
    multiplier = catalog_of(tmp_path / "c", entry("m", random_table(4, 3, True), signed=True))["m"]
    for form, data in (("csv", csv(multiplier, False)), ("h", c_header(multiplier, False))):
        (tmp_path / f"m.{form}").write_bytes(data)
        table = read_tables(tmp_path / f"m.{form}")["m"]
        assert np.array_equal(table.lut, multiplier.lut) and table.signed in (True, None)
    rows = csv(multiplier, False).decode().splitlines()  # rows of a spreadsheet sorted by value
    (tmp_path / "sorted.csv").write_text("\n".join([rows[0], *sorted(rows[1:], key=lambda r: int(r.split(",")[0]))]))
    assert np.array_equal(read_tables(tmp_path / "sorted.csv")["sorted"].lut, multiplier.lut)


def test_a_header_as_adapt_writes_it(tmp_path):
    rows = "},\n".join("{" + ", ".join(map(str, row)) for row in SIGNED.tolist())
    (tmp_path / "mul8s_x.h").write_text(f"#include <stdint.h>\n\nconst int16_t lut [256][256] = {{{rows}}}}};\n")
    assert np.array_equal(read_tables(tmp_path / "mul8s_x.h")["mul8s_x"].lut, SIGNED)


def test_a_binary_as_tfapprox_writes_it(tmp_path):
    data = b"".join(int(UNSIGNED[a, b]).to_bytes(2, "little") for a in range(256) for b in range(256))
    (tmp_path / "m.bin").write_bytes(data)
    table = read_tables(tmp_path / "m.bin")["m"]
    assert np.array_equal(table.lut, UNSIGNED) and table.signed is False
    assert np.array_equal(read_tables(tmp_path / "m.bin", weight_first=True)["m"].lut, UNSIGNED.T)


def test_an_imported_catalog_says_what_it_lacks(tmp_path):
    np.savez_compressed(tmp_path / "t.npz", u=UNSIGNED, s=SIGNED.astype(np.int64))
    (tmp_path / "f.csv").write_text("name,power_mw,energy_fj,area_um2\ns,0.3,12.5,\n")
    figures = read_figures(tmp_path / "f.csv")
    assert figures == {"s": {"energy_fj": 12.5}}
    catalog = import_tables([tmp_path / "t.npz"], tmp_path / "c", figures, technology="45 nm")
    assert catalog.header["technology"]["file"] == "45 nm" and [m.name for m in catalog] == ["s", "u"]
    signed, unsigned = catalog
    assert signed.signed and not unsigned.signed and np.array_equal(unsigned.lut, UNSIGNED)
    assert signed.sign_magnitude_energy_fj == 12.5 and math.isnan(signed.area_um2) and math.isnan(unsigned.energy_fj)
    with pytest.raises(CatalogError, match="without energy_fj or sign_energy_fj"):
        _ = unsigned.sign_magnitude_energy_fj
    with pytest.raises(CatalogError, match="imported as a bare table"):
        _ = unsigned.netlist
    assert not (tmp_path / "c" / "netlists").exists()
    again = import_tables([tmp_path / "t.npz"], tmp_path / "d", figures, technology="45 nm")
    for file in ("catalog.json", "index.csv", "luts/s.npz", "luts/u.npz"):
        assert (catalog.path / file).read_bytes() == (again.path / file).read_bytes()


def test_it_does_not_mix_with_what_is_built(tmp_path):
    (tmp_path / "m.npy").write_bytes(npy(UNSIGNED))
    import_tables([tmp_path / "m.npy"], tmp_path / "c")
    with pytest.raises(CatalogError, match="built with unknown, another library"):
        next(build([Design("d", "f", (tmp_path / "d.v",), "d")], tmp_path / "c", jobs=1))
    assert [m.name for m in Catalog.load(tmp_path / "c")] == ["m"]


def test_the_literatures_tables(evoapprox, tmp_path):
    catalog = import_tables([evoapprox / "tables.npz"], tmp_path / "c", read_figures(evoapprox / "figures.csv"))
    with np.load(evoapprox / "tables.npz", allow_pickle=False) as tables:
        assert len(catalog) == len(tables.files)
        for multiplier in catalog:
            assert np.array_equal(multiplier.lut, tables[multiplier.name])
            assert multiplier.signed == multiplier.name.startswith("mul8s") and multiplier.area_um2 >= 0


GOOD_CSV = "a\\b,0,1\n0,0,0\n1,0,1\n"
GOOD_H = "const int16_t lut[2][2] = {{0,0},{0,1}};"
BAD = {
    "objects.npy": npy(np.array([[None, 1]]), allow_pickle=True),
    "float.npy": npy(np.zeros((4, 4))),
    "one.npy": npy(np.zeros(16, int)),
    "three.npy": npy(np.zeros((4, 3), int)),
    "none.npy": npy(np.zeros((0, 4), int)),
    "single.npy": npy(np.zeros((1, 4), int)),
    "wide.npy": npy(np.zeros((2**11, 2**10), np.int8)),
    "beyond.npy": npy(np.full((4, 4), 2**40)),
    "text.npy": b"hello",
    "text.npz": b"hello",
    "gap.csv": GOOD_CSV.replace("1,0,1", "2,0,1").encode(),
    "twice.csv": GOOD_CSV.replace("1,0,1", "0,0,1").encode(),
    "ragged.csv": GOOD_CSV.replace("1,0,1", "1,0").encode(),
    "words.csv": GOOD_CSV.replace("1,0,1", "1,0,x").encode(),
    "huge.csv": GOOD_CSV.replace("1,0,1", "1,0," + "9" * 5000).encode(),
    "beyond.csv": GOOD_CSV.replace("1,0,1", "1,0,9999999999").encode(),
    "empty.csv": b"",
    "nul.csv": b"\0,0\n",
    "bytes.csv": b"\xff\xfe",
    "few.h": GOOD_H.replace("0,1}", "0}").encode(),
    "none.h": b"int x;",
    "two.h": (GOOD_H + GOOD_H).encode(),
    "commented.h": f"/* {GOOD_H} */".encode(),
    "code.h": GOOD_H.replace("0,1}", "0,f(1)}").encode(),
    "short.bin": b"\0" * 131070,
    "long.bin": b"\0" * 131074,
    "what.pt": b"",
    "..npy": npy(UNSIGNED),
    "a b.npy": npy(UNSIGNED),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_table(tmp_path, name):
    (tmp_path / name).write_bytes(BAD[name])
    with pytest.raises(CatalogError, match="tables in"):
        import_tables([tmp_path / name], tmp_path / "c")
    assert not (tmp_path / "c").exists() and not list(tmp_path.glob(".*.new"))


def test_the_good_ones_of_these_are_read(tmp_path):
    for name, text in (("m.csv", GOOD_CSV), ("m.h", GOOD_H)):
        (tmp_path / name).write_text(text)
        assert np.array_equal(read_tables(tmp_path / name)["m"].lut, exact_table(1, 1, False))


def test_names_out_of_an_archive_stay_names(tmp_path):
    np.savez(tmp_path / "t.npz", **{"../../evil": UNSIGNED})
    with pytest.raises(CatalogError, match="evil' is no multiplier's name"):
        import_tables([tmp_path / "t.npz"], tmp_path / "c")


def test_names_and_folders_in_use(tmp_path):
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "m.npy").write_bytes(npy(UNSIGNED))
    with pytest.raises(CatalogError, match="'m' stands twice"):
        import_tables([tmp_path / "x" / "m.npy", tmp_path / "y" / "m.npy"], tmp_path / "c")
    with pytest.raises(CatalogError, match="an empty or a new folder"):
        import_tables([tmp_path / "x" / "m.npy"], tmp_path / "y")
    with pytest.raises(CatalogError, match="'n' is none of m"):
        import_tables([tmp_path / "x" / "m.npy"], tmp_path / "c", {"n": {"energy_fj": 1.0}})
    assert not (tmp_path / "c").exists() and [p.name for p in (tmp_path / "y").iterdir()] == ["m.npy"]


@pytest.mark.parametrize(
    "text",
    [
        *("", "name\nm\n", "energy_fj\n3\n", "name,energy_fj\nm,-1\n", "name,energy_fj\nm,nan\n"),
        *("name,energy_fj\nm,x\n", "name,energy_fj\nm,1\nm,2\n", "name,energy_fj\nm,inf\n"),
    ],
)
def test_bad_figures(tmp_path, text):
    (tmp_path / "f.csv").write_text(text)
    with pytest.raises(CatalogError, match="give figures"):
        read_figures(tmp_path / "f.csv")
