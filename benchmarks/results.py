"""What becomes of the measurements: ratios, CSV and machine description, picture, printed tables, one line of JSON."""

from __future__ import annotations

import json
import platform
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import torch
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from benchmarks import yardsticks
from benchmarks.contestants import FP32, OPERATOR, SCALAR
from benchmarks.operands import LOW_RANK

matplotlib.use("Agg")
from matplotlib import pyplot as plt

GROUP = ["shape", "operands", "table", "threads"]
"""Measurements that were interleaved and may be compared."""
_FIGURES = {"giga_lookups": "G/s", "to_fp32": "/fp32", "to_scalar": "/scalar"}


def with_ratios(measurements: pd.DataFrame) -> pd.DataFrame:
    """The measurements with columns giga_lookups (1e9 table lookups, or multiplications, per second), to_fp32 and
    to_scalar: how many times faster than the fp32 matrix product and than the scalar loop of the same group."""
    table = measurements.copy()
    sizes = table["shape"].str.split("x", expand=True).astype(int)
    table["giga_lookups"] = table["rows"] * sizes[1] * sizes[2] / table["seconds"] / 1e9
    keys = pd.MultiIndex.from_frame(table[GROUP])
    for column, yardstick in (("to_fp32", FP32), ("to_scalar", SCALAR)):
        rates = table[table["back_end"] == yardstick].set_index(GROUP)["giga_lookups"]
        table[column] = table["giga_lookups"].to_numpy() / rates.reindex(keys).to_numpy()
    return table


def machine() -> dict[str, str]:
    """What the figures depend on besides the code."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    cpu = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    family = f"{cpu.get('cpu family', '?')}/{cpu.get('model', '?')}"
    try:
        compiler = yardsticks.compiler()
    except yardsticks.NoCompiler:
        compiler = "none"
    return {
        "cpu": cpu.get("model name", platform.processor() or platform.machine()),
        "cpu_family_model": family,
        "torch": torch.__version__,
        "torch_instruction_set": torch.backends.cpu.get_cpu_capability(),
        "compiler": compiler,
        "python": platform.python_version(),
    }


def write(table: pd.DataFrame, folder: Path) -> None:
    """kernels.csv, machine.json and kernels.png."""
    folder.mkdir(parents=True, exist_ok=True)
    table.to_csv(folder / "kernels.csv", index=False, float_format="%.4g")
    (folder / "machine.json").write_text(json.dumps(machine(), indent=2) + "\n")
    _picture(table, folder / "kernels.png")


def headline(table: pd.DataFrame) -> pd.DataFrame:
    """Real operands, the low-rank table."""
    return table[(table["operands"] == "real") & (table["table"] == LOW_RANK)]


def _names(table: pd.DataFrame) -> pd.Series:
    return table[["back_end", "isa", "kernel"]].agg(" ".join, axis=1).str.strip()


def _picture(table: pd.DataFrame, path: Path) -> None:
    """Bars: rate relative to the fp32 matrix product, for each shape and back end; headline, fewest threads."""
    chosen = headline(table)
    threads = int(chosen["threads"].min())
    chosen = chosen[(chosen["threads"] == threads) & chosen["kernel"].isin(["", "auto"]) & (chosen["back_end"] != FP32)]
    chosen = chosen.assign(name=_names(chosen))
    bars = chosen.pivot(index="shape", columns="name", values="to_fp32")
    bars = bars.loc[chosen["shape"].unique(), chosen["name"].unique()]
    figure, axes = plt.subplots(figsize=(12, 5), layout="constrained")
    bars.plot.bar(ax=axes, width=0.85, rot=0, colormap="tab20")
    axes.axhline(1, color="black", linewidth=1)
    axes.set(xlabel="M x K x N", ylabel="rate / rate of torch fp32 matmul")
    axes.set_title(f"Table products, {threads} thread{'s' * (threads > 1)}, {LOW_RANK} table, real operands")
    axes.legend(fontsize="small", ncols=2)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def show(table: pd.DataFrame, console: Console) -> None:
    """The headline, contestant by contestant, and the operator over all operands and tables."""
    chosen = headline(table)
    _show_figures(chosen.assign(label=_names(chosen)), f"real operands, {LOW_RANK} table", console)
    chosen = table[table["back_end"] == OPERATOR]
    if len(chosen.drop_duplicates(["operands", "table"])) > 1:
        label = chosen["operands"] + " " + chosen["table"]
        _show_figures(chosen.assign(label=label), "the operator on all operands and tables", console)


def _show_figures(table: pd.DataFrame, title: str, console: Console) -> None:
    threads = sorted(table["threads"].unique())
    printed = Table(title=title, box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    printed.add_column("", no_wrap=True)
    for count in threads:
        for heading in _FIGURES.values():
            printed.add_column(f"{heading}\n{count} thr.", justify="right", no_wrap=True)
    for shape, group in table.groupby("shape", sort=False):
        printed.add_row(f"[bold]{shape}")
        for label, rows in group.groupby("label", sort=False):
            by_threads = rows.set_index("threads")[list(_FIGURES)].reindex(threads)
            printed.add_row(f"  {label}", *(_short(value) for value in by_threads.to_numpy().ravel()))
        printed.add_section()
    console.print(printed)


def _short(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.2f}" if value < 10 else f"{value:.1f}"


def summary(table: pd.DataFrame) -> str:
    """One line of JSON: for each shape the operator's ratios in the headline, with the fewest threads."""
    chosen = headline(table)
    chosen = chosen[(chosen["back_end"] == OPERATOR) & (chosen["threads"] == chosen["threads"].min())]
    ratios = chosen.set_index("shape")[["to_fp32", "to_scalar"]].round(3)
    plain = ratios.astype(object).where(ratios.notna(), None)
    return json.dumps(plain.to_dict(orient="index"))
