// Mitchell's multiplier for two's complement operands: magnitudes go through the unsigned one, the sign is
// put back after it.
//
// Source: see mitchell_multiplier.v.
//
// Parameters
//   A_BITS, B_BITS  operand widths, 2 or more
//   FRACTION        bits of each logarithm's fraction that are kept, 1 or more; the default keeps them all
//
// Exact where the magnitude of an operand is 0 or a power of two, if FRACTION is at least the other operand's
// width - 1.
module mitchell_signed_multiplier #(
    parameter A_BITS = 8,
    parameter B_BITS = 8,
    parameter FRACTION = ((A_BITS > B_BITS) ? A_BITS : B_BITS) - 1
) (
    input  signed [A_BITS-1:0] a,
    input  signed [B_BITS-1:0] b,
    output signed [A_BITS+B_BITS-1:0] y
);
    // Unsigned views of the ports, like the ports of the cells they go to.
    wire [A_BITS-1:0] a_pattern = a;
    wire [B_BITS-1:0] b_pattern = b;
    wire [A_BITS+B_BITS-1:0] y_pattern;
    wire [A_BITS-1:0] a_magnitude;
    wire [B_BITS-1:0] b_magnitude;
    wire [A_BITS+B_BITS-1:0] magnitude;
    wire a_negative = a[A_BITS-1];
    wire b_negative = b[B_BITS-1];
    wire y_negative = a_negative ^ b_negative;

    assign y = y_pattern;

    conditional_negation #(.WIDTH(A_BITS)) magnitude_of_a (
        .value(a_pattern), .negate(a_negative), .y(a_magnitude)
    );
    conditional_negation #(.WIDTH(B_BITS)) magnitude_of_b (
        .value(b_pattern), .negate(b_negative), .y(b_magnitude)
    );
    mitchell_multiplier #(.A_BITS(A_BITS), .B_BITS(B_BITS), .FRACTION(FRACTION)) multiplier (
        .a(a_magnitude), .b(b_magnitude), .y(magnitude)
    );
    conditional_negation #(.WIDTH(A_BITS + B_BITS)) sign (
        .value(magnitude), .negate(y_negative), .y(y_pattern)
    );
endmodule
