"""The plan for people: a table on the terminal and one picture."""

from __future__ import annotations

import io

from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

from agn_hw.accelerator.config import Plan

STYLES = {
    "uniform": ("one multiplier everywhere", "#9a9a9a", "o"),
    "exact_narrow": ("exact narrow multipliers only", "#2f6db3", "s"),
    "plan": ("a multiplier for each layer", "#d1495b", "D"),
}


BASELINES = {
    "uniform": "best uniform",
    "exact_narrow": "exact narrow only",
    "exact_narrow_retrained": "exact narrow only, retrained",
}


def print_plan(plan: Plan, console: Console) -> None:
    """Per layer, totals and baselines."""
    total = plan.totals["energy_fj"]
    table = Table(title=f"{plan.model} on {plan.data['name']}: the plan", title_justify="left")
    for heading in ("layer", "MACs", "multiplier", "mapping", "fJ/product", "share of energy"):
        table.add_column(heading, justify="left" if heading in ("layer", "multiplier", "mapping") else "right")
    for layer in plan.layers:
        share = layer.macs * layer.energy_fj / total
        mapping = f"x on {layer.mapping['activation_port']}, prescale {layer.mapping['prescale']:.2f}"
        table.add_row(
            layer.name, f"{layer.macs:,}", layer.multiplier, mapping, f"{layer.energy_fj:.0f}", f"{share:.1%}"
        )
    console.print(table)
    console.print(_totals(plan))
    totals = plan.totals
    lost = f"{totals['drop_points']:.2f} points"
    if "drop_interval" in totals:  # older plans have none
        low, high = totals["drop_interval"]
        lost += f", 95 % interval {low:.2f} .. {high:.2f}"
    console.print(
        f"lost against the float network: {lost} (asked for: at most {totals['max_drop']:g})", highlight=False
    )
    if not totals["within_max_drop"]:
        console.print("no choice was safely within that on the validation images: exact 8-bit multipliers stay")


def _totals(plan: Plan) -> Table:
    totals = plan.totals
    table = Table(title="test split (chose nothing)", title_justify="left")
    for heading in ("network", "accuracy", "multiplication energy"):
        table.add_column(heading, justify="left" if heading == "network" else "right")
    table.add_row("float", f"{totals['accuracy_float']:.2%}", "")
    table.add_row("8 bit, exact multipliers", f"{totals['accuracy_exact']:.2%}", "100.0%")
    for kind, found in plan.baselines.items():
        name = BASELINES[kind] + (f": {found['multipliers']}" if kind == "uniform" else "")
        held = "" if found.get("within_max_drop", True) else " (nothing holds)"
        table.add_row(name + held, f"{found['accuracy']:.2%}", f"{found['energy_relative']:.1%}")
    if totals.get("retrained"):
        before = totals["without_retraining"]
        table.add_row("plan without retraining", f"{before['accuracy']:.2%}", f"{before['energy_relative']:.1%}")
    types = totals["multiplier_types"]
    table.add_row(
        f"plan, {types} multiplier type{'s' * (types > 1)}{', retrained' if totals.get('retrained') else ''}",
        f"{totals['accuracy_approximate']:.2%}",
        f"{totals['energy_relative']:.1%}",
        style="bold",
    )
    return table


def draw(plan: Plan) -> bytes:
    """Energy against validation accuracy of all that was tried, as PNG; the plan is ringed."""
    figure = Figure(figsize=(7.2, 4.4), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    for kind, (label, colour, marker) in STYLES.items():
        points = sorted((p["energy_relative"], p["validation_accuracy"]) for p in plan.front if p["kind"] == kind)
        if points:
            x, y = zip(*points, strict=True)
            line = "none" if kind == "uniform" else "-"
            axes.plot(
                [100 * v for v in x],
                [100 * v for v in y],
                marker,
                ls=line,
                color=colour,
                ms=4,
                lw=1,
                label=label,
            )
    chosen = [p for p in plan.front if p.get("plan")]
    if chosen:
        axes.plot(
            100 * chosen[0]["energy_relative"],
            100 * chosen[0]["validation_accuracy"],
            "o",
            ms=12,
            mfc="none",
            mec="black",
            label="the plan",
        )
    top = max(p["validation_accuracy"] for p in plan.front)
    axes.axhline(100 * plan.totals["accuracy_float_validation"], color="black", lw=0.8, ls=":", label="float network")
    axes.set_ylim(100 * max(0.0, top - 0.25), 100 * top + 1.5)
    axes.set_xscale("log")
    ticks = (2, 5, 10, 20, 50, 100)
    axes.set_xticks(ticks, [f"{tick} %" for tick in ticks])
    axes.set_xlabel("multiplication energy, exact 8-bit = 100 %")
    axes.set_ylabel("validation accuracy, %")
    axes.set_title(f"{plan.model} on {plan.data['name']}: assignments tried, before any retraining")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right", fontsize=8)
    picture = io.BytesIO()
    figure.savefig(picture, metadata={"Software": None})
    return picture.getvalue()
