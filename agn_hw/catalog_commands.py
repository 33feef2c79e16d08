"""`agn-hw catalog`, `export`, `import` and `merge`: their options, and what they call."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

FORMATS = ("npy", "h", "csv")


def add(commands: Any, catalog: Path) -> None:
    """Adds the commands to argparse's sub-parsers; `catalog` is the folder that they take by default."""
    _add_catalog(commands, catalog)
    _add_export(commands, catalog)
    _add_import(commands)
    _add_merge(commands)


def _add_catalog(commands: Any, catalog: Path) -> None:
    parser = commands.add_parser(
        "catalog",
        help="a catalog's best multipliers as a table or a picture",
        description="Prints the multipliers that are on a Pareto front of energy against mean absolute error, mean "
        "relative error or the error's variance, cheapest first.",
    )
    parser.add_argument("catalog", nargs="?", type=Path, default=catalog, help="default: %(default)s")
    parser.add_argument("--all", action="store_true", help="all rows, each with the fronts among equal widths")
    parser.add_argument("--family", help="only this family")
    parser.add_argument("--csv", action="store_true", help="all rows and columns, comma-separated")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="a picture (.png or .svg) instead: unsigned ones")
    parser.add_argument("--signed", action="store_true", help="with --plot: signed ones")
    parser.set_defaults(run=_catalog)


def _add_export(commands: Any, catalog: Path) -> None:
    parser = commands.add_parser(
        "export",
        help="tables for torch-approx (.npy), C (.h) or spreadsheets (.csv)",
        description="Writes a table a file, [activation][weight] by raw operand patterns. npy: int16 [256, 256] by the "
        "bytes of int8 codes, an unsigned multiplier with its sign outside, as torch-approx takes it.",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="multipliers; default: all")
    parser.add_argument("--catalog", type=Path, default=catalog, help="default: %(default)s")
    parser.add_argument("--format", choices=FORMATS, nargs="+", default=["npy"], help="default: npy")
    parser.add_argument("--weight-first", action="store_true", help="[weight][activation]")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FOLDER")
    parser.set_defaults(run=_export)


def _add_import(commands: Any) -> None:
    parser = commands.add_parser(
        "import",
        help="tables of other projects (.npy .npz .csv .h .bin) -> a catalog without netlists",
        description="Takes tables as they are: what they cost is unknown but for the figures given, and there is no "
        "netlist, so no energy under a layer's operands and no check on the RTL. With the Verilog at hand use `luts`.",
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument(
        "--figures",
        type=Path,
        metavar="CSV",
        help="costs: a column `name` and any of energy_fj, area_um2, delay_ns ...",
    )
    parser.add_argument("--technology", default="unknown", metavar="TEXT", help="what these figures belong to")
    parser.add_argument("--weight-first", action="store_true", help="the tables' first index is the weight")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="CATALOG", help="a new folder")
    parser.set_defaults(run=_import)


def _add_merge(commands: Any) -> None:
    parser = commands.add_parser(
        "merge",
        help="several catalogs of the same technology and tools -> one",
        description="The same multiplier is taken once; two of one name are an error. Rows stand by name, whatever the "
        "order of the catalogs.",
    )
    parser.add_argument("catalogs", nargs="+", type=Path, metavar="CATALOG")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="CATALOG", help="a new folder")
    parser.set_defaults(run=_merge)


def _catalog(options: argparse.Namespace) -> int:
    from agn_hw import catalog_view

    if options.plot is not None:
        catalog_view.plot(options.catalog, options.plot, options.signed)
        print(f"written to {options.plot}")
    elif options.csv:
        catalog_view.print_csv(options.catalog, options.family)
    else:
        catalog_view.show(options.catalog, options.family, options.all)
    return 0


def _export(options: argparse.Namespace) -> int:
    from lut_gen.catalog import Catalog
    from lut_gen.exchange.export import export

    catalog = Catalog.load(options.catalog)
    multipliers = [catalog[name] for name in options.names] or list(catalog)
    written = export(multipliers, options.output, options.format, options.weight_first)
    order = "[weight][activation]" if options.weight_first else "[activation][weight]"
    print(f"{len(written)} files written to {options.output}, {order}")
    return 0


def _import(options: argparse.Namespace) -> int:
    from lut_gen.exchange.importing import import_tables, read_figures

    figures = read_figures(options.figures) if options.figures else {}
    catalog = import_tables(options.files, options.output, figures, options.technology, options.weight_first)
    signed = sum(bool(multiplier.signed) for multiplier in catalog)
    print(f"{options.output}: {len(catalog)} tables ({signed} signed), without netlists")
    unknown = int(catalog.table["energy_fj"].isna().sum())
    if unknown:
        print(f"{unknown} have no energy: they can be looked at and simulated, not chosen (--figures)")
    return 0


def _merge(options: argparse.Namespace) -> int:
    from lut_gen.exchange.merge import merge

    print(f"{options.output}: {len(merge(options.catalogs, options.output))} multipliers")
    return 0
