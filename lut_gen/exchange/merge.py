"""Several catalogs of the same technology and tools -> one."""

from __future__ import annotations

from pathlib import Path

from lut_gen.catalog import COLUMNS, Catalog
from lut_gen.errors import CatalogError
from lut_gen.exchange import new_catalog
from lut_gen.exchange.new_catalog import Entry


def merge(folders: list[Path], output: Path) -> Catalog:
    """Writes the multipliers of all catalogs to a new one, by name; in whatever order they come, the same bytes.

    A multiplier that stands in several with the same row is taken once. Every table and netlist is checked against its
    hash first. Raises CatalogError, with nothing written: for other technologies, tools or schema versions, for one
    name with two contents, for damage, and unless `output` is a new or an empty folder.
    """
    new_catalog.require_free(output)
    catalogs = [Catalog.load(folder) for folder in folders]
    for other in catalogs[1:]:
        _require_same_origin(catalogs[0], other)
    found: dict[str, tuple[Path, Entry]] = {}
    for catalog in catalogs:
        for name, row in catalog.text_rows().items():
            if name not in found:
                found[name] = catalog.path, Entry(row, *catalog[name].contents())
            elif found[name][1].row != row:
                _two_contents(name, found[name][0], found[name][1].row, catalog.path, row)
    new_catalog.write(output, catalogs[0].header, [entry for _, entry in found.values()])
    return Catalog.load(output)


def _require_same_origin(first: Catalog, other: Catalog) -> None:
    for what in ("technology", "tools"):
        ours, theirs = first.header[what], other.header[what]
        if ours != theirs:
            came = f"that of {first.path} is {ours}, that of {other.path} is {theirs}"
            mend = "their figures do not compare: build both with the same library and tools"
            raise CatalogError(f"the same {what} in all catalogs", came, mend)


def _two_contents(name: str, first: Path, row: dict[str, str], other: Path, other_row: dict[str, str]) -> None:
    wanted = f"one multiplier called '{name}'"
    if row["identity"] == other_row["identity"]:
        different = ", ".join(column for column in COLUMNS if row[column] != other_row[column])
        came = f"{first} and {other} have the same design, but not the same {different}: one is damaged"
        raise CatalogError(wanted, came, "build both anew from the list of designs")
    came = (
        f"{first} and {other} have different ones: identities {row['identity'][:12]} and {other_row['identity'][:12]}"
    )
    raise CatalogError(wanted, came, "rename one in its list of designs and build that catalog again")
