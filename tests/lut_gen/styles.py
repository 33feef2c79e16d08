"""One library of our own, written in the ways of three families of cell libraries.

The cells' figures are planes over transition and load, so that every interpolation is exact and a circuit's figures
can be worked out by hand. `sky130`, `osu` and `asap7` differ in units, axes, templates, quotes and in what they leave
out; whoever reads them must find the same cells.
"""

from lut_gen.netlist import Gate, Netlist

VOLTAGE = 1.2
SLEWS, LOADS = (0.01, 0.11, 0.61), (1.0, 5.0, 21.0)  # ns, fF
PIN_FF = 2.0
INPUT_ENERGY = (-0.1, 0.3)  # fJ: an input rises, falls
GATES: dict[str, tuple[str, str, float, float, float]] = {
    # inputs, function, area um2, leakage nW, intrinsic delay ns
    "INVX1": ("A", "!A", 1.0, 0.25, 0.010),
    "BUFX1": ("A", "A", 1.5, 0.25, 0.020),
    "NAND2X1": ("A B", "!(A & B)", 1.5, 0.375, 0.015),
    "AND2X1": ("A B", "A & B", 2.0, 0.5, 0.030),
    "OR2X1": ("A B", "A | B", 2.0, 0.5, 0.035),
    "XOR2X1": ("A B", "A ^ B", 3.0, 0.75, 0.050),
}
SENSES = {"INVX1": "negative_unate", "BUFX1": "positive_unate", "NAND2X1": "negative_unate", "AND2X1": "positive_unate",
          "OR2X1": "positive_unate", "XOR2X1": "non_unate"}


def figures(intrinsic: float) -> dict[str, tuple[float, float, float]]:
    """Constant, factor of the transition and factor of the load of each table (ns, ns/fF, fJ)."""
    return {
        "cell_rise": (intrinsic, 0.2, 0.004),
        "cell_fall": (0.8 * intrinsic, 0.1, 0.003),
        "rise_transition": (0.02, 0.0, 0.006),
        "fall_transition": (0.01, 0.0, 0.004),
        "rise_power": (1.0, 0.0, 0.1),
        "fall_power": (0.6, 0.0, -0.05),
    }


def two_bit_multiplier() -> Netlist:
    """The exact 2x2 multiplier; its longest way is AND2X1, AND2X1, XOR2X1."""
    ands = [(2, 4), (3, 4), (2, 5), (3, 5), (7, 8)]
    gates = [Gate("AND2X1", {"A": x, "B": y}, {"Y": 6 + i}) for i, (x, y) in enumerate(ands)]
    gates += [Gate("XOR2X1", {"A": 7, "B": 8}, {"Y": 11}), Gate("XOR2X1", {"A": 9, "B": 10}, {"Y": 12})]
    gates += [Gate("AND2X1", {"A": 9, "B": 10}, {"Y": 13})]
    return Netlist((2, 3), (4, 5), (6, 11, 12, 13), tuple(gates))


def row(values) -> str:
    return ", ".join(f"{value:.9g}" for value in values)


def plane(kind: str, intrinsic: float, unit: float) -> list[list[float]]:
    """The table, a row for each transition, in a unit."""
    constant, per_slew, per_load = figures(intrinsic)[kind]
    return [[(constant + per_slew * s + per_load * c) / unit for c in LOADS] for s in SLEWS]


def sky130() -> str:
    """ns, pF and nW; names in quotes; templates of another size than the tables, which bring their own index; an arc
    for each condition and sense; supply pins; cells that are not to be used; flip-flops with constraints."""
    index = f'index_1("{row(SLEWS)}"); index_2("{row(c / 1000 for c in LOADS)}");'

    def table(kind: str, intrinsic: float) -> str:
        unit = 1e3 if "power" in kind else 1.0  # pF x 1 V^2; ns
        rows = ", \\\n      ".join(f'"{row(values)}"' for values in plane(kind, intrinsic, unit))
        template = "power_outputs_1" if "power" in kind else "del_1_7_7"
        return f'    {kind} ("{template}") {{ {index}\n      values({rows}); }}\n'

    def cell(name: str) -> str:
        inputs, function, area, leakage, intrinsic = GATES[name]
        text = f'cell ("{name}") {{\n  area : {area:.10f};\n  cell_leakage_power : {leakage:.7f};\n'
        text += '  leakage_power () { value : 99.0; when : "!A"; }\n'
        text += '  pg_pin ("VPWR") { pg_type : "primary_power"; voltage_name : "VPWR"; }\n'
        powers = " ".join(
            f'{kind}("power_inputs_1") {{ index_1("0.01, 0.5"); values("{energy * 1e-3}, {energy * 1e-3}"); }}'
            for kind, energy in zip(("rise_power", "fall_power"), INPUT_ENERGY, strict=True)
        )
        for pin in inputs.split():
            text += f'  pin ("{pin}") {{ capacitance : {PIN_FF / 1000:.10f}; clock : "false"; direction : "input";\n'
            text += f"    fall_capacitance : 0.002; rise_capacitance : 0.002; internal_power () {{ {powers} }} }}\n"
        text += f'  pin ("Y") {{ direction : "output"; function : "{function}"; max_capacitance : 0.02;\n'
        for pin in inputs.split():
            text += f'    internal_power () {{ related_pin : "{pin}";\n'
            text += table("rise_power", intrinsic) + table("fall_power", intrinsic) + "    }\n"
            arcs = [(SENSES[name], "")]
            if SENSES[name] == "non_unate":
                other = "B" if pin == "A" else "A"
                arcs = [("positive_unate", f'when : "!{other}"; sdf_cond : "{other}==1\'b0"; '),
                        ("negative_unate", f'when : "{other}"; ')]  # fmt: skip
            for sense, when in arcs:
                text += f'    timing () {{ {when}related_pin : "{pin}"; timing_sense : "{sense}"; '
                text += 'timing_type : "combinational";\n'
                text += "".join(table(kind, intrinsic) for kind in figures(0) if "power" not in kind) + "    }\n"
        return text + "  }\n}\n"

    return f"""/* in the way of SKY130 */
library ("sky130_style") {{
  define(def_sim_opt,library,string); define(driver_model,library,string);
  technology("cmos"); delay_model : "table_lookup"; bus_naming_style : "%s[%d]";
  time_unit : "1ns"; voltage_unit : "1V"; leakage_power_unit : "1nW"; current_unit : "1mA";
  capacitive_load_unit(1.0000000000, "pf");
  default_input_pin_cap : 0.0; default_leakage_power_density : 0.0; slew_derate_from_library : 1.0;
  operating_conditions ("tt") {{ voltage : {VOLTAGE}; process : 1.0; temperature : 25.0; tree_type : "balanced_tree"; }}
  default_operating_conditions : "tt";
  wire_load("Small") {{ capacitance : 1.42e-05; resistance : 0.0745; slope : 8.3631; fanout_length( 1, 23.2746); }}
  default_wire_load : "Small" ;
  power_lut_template ("power_inputs_1") {{ variable_1 : "input_transition_time"; index_1("1, 2, 3, 4, 5, 6, 7"); }}
  power_lut_template ("power_outputs_1") {{ variable_1 : "input_transition_time";
    variable_2 : "total_output_net_capacitance"; index_1("1, 2, 3, 4, 5, 6, 7"); index_2("1, 2, 3, 4, 5, 6, 7"); }}
  lu_table_template ("constraint_3_0_1") {{ variable_1 : "related_pin_transition";
    variable_2 : "constrained_pin_transition"; index_1("1, 2, 3"); index_2("1, 2, 3"); }}
  lu_table_template ("del_1_7_7") {{ variable_1 : "input_net_transition";
    variable_2 : "total_output_net_capacitance"; index_1("1, 2, 3, 4, 5, 6, 7"); index_2("1, 2, 3, 4, 5, 6, 7"); }}
  lu_table_template ("driver_waveform_template") {{ variable_1 : "input_net_transition";
    variable_2 : "normalized_voltage"; index_1("1, 2"); index_2("1, 2"); }}
  input_threshold_pct_rise : 50.0; input_threshold_pct_fall : 50.0;
  output_threshold_pct_rise : 50.0; output_threshold_pct_fall : 50.0;
  slew_lower_threshold_pct_rise : 20.0; slew_upper_threshold_pct_rise : 80.0;
  slew_lower_threshold_pct_fall : 20.0; slew_upper_threshold_pct_fall : 80.0;
  nom_voltage : {VOLTAGE};
  {"".join(cell(name) for name in GATES)}
  cell ("probe_1") {{ area : 0.1; dont_use : "true"; pin ("A") {{ direction : "input"; }}
    pin ("Y") {{ direction : "output"; function : "A"; }} }}
  cell ("ebufn_1") {{ area : 0.1; pin ("A") {{ direction : "input"; }} pin ("TE_B") {{ direction : "input"; }}
    pin ("Y") {{ direction : "output"; function : "(A)"; three_state : "(TE_B)"; }} }}
  cell ("dfxtp_1") {{ area : 9.0; ff ("IQ","IQ_N") {{ clocked_on : "CLK"; next_state : "D"; }}
    pin ("CLK") {{ direction : "input"; clock : "true"; capacitance : 0.002; }}
    pin ("D") {{ direction : "input"; capacitance : 0.002; timing () {{ related_pin : "CLK";
      timing_type : "setup_rising";
      rise_constraint ("constraint_3_0_1") {{ values("1, 2, 3", "1, 2, 3", "1, 2, 3"); }} }} }}
    pin ("Q") {{ direction : "output"; function : "IQ"; }} }}
}}
"""


def osu() -> str:
    """Tens of ps and fF; tables over load, then transition, in one template; scalars; functions in the old signs;
    senses left out; no leakage of the cells but conditions; the voltage in the operating conditions."""
    words = {"INVX1": "A'", "BUFX1": "A", "NAND2X1": "(A B)'", "AND2X1": "(A*B)", "OR2X1": "(A+B)",
             "XOR2X1": "(A B' + A' B)"}  # fmt: skip

    def table(kind: str, intrinsic: float) -> str:
        unit = 10.0 if "power" in kind else 0.01  # 10 fF x 1 V^2; 10 ps
        columns = zip(*plane(kind, intrinsic, unit), strict=True)
        lines = ", \\\n        ".join(f'"{row(values)}"' for values in columns)
        template = "energy_template_3x3" if "power" in kind else "delay_template_3x3"
        return f"      {kind}({template}) {{\n        values ( \\\n        {lines});\n      }}\n"

    def cell(name: str) -> str:
        inputs, _, area, leakage, intrinsic = GATES[name]
        text = f"cell ({name}) {{\n  area : {area};\n  cell_footprint : {name.lower()};\n"
        text += "".join(
            f'  leakage_power () {{\n    when : "{when}";\n    value : {value};\n  }}\n'
            for when, value in (("A", 1.5 * leakage), ("!A", 0.5 * leakage))
        )
        low, high = (f'scalar) {{ values ("{energy / 10}"); }}' for energy in INPUT_ENERGY)
        for pin in inputs.split():
            text += f"  pin({pin}) {{\n    direction : input\n    capacitance : {PIN_FF / 10};\n"
            text += f"    internal_power() {{ rise_power({low} fall_power({high} }}\n  }}\n"
        text += f'  pin(Y) {{\n    direction : output;\n    capacitance : 0;\n    function : "{words[name]}";\n'
        text += f'    timing() {{\n      related_pin : "{inputs}";\n'
        text += "".join(table(kind, intrinsic) for kind in figures(0) if "power" not in kind) + "    }\n"
        text += f'    internal_power() {{\n      related_pin : "{inputs}";\n'
        return text + table("rise_power", intrinsic) + table("fall_power", intrinsic) + "    }\n  }\n}\n"

    axes = f"""variable_1 : total_output_net_capacitance;
    variable_2 : AXIS;
    index_1 ("{row(c / 10 for c in LOADS)}");
    index_2 ("{row(s * 100 for s in SLEWS)}");"""
    return f"""/* in the way of the OSU and 45 nm kits */
library (osu_style) {{
  delay_model : table_lookup;
  in_place_swap_mode : match_footprint;
  /* unit attributes */
  time_unit : "10ps";
  voltage_unit : "1V";
  current_unit : "1uA";
  pulling_resistance_unit : "1kohm";
  leakage_power_unit : "1nW";
  capacitive_load_unit (10.0,ff);
  slew_upper_threshold_pct_rise : 80; slew_lower_threshold_pct_rise : 20;
  slew_upper_threshold_pct_fall : 80; slew_lower_threshold_pct_fall : 20;
  input_threshold_pct_rise : 50; input_threshold_pct_fall : 50;
  output_threshold_pct_rise : 50; output_threshold_pct_fall : 50;
  nom_process : 1; nom_temperature : 25;
  operating_conditions ( typical ) {{ process : 1; voltage : {VOLTAGE}; temperature : 25; }}
  operating_conditions ( slow ) {{ process : 1; voltage : 1.0; temperature : 125; }}
  default_operating_conditions : typical;
  default_leakage_power_density : 0;
  lu_table_template(delay_template_3x3) {{
    {axes.replace("AXIS", "input_net_transition")}
  }}
  power_lut_template(energy_template_3x3) {{
    {axes.replace("AXIS", "input_transition_time")}
  }}
{"".join(cell(name) for name in GATES)}
  cell (PADVDD) {{ area : 0.1; pad_cell : true; pin (A) {{ direction : input; }}
    pin (Y) {{ direction : output; function : "A"; is_pad : true; }} }}
  cell (DFFPOSX1) {{ area : 9; ff (DS0000,P0000) {{ next_state : "D"; clocked_on : "CLK"; }}
    pin(D) {{ direction : input; capacitance : 0.2; }} pin(CLK) {{ direction : input; capacitance : 0.2; }}
    pin(Q) {{ direction : output; function : "DS0000";
      timing() {{ related_pin : "CLK"; timing_type : rising_edge; }} }} }}
}}
"""


def asap7() -> str:
    """ps and fF; the voltage in a map of supplies; energy and leakage of each supply; capacitance of each edge;
    rising and falling arcs apart; a macro, a bus, a table over two loads."""

    def table(kind: str, intrinsic: float, share: float = 1.0) -> str:
        rows = plane(kind, intrinsic, 1 / share if "power" in kind else 1e-3)
        values = ", ".join(f'"{row(numbers)}"' for numbers in rows)
        return f"{kind} ({'grid_power' if 'power' in kind else 'grid'}) {{ values ({values}); }}\n"

    def cell(name: str) -> str:
        inputs, function, area, leakage, intrinsic = GATES[name]
        text = f"cell ({name}) {{\n area : {area}; dont_use : false;\n"
        for rail, when, value in (("VDD", "A", leakage), ("VDD", "!A", 0.5 * leakage), ("VSS", "A", 0.25 * leakage)):
            text += f' leakage_power () {{ value : {value}; when : "{when}"; related_pg_pin : {rail}; }}\n'
        low, high = (f'(energy_1) {{ values ("{energy}, {energy}"); }}' for energy in INPUT_ENERGY)
        for pin in inputs.split():
            text += f" pin ({pin}) {{ direction : input; rise_capacitance : {PIN_FF}; fall_capacitance : {PIN_FF};\n"
            text += f"  internal_power () {{ related_pg_pin : VDD; rise_power {low} fall_power {high} }} }}\n"
        text += f' pin (Y) {{ direction : output; function : "{function}"; power_down_function : "(!VDD) + (VSS)";\n'
        for pin in inputs.split():
            for edge in ("rise", "fall"):
                text += f"  timing () {{ related_pin : {pin}; timing_type : combinational_{edge};"
                text += f" timing_sense : {SENSES[name]};\n"
                text += table(f"cell_{edge}", intrinsic) + table(f"{edge}_transition", intrinsic) + "  }\n"
            for rail, share in (("VDD", 0.75), ("VSS", 0.25)):
                text += f"  internal_power () {{ related_pin : {pin}; related_pg_pin : {rail};\n"
                text += table("rise_power", intrinsic, share) + table("fall_power", intrinsic, share) + "  }\n"
        return text + " }\n}\n"

    index = f'index_1 ("{row(s * 1000 for s in SLEWS)}"); index_2 ("{row(LOADS)}");'
    axes = "variable_1 : {}; variable_2 : total_output_net_capacitance; " + index
    return f"""/* in the way of ASAP7 and Nangate */
library (asap7_style) {{
 time_unit : 1ps ; voltage_unit : 1V ; leakage_power_unit : 1nW ; capacitive_load_unit (1, ff) ;
 voltage_map (VDD, {VOLTAGE}) ; voltage_map (VSS, 0.0) ;
 define (process_label, library, string) ; process_label : "tt" ;
 slew_lower_threshold_pct_rise : 10 ; slew_upper_threshold_pct_rise : 90 ;
 slew_lower_threshold_pct_fall : 10 ; slew_upper_threshold_pct_fall : 90 ;
 input_threshold_pct_rise : 50 ; input_threshold_pct_fall : 50 ;
 output_threshold_pct_rise : 50 ; output_threshold_pct_fall : 50 ; delay_model : table_lookup ;
 lu_table_template (grid) {{ {axes.format("input_net_transition")} }}
 power_lut_template (grid_power) {{ {axes.format("input_transition_time")} }}
 power_lut_template (energy_1) {{ variable_1 : input_transition_time; index_1 ("10, 500"); }}
 lu_table_template (two_loads) {{ variable_1 : input_net_transition; variable_2 : total_output_net_capacitance;
  variable_3 : related_out_total_output_net_capacitance; index_1 ("10, 110"); index_2 ("1, 5"); index_3 ("2, 7, 9"); }}
 type (bus4) {{ base_type : array; data_type : bit; bit_width : 4; bit_from : 3; bit_to : 0; }}
{"".join(cell(name) for name in GATES)}
 cell (SRAM4) {{ area : 50; is_macro_cell : true; pin (A) {{ direction : input; }}
  pin (Y) {{ direction : output; function : "A"; }} }}
 cell (INV4) {{ area : 0.2; bus (A) {{ bus_type : bus4; direction : input; pin (A[3:0]) {{ capacitance : 1; }} }}
  bus (Y) {{ bus_type : bus4; direction : output; function : "A'"; }} }}
 cell (DLL) {{ area : 9; latch (IQ, IQN) {{ enable : "CLK"; data_in : "D"; }}
  pin (CLK, D) {{ direction : input; capacitance : 1; }}
  pin (Q) {{ direction : output; function : IQ; timing () {{ related_pin : CLK; timing_type : rising_edge;
   cell_rise (two_loads) {{ values ("1, 2, 3", "4, 5, 6", "7, 8, 9", "10, 11, 12"); }} }} }} }}
}}
"""


STYLES = {"sky130": sky130, "osu": osu, "asap7": asap7}
