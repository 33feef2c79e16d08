// Ripple-carry adder: sum = a + b, one bit wider than its operands.
//
// Parameters
//   WIDTH  operand width, 1 or more
module ripple_adder_row #(
    parameter WIDTH = 8
) (
    input  [WIDTH-1:0] a,
    input  [WIDTH-1:0] b,
    output [WIDTH:0] sum
);
    wire [WIDTH:0] carry;

    assign carry[0] = 1'b0;
    assign sum[WIDTH] = carry[WIDTH];

    genvar i;
    generate
        for (i = 0; i < WIDTH; i = i + 1) begin : adders
            full_adder_cell adder (.a(a[i]), .b(b[i]), .c(carry[i]), .sum(sum[i]), .carry(carry[i+1]));
        end
    endgenerate
endmodule
