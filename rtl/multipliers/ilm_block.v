// Basic block of the iterative logarithmic multiplier, with what is left of the operands.
//
//     a = 2^k + r, b = 2^l + s:      product = 2^k * 2^l + r * 2^l + s * 2^k      0 where a or b is 0
//
// What it leaves out is r * s, a product of the same kind. Two of the terms are one, a * 2^l.
//
// Source: see ilm_multiplier.v.
//
// Parameters
//   A_BITS, B_BITS  operand widths, 1 or more
module ilm_block #(
    parameter A_BITS = 8,
    parameter B_BITS = 8
) (
    input  [A_BITS-1:0] a,
    input  [B_BITS-1:0] b,
    output [A_BITS+B_BITS-1:0] product,
    output [A_BITS-1:0] r,
    output [B_BITS-1:0] s
);
    wire [A_BITS-1:0] a_leading;
    wire [B_BITS-1:0] b_leading;
    wire [A_BITS+B_BITS-2:0] a_share;
    wire [A_BITS+B_BITS-2:0] s_share;

    assign r = a & ~a_leading;
    assign s = b & ~b_leading;

    leading_one #(.WIDTH(A_BITS)) detector_of_a (.value(a), .y(a_leading));
    leading_one #(.WIDTH(B_BITS)) detector_of_b (.value(b), .y(b_leading));
    one_hot_shifter #(.WIDTH(A_BITS), .POWER_WIDTH(B_BITS)) shifter_of_a (
        .value(a), .power(b_leading), .y(a_share)
    );
    one_hot_shifter #(.WIDTH(B_BITS), .POWER_WIDTH(A_BITS)) shifter_of_s (
        .value(s), .power(a_leading), .y(s_share)
    );
    ripple_adder_row #(.WIDTH(A_BITS + B_BITS - 1)) adder (.a(a_share), .b(s_share), .sum(product));
endmodule
