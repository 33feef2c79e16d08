// DRUM, the dynamic range unbiased multiplier, unsigned: a K x K multiplier between two shifters.
//
//     a --> segment of K bits --+
//                               [ exact K x K ] --> << (shift of a + shift of b) --> y
//     b --> segment of K bits --+
//
// Source: S. Hashemi, R. I. Bahar and S. Reda, "DRUM: a dynamic range unbiased multiplier for approximate
// applications", IEEE/ACM International Conference on Computer-Aided Design (ICCAD), 2015. LAST_ONE = 0 makes it the
// dynamic segment method (DSM), which static_segment_multiplier.v's source compares itself with: nothing makes up
// for what is cut off, so y is never too large.
//
// Parameters
//   A_BITS, B_BITS  operand widths, K or more
//   K               segment width, 2 or more (3 and more in the paper)
//   LAST_ONE        0 = the lowest bit of a cut segment is not set to 1
//
// Exact when K = A_BITS = B_BITS, and for all operands below 2^K.
module drum_multiplier #(
    parameter A_BITS = 8,
    parameter B_BITS = 8,
    parameter K = 4,
    parameter LAST_ONE = 1
) (
    input  [A_BITS-1:0] a,
    input  [B_BITS-1:0] b,
    output [A_BITS+B_BITS-1:0] y
);
    localparam Y_BITS = A_BITS + B_BITS;
    localparam SHIFT_BITS = $clog2(((A_BITS > B_BITS) ? A_BITS : B_BITS) - K + 2);

    wire [K-1:0] a_segment;
    wire [K-1:0] b_segment;
    wire [SHIFT_BITS-1:0] a_shift;
    wire [SHIFT_BITS-1:0] b_shift;
    wire [SHIFT_BITS:0] shift;
    wire [2*K-1:0] product;
    wire [Y_BITS-1:0] wide_product;

    drum_segment #(.WIDTH(A_BITS), .K(K), .SHIFT_BITS(SHIFT_BITS), .LAST_ONE(LAST_ONE)) segment_of_a (
        .value(a), .segment(a_segment), .shift(a_shift)
    );
    drum_segment #(.WIDTH(B_BITS), .K(K), .SHIFT_BITS(SHIFT_BITS), .LAST_ONE(LAST_ONE)) segment_of_b (
        .value(b), .segment(b_segment), .shift(b_shift)
    );
    exact_array_multiplier #(.A_BITS(K), .B_BITS(K)) multiplier (.a(a_segment), .b(b_segment), .y(product));
    ripple_adder_row #(.WIDTH(SHIFT_BITS)) shift_adder (.a(a_shift), .b(b_shift), .sum(shift));

    generate
        if (Y_BITS > 2 * K) begin : widened
            assign wide_product = {{Y_BITS-2*K{1'b0}}, product};
        end else begin : full
            assign wide_product = product;
        end
    endgenerate
    assign y = wide_product << shift;
endmodule
