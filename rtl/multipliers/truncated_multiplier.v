// Truncated unsigned multiplier: the lowest columns of the partial-product matrix are not built.
//
//                        a3b0  .    .    .        DROP = 3: columns 0, 1 and 2 are omitted and
//                   a3b1 a2b1  .    .             y2, y1, y0 are constant 0.
//              a3b2 a2b2 a1b2  .
//         a3b3 a2b3 a1b3 a0b3                     COMPENSATE = 1 adds one bit to column 3:
//     y7   y6   y5   y4   y3   0    0    0        a2b0 | a1b1 | a0b2, the OR of column 2.
//
// Source: M. J. Schulte and E. E. Swartzlander, "Truncated multiplication with correction constant", VLSI
// Signal Processing VI, 1993. The OR is a one-bit form of the correction by the last dropped column in
// E. J. King and E. E. Swartzlander, "Data-dependent truncation scheme for parallel multipliers", Asilomar
// Conference on Signals, Systems and Computers, 1997.
//
// Parameters
//   A_BITS, B_BITS  operand widths, 1 or more
//   DROP            number of omitted columns, 0 ... A_BITS + B_BITS - 1
//   COMPENSATE      1 = OR the bits of the highest omitted column into the lowest kept one
//
// Exact when DROP = 0.
module truncated_multiplier #(
    parameter A_BITS = 8,
    parameter B_BITS = 8,
    parameter DROP = 4,
    parameter COMPENSATE = 0
) (
    input  [A_BITS-1:0] a,
    input  [B_BITS-1:0] b,
    output [A_BITS+B_BITS-1:0] y
);
    localparam Y_BITS = A_BITS + B_BITS;

    // The matrix bits in a column and to its left.
    function [A_BITS*B_BITS-1:0] bits_from;
        input [31:0] column;
        reg [31:0] i;
        reg [31:0] j;
        begin
            for (j = 0; j < B_BITS; j = j + 1)
                for (i = 0; i < A_BITS; i = i + 1)
                    bits_from[j*A_BITS+i] = i + j >= column;
        end
    endfunction

    localparam [A_BITS*B_BITS-1:0] KEEP = bits_from(DROP);
    localparam [A_BITS*B_BITS-1:0] LAST_DROPPED = bits_from(DROP - 1) & ~KEEP;
    localparam [Y_BITS-1:0] ONE = 1;
    localparam [Y_BITS-1:0] EXTRA = (COMPENSATE != 0 && DROP > 0) ? ONE << DROP : 0;

    wire [A_BITS*B_BITS-1:0] matrix;

    genvar row;
    generate
        for (row = 0; row < B_BITS; row = row + 1) begin : rows
            assign matrix[row*A_BITS+A_BITS-1:row*A_BITS] = a & {A_BITS{b[row]}};
        end
    endgenerate

    carry_save_reducer #(.A_BITS(A_BITS), .B_BITS(B_BITS), .KEEP(KEEP), .EXTRA(EXTRA)) reducer (
        .matrix(matrix), .extra(EXTRA & {Y_BITS{|(matrix & LAST_DROPPED)}}), .y(y)
    );
endmodule
