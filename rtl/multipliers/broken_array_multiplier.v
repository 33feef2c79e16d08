// Broken-array multiplier (BAM), unsigned: cells of the carry-save array are left out.
//
//                         .    .    .  | .        HBL = 1 omits row 0: the cells above the horizontal line.
//     HBL = 1 ------------------------ |
//                   a3b1 a2b1 a1b1 a0b1|          VBL = 1 omits column 0: the cells to the right
//              a3b2 a2b2 a1b2 a0b2     |          of the vertical line.
//         a3b3 a2b3 a1b3 a0b3          |
//     y7   y6   y5   y4   y3   y2   y1 | 0
//                                    VBL = 1
//
// A cell is an AND gate and its adder. All outputs of an omitted cell count as 0.
//
// Source: H. R. Mahdiani, A. Ahmadi, S. M. Fakhraie and C. Lucas, "Bio-inspired imprecise computational
// blocks for efficient VLSI implementation of soft-computing applications", IEEE Transactions on Circuits and
// Systems I, vol. 57, no. 4, 2010.
//
// Parameters
//   A_BITS, B_BITS  operand widths, 1 or more
//   HBL             horizontal break level: number of omitted rows, 0 ... B_BITS
//   VBL             vertical break level: number of omitted columns, 0 ... A_BITS + B_BITS - 1
//
// Exact when HBL = 0 and VBL = 0. Equal to the truncated multiplier when HBL = 0.
module broken_array_multiplier #(
    parameter A_BITS = 8,
    parameter B_BITS = 8,
    parameter HBL = 2,
    parameter VBL = 5
) (
    input  [A_BITS-1:0] a,
    input  [B_BITS-1:0] b,
    output [A_BITS+B_BITS-1:0] y
);
    // The matrix bits below the horizontal line and to the left of the vertical one.
    function [A_BITS*B_BITS-1:0] bits_inside;
        input [31:0] first_row;
        input [31:0] first_column;
        reg [31:0] i;
        reg [31:0] j;
        begin
            for (j = 0; j < B_BITS; j = j + 1)
                for (i = 0; i < A_BITS; i = i + 1)
                    bits_inside[j*A_BITS+i] = j >= first_row && i + j >= first_column;
        end
    endfunction

    wire [A_BITS*B_BITS-1:0] matrix;

    genvar row;
    generate
        for (row = 0; row < B_BITS; row = row + 1) begin : rows
            assign matrix[row*A_BITS+A_BITS-1:row*A_BITS] = a & {A_BITS{b[row]}};
        end
    endgenerate

    carry_save_reducer #(.A_BITS(A_BITS), .B_BITS(B_BITS), .KEEP(bits_inside(HBL, VBL))) reducer (
        .matrix(matrix), .extra({A_BITS+B_BITS{1'b0}}), .y(y)
    );
endmodule
