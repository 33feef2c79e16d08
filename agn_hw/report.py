"""The plan for people: a table on the terminal and one picture."""

from __future__ import annotations

import io

from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

from agn_hw.accelerator.config import Plan
from agn_hw.settings import LEVELS

STYLES = {
    "uniform": ("one multiplier everywhere", "#9a9a9a", "o"),
    "exact_narrow": ("exact narrow multipliers only", "#2f6db3", "s"),
    "plan": ("a multiplier for each layer", "#d1495b", "D"),
}


COUNTED = {
    "multiplier": "multiplication energy",
    "element": "energy of the elements",
    "array": "energy of the arrays",
}
"""What energies count (accelerator/system.py), in words."""
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
    if plan.array:
        array = plan.array
        console.print(
            f"arrays of {array['rows']}x{array['cols']} elements: {array['cycles']:,} cycles an image, "
            f"{array['latency_us']:,.4g} us at {array['period_ns']:.3g} ns{_asked(plan)}",
            highlight=False,
        )
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


def _asked(plan: Plan) -> str:
    """The limit on latency, if there was one; retrained weights may need wider sums than it was kept with."""
    limit = plan.provenance["limits"].get("latency_us")
    return "" if limit is None else f" (asked for: at most {limit:g} us)"


def _totals(plan: Plan) -> Table:
    """Accuracy and energies of every network; those of elements and arrays where the plan knows them."""
    totals, others = plan.totals, plan.array.get("others", {})
    table = Table(title="test split (chose nothing)", title_justify="left")
    levels = ("element", "array") if plan.array else ()
    for heading in ("network", "accuracy", "multiplication energy", *levels):
        table.add_column(heading, justify="left" if heading == "network" else "right")

    def row(name: str, accuracy: float, energy: float, around: dict[str, float], style: str = "") -> None:
        relative = [energy, *(around[level] for level in levels)]
        table.add_row(name, f"{accuracy:.2%}", *(f"{one:.1%}" for one in relative), style=style)

    table.add_row("float", f"{totals['accuracy_float']:.2%}")
    row("8 bit, exact multipliers", totals["accuracy_exact"], 1.0, dict.fromkeys(levels, 1.0))
    for kind, found in plan.baselines.items():
        name = BASELINES[kind] + (f": {found['multipliers']}" if kind == "uniform" else "")
        held = "" if found.get("within_max_drop", True) else " (nothing holds)"
        row(name + held, found["accuracy"], found["energy_relative"], others.get(kind, {}))
    if totals.get("retrained"):
        before = totals["without_retraining"]
        row("plan without retraining", before["accuracy"], before["energy_relative"], others.get("plan", {}))
    types = totals["multiplier_types"]
    name = f"plan, {types} multiplier type{'s' * (types > 1)}{', retrained' if totals.get('retrained') else ''}"
    own = {level: plan.array["levels"][level]["energy_relative"] for level in levels}
    row(name, totals["accuracy_approximate"], totals["energy_relative"], own, "bold")
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
    counted = COUNTED[LEVELS[plan.provenance.get("objective", "energy")]]
    axes.set_xlabel(f"{counted}, exact 8-bit = 100 %")
    axes.set_ylabel("validation accuracy, %")
    axes.set_title(f"{plan.model} on {plan.data['name']}: assignments tried, before any retraining")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right", fontsize=8)
    picture = io.BytesIO()
    figure.savefig(picture, metadata={"Software": None})
    return picture.getvalue()
