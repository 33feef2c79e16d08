"""A published netlist that instantiates cells without defining them: mapped and simulated from the same sources."""

from pathlib import Path

import numpy as np
import pytest

from lut_gen.catalog import Catalog
from lut_gen.characterize import build
from lut_gen.design import gather
from sim import regression

NETLIST = """/* This code is a part of EvoApproxLib library: so says a file's head, and MUX2X1 does not invert there. */
module mul3u_x(A, B, O);
  input [2:0] A;
  input [1:0] B;
  output [4:0] O;
  wire [2031:0] N;
  AND2X1 n0(.A(A[0]), .B(B[0]), .Y(N[0]));
  NAND2X1 n1(.A(A[0]), .B(B[1]), .Y(N[1]));
  INVX1 n2(.A(N[1]), .Y(N[2]));
  AND2X2 n3(.A(A[1]), .B(B[0]), .Y(N[3]));
  HAX1 n4(.A(N[2]), .B(N[3]), .YS(N[4]), .YC(N[5]));
  NOR2X1 n6(.A(~A[1]), .B(~B[1]), .Y(N[6]));
  FAX1 n7(.A(N[6]), .B((A[2] & B[0])), .C(N[5]), .YS(N[7]), .YC(N[8]));
  MUX2X1 n9(.A(1'b0), .B(A[2]), .S(B[1]), .Y(N[9]));
  XOR2X1 n10(.A(N[8]), .B(N[9]), .Y(N[10]));
  AOI21X1 n11(.A(N[8]), .B(N[9]), .C(1'b0), .Y(N[11]));
  BUFX2 n12(.A(N[4]), .Y(N[12]));
  OAI21X1 n13(.A(1'b0), .B(1'b1), .C(N[11]), .Y(N[13]));
  assign O = {N[13], N[10], N[7], N[12], N[0]};
endmodule
"""


@pytest.mark.slow
def test_known_cells_in_simulation(tmp_path: Path) -> None:
    (tmp_path / "verilog").mkdir()
    (tmp_path / "verilog" / "mul3u_x_pdk45.v").write_text(NETLIST)
    designs = gather([tmp_path / "verilog"])
    errors = [outcome.error for outcome in build(designs, tmp_path / "catalog", jobs=1) if outcome.error]
    assert not errors, errors[0]
    catalog = Catalog.load(tmp_path / "catalog")
    assert np.array_equal(catalog["mul3u_x_pdk45"].lut, np.outer(range(8), range(4)))
    (result,) = regression.run(designs, catalog, tmp_path / "regression")
    assert result == regression.Result("mul3u_x_pdk45", 32, 0, None)
