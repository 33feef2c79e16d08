"""Catalogs merged: the union, the same whatever the order, whole or not at all."""

import itertools
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lut_gen.catalog import Catalog
from lut_gen.errors import CatalogError
from lut_gen.exchange.merge import merge
from tests.lut_gen.tables_on_disk import TECHNOLOGY, catalog_of, entry

ROOT = Path(__file__).resolve().parents[3]
A, B, C = (entry(name, np.outer(range(4), range(4)) + i, energy=1 / 3 + i) for i, name in enumerate("abc"))


def tree(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_the_union_in_any_order_is_the_same_bytes(tmp_path):
    folders = [tmp_path / str(i) for i in range(3)]
    for folder, entries in zip(folders, [(C, A), (B,), (A, B)], strict=True):
        catalog_of(folder, *entries)
    trees = []
    for i, order in enumerate(itertools.permutations(folders)):
        merged = merge(list(order), tmp_path / f"m{i}")
        assert [m.name for m in merged] == ["a", "b", "c"]
        trees.append(tree(merged.path))
    assert all(found == trees[0] for found in trees)
    assert trees[0] == tree(catalog_of(tmp_path / "one", A, B, C).path)
    for multiplier in merged:
        assert np.array_equal(
            multiplier.lut, Catalog.load(folders[0 if multiplier.name != "b" else 1])[multiplier.name].lut
        )
        assert multiplier.netlist.nets == 7
    assert not list(tmp_path.glob(".*"))


def test_one_alone_is_copied_to_an_empty_folder(tmp_path):
    one = catalog_of(tmp_path / "1", A)
    (tmp_path / "m").mkdir()
    assert tree(merge([tmp_path / "1"], tmp_path / "m").path) == tree(one.path)


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"technology": {**TECHNOLOGY, "sha256": "c" * 64}}, "same technology"),
        ({"technology": {**TECHNOLOGY, "file": "other.lib"}}, "same technology"),
        ({"tools": {"yosys": "0.71", "evaluator": 1}}, "same tools"),
    ],
)
def test_figures_that_do_not_compare(tmp_path, other, words):
    catalog_of(tmp_path / "1", A)
    catalog_of(tmp_path / "2", B, **other)
    refused(tmp_path, words)


def refused(folder, words, names=("1", "2")):
    before = tree(folder)
    with pytest.raises(CatalogError, match=words):
        merge([folder / name for name in names], folder / "m")
    assert tree(folder) == before and not (folder / "m").exists() and not list(folder.glob(".*"))


def test_one_name_with_two_contents(tmp_path):
    catalog_of(tmp_path / "1", A, B)
    catalog_of(tmp_path / "2", C, entry("b", np.outer(range(4), range(4))))
    refused(tmp_path, r"(?s)called 'b'.*/1 and .*/2 have different ones.*rename")
    shutil.rmtree(tmp_path / "2")
    damaged = entry("b", np.outer(range(4), range(4)) + 1, energy=77.0, identity=B.row["identity"])
    catalog_of(tmp_path / "2", damaged)
    refused(tmp_path, r"(?s)the same design, but not the same energy_fj: one is damaged")


@pytest.mark.parametrize("file", ["luts/b.npz", "netlists/b.json", "index.csv", "catalog.json"])
def test_damage_is_found_first(tmp_path, file):
    catalog_of(tmp_path / "1", A)
    catalog_of(tmp_path / "2", B)
    data = (tmp_path / "2" / file).read_bytes()
    (tmp_path / "2" / file).write_bytes(data[:-2])
    refused(tmp_path, "damaged")
    (tmp_path / "2" / file).unlink()
    refused(tmp_path, r"damaged|no catalog\.json")


def test_nothing_is_overwritten(tmp_path):
    catalog_of(tmp_path / "1", A)
    catalog_of(tmp_path / "2", B)
    before = tree(tmp_path)
    (tmp_path / "file").write_text("x")
    for output in ("1", "2", "file", "file/below"):
        with pytest.raises(CatalogError):
            merge([tmp_path / "1", tmp_path / "2"], tmp_path / output)
    (tmp_path / "file").unlink()
    assert tree(tmp_path) == before


KILLED = """
import os, signal, sys
from pathlib import Path
from lut_gen import files
from lut_gen.exchange import merge
left, write = int(sys.argv[1]), files.write_atomically
def counted(path, data):
    global left
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1
    write(path, data)
files.write_atomically = counted
merge.merge([Path("1"), Path("2")], Path("m"))
"""


@pytest.mark.parametrize("writes", [0, 1, 3, 5, 6])
def test_a_killed_merge_leaves_none_or_the_whole(tmp_path, writes):
    catalog_of(tmp_path / "1", A)
    catalog_of(tmp_path / "2", B)
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    code = subprocess.run([sys.executable, "-c", KILLED, str(writes)], cwd=tmp_path, env=env, timeout=60).returncode
    assert code == (0 if writes == 6 else -signal.SIGKILL)
    if writes < 6:
        assert not (tmp_path / "m").exists()
        merge([tmp_path / "1", tmp_path / "2"], tmp_path / "m")
    assert [m.name for m in Catalog.load(tmp_path / "m")] == ["a", "b"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["1", "2", "m"]
