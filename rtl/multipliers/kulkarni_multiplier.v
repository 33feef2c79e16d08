// Kulkarni's underdesigned multiplier, unsigned: built from 2x2 blocks that answer 3 * 3 = 7.
//
//     block:  y2 = a1b1    y1 = a1b0 | a0b1    y0 = a0b0        three output bits instead of four
//
//     wide:   a = 2^h ah + al, b = 2^h bh + bl:    ah*bh << 2h  +  (ah*bl + al*bh) << h  +  al*bl,
//             each product made the same way from halves, down to the 2x2 blocks; the additions are exact.
//
// The additions are exact, so the recursion is the same as adding up the blocks of all pairs of two-bit
// digits. They stand in one matrix: an exact block has four bits there, an underdesigned one three, with y1
// in the place of a1b0.
//
// Source: P. Kulkarni, P. Gupta and M. Ercegovac, "Trading accuracy for power with an underdesigned
// multiplier architecture", 24th International Conference on VLSI Design, 2011.
//
// Parameters
//   A_BITS, B_BITS  operand widths, even (2, 4 and 8 in the paper)
//   EXACT_COLUMN    blocks whose lowest bit stands in this column or left of it are exact; the block of bits
//                   p and p + 1 of a, q and q + 1 of b starts in column p + q. Default: no block is exact.
//
// Exact when EXACT_COLUMN = 0.
module kulkarni_multiplier #(
    parameter A_BITS = 8,
    parameter B_BITS = 8,
    parameter EXACT_COLUMN = A_BITS + B_BITS
) (
    input  [A_BITS-1:0] a,
    input  [B_BITS-1:0] b,
    output [A_BITS+B_BITS-1:0] y
);
    // All matrix bits but the a0b1 of the underdesigned blocks.
    function [A_BITS*B_BITS-1:0] bits_of_blocks;
        input [31:0] exact_column;
        reg [31:0] i;
        reg [31:0] j;
        begin
            bits_of_blocks = {A_BITS*B_BITS{1'b1}};
            for (j = 0; j < B_BITS; j = j + 2)
                for (i = 0; i < A_BITS; i = i + 2)
                    bits_of_blocks[(j+1)*A_BITS+i] = i + j >= exact_column;
        end
    endfunction

    wire [A_BITS*B_BITS-1:0] matrix;

    genvar p;
    genvar q;
    generate
        for (q = 0; q < B_BITS; q = q + 2) begin : rows
            for (p = 0; p < A_BITS; p = p + 2) begin : blocks
                wire a1b0 = a[p+1] & b[q];
                wire a0b1 = a[p] & b[q+1];

                assign matrix[q*A_BITS+p] = a[p] & b[q];
                assign matrix[(q+1)*A_BITS+p+1] = a[p+1] & b[q+1];
                if (p + q >= EXACT_COLUMN) begin : exact
                    assign matrix[q*A_BITS+p+1] = a1b0;
                    assign matrix[(q+1)*A_BITS+p] = a0b1;
                end else begin : underdesigned
                    assign matrix[q*A_BITS+p+1] = a1b0 | a0b1;
                    assign matrix[(q+1)*A_BITS+p] = 1'b0;
                end
            end
        end
    endgenerate

    carry_save_reducer #(.A_BITS(A_BITS), .B_BITS(B_BITS), .KEEP(bits_of_blocks(EXACT_COLUMN))) reducer (
        .matrix(matrix), .extra({A_BITS+B_BITS{1'b0}}), .y(y)
    );
endmodule
