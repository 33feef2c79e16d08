// Multiplier of 2x2 blocks whose lowest bit follows the highest: at most 1 wrong, for 1 * 1, 1 * 3 and 3 * 1.
//
//     block:  y3 = a1b1 & a0b0    y2 = a1b1 & ~a0b0    y1 = a1b0 ^ a0b1    y0 = y3 instead of a0b0
//
// The blocks of all pairs of two-bit digits are added exactly. Where EXACT_COLUMN says so, y0 = a0b0.
//
// Source: S. Rehman, W. El-Harouni, M. Shafique, A. Kumar and J. Henkel, "Architectural-space exploration of
// approximate multipliers", IEEE/ACM International Conference on Computer-Aided Design (ICCAD), 2016.
//
// Parameters
//   A_BITS, B_BITS  operand widths, even
//   EXACT_COLUMN    blocks whose lowest bit stands in this column or left of it are exact; the block of bits
//                   p and p + 1 of a, q and q + 1 of b starts in column p + q. Default: no block is exact.
//   SIGNED          1 = two's complement operands, multiplied as magnitudes
//
// Exact when EXACT_COLUMN = 0.
module rehman_multiplier #(
    parameter A_BITS = 8,
    parameter B_BITS = 8,
    parameter EXACT_COLUMN = A_BITS + B_BITS,
    parameter SIGNED = 0
) (
    input  [A_BITS-1:0] a,
    input  [B_BITS-1:0] b,
    output [A_BITS+B_BITS-1:0] y
);
    // A block's bits in the matrix: y0 and y1 in its upper row; y2 and y3 in its lower one, y3 one place further
    // left than the block, where the next block has none.
    localparam PLACES = A_BITS + 1;
    function [PLACES*B_BITS-1:0] bits_of_blocks;
        input [31:0] rows;
        reg [31:0] i;
        reg [31:0] j;
        begin
            for (j = 0; j < rows; j = j + 1)
                for (i = 0; i < PLACES; i = i + 1)
                    bits_of_blocks[j*PLACES+i] = (j % 2 == 0) ? i < A_BITS : i > 0;
        end
    endfunction

    wire [A_BITS-1:0] a_magnitude;
    wire [B_BITS-1:0] b_magnitude;
    wire [A_BITS+B_BITS:0] magnitude;
    wire negative;
    wire unused = magnitude[A_BITS+B_BITS];
    wire [PLACES*B_BITS-1:0] matrix;

    operand_magnitudes #(.A_BITS(A_BITS), .B_BITS(B_BITS), .SIGNED(SIGNED)) operands (
        .a(a), .b(b), .a_magnitude(a_magnitude), .b_magnitude(b_magnitude), .negative(negative)
    );

    genvar p;
    genvar q;
    generate
        for (q = 0; q < B_BITS; q = q + 2) begin : rows
            assign matrix[q*PLACES+A_BITS] = 1'b0;
            assign matrix[(q+1)*PLACES] = 1'b0;
            for (p = 0; p < A_BITS; p = p + 2) begin : blocks
                wire low = a_magnitude[p] & b_magnitude[q];
                wire high = a_magnitude[p+1] & b_magnitude[q+1];

                assign matrix[q*PLACES+p] = (p + q >= EXACT_COLUMN) ? low : low & high;
                assign matrix[q*PLACES+p+1] = (a_magnitude[p+1] & b_magnitude[q]) ^ (a_magnitude[p] & b_magnitude[q+1]);
                assign matrix[(q+1)*PLACES+p+1] = high & ~low;
                assign matrix[(q+1)*PLACES+p+2] = high & low;
            end
        end
    endgenerate

    carry_save_reducer #(.A_BITS(PLACES), .B_BITS(B_BITS), .KEEP(bits_of_blocks(B_BITS))) reducer (
        .matrix(matrix), .extra({A_BITS+B_BITS+1{1'b0}}), .y(magnitude)
    );
    conditional_negation #(.WIDTH(A_BITS + B_BITS)) sign (
        .value(magnitude[A_BITS+B_BITS-1:0]), .negate(negative), .y(y)
    );
endmodule
