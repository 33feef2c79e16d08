// Partial product perforation, unsigned core: some successive rows of the matrix are not built.
//
//                        a3b0 a2b0 a1b0 a0b0      row 0
//                    .    .    .    .             row 1   FIRST = 1, ROWS = 2: rows 1 and 2 are omitted,
//               .    .    .    .                  row 2   which loses a * (b2b1) * 2^1
//         a3b3 a2b3 a1b3 a0b3                     row 3
//     y7   y6   y5   y4   y3   y2   y1   y0
//
// Source: G. Zervakis, K. Tsoumanis, S. Xydis, D. Soudris and K. Pekmestzi, "Design-efficient approximate
// multiplication circuits through partial product perforation", IEEE Transactions on VLSI Systems, vol. 24,
// no. 10, 2016: its j is FIRST, its k is ROWS.
//
// Parameters
//   A_BITS, B_BITS  operand widths, 1 or more
//   FIRST           first omitted row, 0 ... B_BITS - 1
//   ROWS            number of omitted rows, 0 ... B_BITS - FIRST
//   SIGNED          1 = two's complement operands, multiplied as magnitudes
//
// Exact when ROWS = 0. FIRST = 0 is the broken array with HBL = ROWS.
module perforated_multiplier #(
    parameter A_BITS = 8,
    parameter B_BITS = 8,
    parameter FIRST = 1,
    parameter ROWS = 2,
    parameter SIGNED = 0
) (
    input  [A_BITS-1:0] a,
    input  [B_BITS-1:0] b,
    output [A_BITS+B_BITS-1:0] y
);
    // The matrix bits of all rows but ROWS from FIRST on.
    function [A_BITS*B_BITS-1:0] bits_of_rows;
        input [31:0] first;
        input [31:0] rows;
        reg [31:0] at;
        begin
            for (at = 0; at < A_BITS * B_BITS; at = at + 1)
                bits_of_rows[at] = at < first * A_BITS || at >= (first + rows) * A_BITS;
        end
    endfunction

    wire [A_BITS-1:0] a_magnitude;
    wire [B_BITS-1:0] b_magnitude;
    wire [A_BITS+B_BITS-1:0] magnitude;
    wire negative;
    wire [A_BITS*B_BITS-1:0] matrix;

    operand_magnitudes #(.A_BITS(A_BITS), .B_BITS(B_BITS), .SIGNED(SIGNED)) operands (
        .a(a), .b(b), .a_magnitude(a_magnitude), .b_magnitude(b_magnitude), .negative(negative)
    );

    genvar row;
    generate
        for (row = 0; row < B_BITS; row = row + 1) begin : rows
            assign matrix[row*A_BITS+A_BITS-1:row*A_BITS] = a_magnitude & {A_BITS{b_magnitude[row]}};
        end
    endgenerate

    carry_save_reducer #(.A_BITS(A_BITS), .B_BITS(B_BITS), .KEEP(bits_of_rows(FIRST, ROWS))) reducer (
        .matrix(matrix), .extra({A_BITS+B_BITS{1'b0}}), .y(magnitude)
    );
    conditional_negation #(.WIDTH(A_BITS + B_BITS)) sign (.value(magnitude), .negate(negative), .y(y));
endmodule
