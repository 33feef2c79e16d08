// Negates a two's complement number where asked: y = negate ? -value : value, modulo 2^WIDTH.
//
// With `negate` = the sign of `value`, y is the magnitude as an unsigned number (-128 gives 128 in 8 bits).
//
// Parameters
//   WIDTH  width of `value` and y, 1 or more
module conditional_negation #(
    parameter WIDTH = 8
) (
    input  [WIDTH-1:0] value,
    input  negate,
    output [WIDTH-1:0] y
);
    wire [WIDTH:0] carry;
    wire unused = carry[WIDTH];

    assign carry[0] = negate;

    genvar i;
    generate
        for (i = 0; i < WIDTH; i = i + 1) begin : adders
            full_adder_cell adder (
                .a(value[i] ^ negate), .b(1'b0), .c(carry[i]), .sum(y[i]), .carry(carry[i+1])
            );
        end
    endgenerate
endmodule
