// DRUM for two's complement operands: magnitudes go through the unsigned DRUM, the sign is put back after it.
//
// Source: see drum_multiplier.v; the paper handles signed operands in the same way.
//
// Parameters
//   A_BITS, B_BITS  operand widths, K or more
//   K               segment width, 2 or more
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
    wire [A_BITS-1:0] a_magnitude;
    wire [B_BITS-1:0] b_magnitude;
    wire [A_BITS+B_BITS-1:0] magnitude;

    conditional_negation #(.WIDTH(A_BITS)) magnitude_of_a (
        .value(a), .negate(a[A_BITS-1]), .y(a_magnitude)
    );
    conditional_negation #(.WIDTH(B_BITS)) magnitude_of_b (
        .value(b), .negate(b[B_BITS-1]), .y(b_magnitude)
    );
    drum_multiplier #(.A_BITS(A_BITS), .B_BITS(B_BITS), .K(K)) multiplier (
        .a(a_magnitude), .b(b_magnitude), .y(magnitude)
    );
    conditional_negation #(.WIDTH(A_BITS + B_BITS)) sign (
        .value(magnitude), .negate(a[A_BITS-1] ^ b[B_BITS-1]), .y(y)
    );
endmodule
