// Static segment multiplier (SSM, ESSM), unsigned core: a K x K multiplier of segments from fixed places.
//
//     a --> segment of K bits --+
//                               [ exact K x K ] --> << place of a --> << place of b --> y
//     b --> segment of K bits --+
//
// SSM chooses between the K highest and the K lowest bits of an operand, ESSM also has a middle segment. What
// stands to the right of the segment is left out, so y is never too large. There are 2 or 3 places instead of
// all (see drum_multiplier.v), and no leading-one detector: an OR of the bits above tells the place.
//
// Source: S. Narayanamoorthy, H. A. Moghaddam, Z. Liu, T. Park and N. S. Kim, "Energy-efficient approximate
// multiplication for digital signal processing and classification applications", IEEE Transactions on VLSI
// Systems, vol. 23, no. 6, 2015; its ESSM has the middle segment half-way, MIDDLE = (WIDTH - K) / 2. Any place:
// G. Di Meo, G. Saggese, A. G. M. Strollo and D. De Caro, "Design of generalized enhanced static segment
// multiplier with minimum mean square error for uniform and nonuniform input distributions", Electronics,
// vol. 12, no. 2, 2023.
//
// Parameters
//   A_BITS, B_BITS  operand widths, K ... 2 K without a middle segment, K ... K + MIDDLE + K with one
//   K               segment width, 1 or more
//   MIDDLE          lowest bit of the middle segments, 0 ... K; an operand has none where it is 0, or where the
//                   width - K is no more
//   SIGNED          1 = two's complement operands, multiplied as magnitudes
//
// Exact when K = A_BITS = B_BITS, for all operands below 2^K, and where all bits left out are 0.
module static_segment_multiplier #(
    parameter A_BITS = 8,
    parameter B_BITS = 8,
    parameter K = 4,
    parameter MIDDLE = 0,
    parameter SIGNED = 0
) (
    input  [A_BITS-1:0] a,
    input  [B_BITS-1:0] b,
    output [A_BITS+B_BITS-1:0] y
);
    wire [A_BITS-1:0] a_magnitude;
    wire [B_BITS-1:0] b_magnitude;
    wire [A_BITS+B_BITS-1:0] magnitude;
    wire negative;
    wire [K-1:0] a_segment;
    wire [K-1:0] b_segment;
    wire a_middle;
    wire b_middle;
    wire a_high;
    wire b_high;
    wire [2*K-1:0] product;
    wire [A_BITS+K-1:0] shifted;

    operand_magnitudes #(.A_BITS(A_BITS), .B_BITS(B_BITS), .SIGNED(SIGNED)) operands (
        .a(a), .b(b), .a_magnitude(a_magnitude), .b_magnitude(b_magnitude), .negative(negative)
    );
    static_segment #(.WIDTH(A_BITS), .K(K), .MIDDLE(MIDDLE)) segment_of_a (
        .value(a_magnitude), .segment(a_segment), .middle(a_middle), .high(a_high)
    );
    static_segment #(.WIDTH(B_BITS), .K(K), .MIDDLE(MIDDLE)) segment_of_b (
        .value(b_magnitude), .segment(b_segment), .middle(b_middle), .high(b_high)
    );
    exact_array_multiplier #(.A_BITS(K), .B_BITS(K)) multiplier (.a(a_segment), .b(b_segment), .y(product));
    segment_shifter #(.WIDTH(2 * K), .MIDDLE(MIDDLE), .HIGH(A_BITS - K)) shifter_for_a (
        .product(product), .middle(a_middle), .high(a_high), .y(shifted)
    );
    segment_shifter #(.WIDTH(A_BITS + K), .MIDDLE(MIDDLE), .HIGH(B_BITS - K)) shifter_for_b (
        .product(shifted), .middle(b_middle), .high(b_high), .y(magnitude)
    );
    conditional_negation #(.WIDTH(A_BITS + B_BITS)) sign (.value(magnitude), .negate(negative), .y(y));
endmodule
