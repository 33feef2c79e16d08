// Marks the leading one of an operand: y has a single 1, or none where the value is 0.
//
//     value    0 0 1 0 1 1 0 1
//     y        0 0 1 0 0 0 0 0
//
// Parameters
//   WIDTH  width of the value, 1 or more
module leading_one #(
    parameter WIDTH = 8
) (
    input  [WIDTH-1:0] value,
    output [WIDTH-1:0] y
);
    // Bit i: no one stands in bit i or left of it.
    wire [WIDTH:0] none;
    wire unused = none[0];

    assign none[WIDTH] = 1'b1;

    genvar i;
    generate
        for (i = 0; i < WIDTH; i = i + 1) begin : bits
            assign none[i] = none[i+1] & ~value[i];
            assign y[i] = none[i+1] & value[i];
        end
    endgenerate
endmodule
