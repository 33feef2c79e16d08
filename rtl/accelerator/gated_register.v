// Register whose clock can be gated: q takes d at the rising edges of `clk` where `take` is high.
//
// Parameters
//   WIDTH  width of d and q, 1 or more
module gated_register #(
    parameter WIDTH = 8
) (
    input  clk,
    input  take,
    input  [WIDTH-1:0] d,
    output reg [WIDTH-1:0] q
);
    always @(posedge clk) if (take) q <= d;
endmodule
