// DRUM for two's complement operands: magnitudes go through the unsigned DRUM, the sign is put back after it.
//
// Source: see drum_multiplier.v; the paper handles signed operands in the same way.
//
// Parameters
//   A_BITS, B_BITS  operand widths, K or more
//   K               segment width, 3 or more: with 2 the largest products leave the signed product's range
//
// Exact when K = A_BITS = B_BITS, and where both magnitudes are below 2^K.
module drum_signed_multiplier #(
    parameter A_BITS = 8,
    parameter B_BITS = 8,
    parameter K = 4
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
    drum_multiplier #(.A_BITS(A_BITS), .B_BITS(B_BITS), .K(K)) multiplier (
        .a(a_magnitude), .b(b_magnitude), .y(magnitude)
    );
    conditional_negation #(.WIDTH(A_BITS + B_BITS)) sign (
        .value(magnitude), .negate(y_negative), .y(y_pattern)
    );
endmodule
