"""Critical path of a mapped netlist: static timing with the library's delay tables (NLDM), no wires.

Rise and fall arrivals are propagated in topological order with the worst transition at each net, as a static
timing analyser in graph mode does.
"""

from __future__ import annotations

import numpy as np

from lut_gen.liberty import INPUT_SLEW_NS, Arc, Technology
from lut_gen.netlist import Netlist
from lut_gen.power import net_loads

RISE, FALL = 0, 1


def delay_ns(netlist: Netlist, technology: Technology) -> float:
    """Latest arrival at any product bit, ns; 0 for a circuit of wires."""
    loads = net_loads(netlist, technology.cells)
    arrival = np.full((netlist.nets, 2), -np.inf)
    slew = np.zeros((netlist.nets, 2))
    inputs = [*netlist.a, *netlist.b]
    arrival[inputs], slew[inputs] = 0.0, INPUT_SLEW_NS
    for gate in netlist.gates:
        for arc in technology.cells[gate.cell].arcs:
            if arc.output in gate.outputs:
                source, sink = gate.inputs[arc.input], gate.outputs[arc.output]
                _propagate(arc, source, sink, loads[sink], arrival, slew)
    latest = arrival[list(netlist.y)].max(initial=0.0)
    return float(max(latest, 0.0))


def _propagate(arc: Arc, source: int, sink: int, load: float, arrival: np.ndarray, slew: np.ndarray) -> None:
    edges = ((RISE, arc.delay_rise, arc.slew_rise), (FALL, arc.delay_fall, arc.slew_fall))
    for edge, delay, transition in edges:
        for cause in _causes(arc.sense, edge):
            if arrival[source, cause] == -np.inf:  # a constant never arrives
                continue
            slew_in = slew[source, cause]
            arrival[sink, edge] = max(arrival[sink, edge], arrival[source, cause] + delay.at(slew_in, load))
            slew[sink, edge] = max(slew[sink, edge], transition.at(slew_in, load))


def _causes(sense: str, edge: int) -> tuple[int, ...]:
    """Input edges that can cause this output edge."""
    if sense == "positive_unate":
        return (edge,)
    if sense == "negative_unate":
        return (1 - edge,)
    return (RISE, FALL)
