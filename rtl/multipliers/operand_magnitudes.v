// What an unsigned multiplier needs to serve two's complement operands: magnitudes in front, a sign behind.
//
//     a --> |a| --+
//                 [ unsigned multiplier ] --> conditional_negation --> y
//     b --> |b| --+                                    ^
//     sign of a xor sign of b -------- negative -------+
//
// With SIGNED = 0 the operands pass unchanged, `negative` is 0 and synthesis folds both negations away. A
// family of this folder thus has one file for its unsigned and its signed form, with the parameter SIGNED.
//
// Parameters
//   A_BITS, B_BITS  operand widths, 1 or more
//   SIGNED          1 = two's complement operands; -128 has the magnitude 128 in 8 bits
module operand_magnitudes #(
    parameter A_BITS = 8,
    parameter B_BITS = 8,
    parameter SIGNED = 0
) (
    input  [A_BITS-1:0] a,
    input  [B_BITS-1:0] b,
    output [A_BITS-1:0] a_magnitude,
    output [B_BITS-1:0] b_magnitude,
    output negative
);
    wire a_negative = a[A_BITS-1] & (SIGNED != 0);
    wire b_negative = b[B_BITS-1] & (SIGNED != 0);

    assign negative = a_negative ^ b_negative;

    conditional_negation #(.WIDTH(A_BITS)) magnitude_of_a (
        .value(a), .negate(a_negative), .y(a_magnitude)
    );
    conditional_negation #(.WIDTH(B_BITS)) magnitude_of_b (
        .value(b), .negate(b_negative), .y(b_magnitude)
    );
endmodule
