// Exact unsigned multiplier: the carry-save array, y = a * b. The baseline of everything else.
//
//                        a3b0 a2b0 a1b0 a0b0      row 0
//                   a3b1 a2b1 a1b1 a0b1           row 1
//              a3b2 a2b2 a1b2 a0b2                row 2
//         a3b3 a2b3 a1b3 a0b3                     row 3
//     y7   y6   y5   y4   y3   y2   y1   y0
//
// Source: E. L. Braun, "Digital Computer Design", Academic Press, 1963.
//
// Parameters
//   A_BITS, B_BITS  operand widths, 1 or more
//
// Exact always.
module exact_array_multiplier #(
    parameter A_BITS = 8,
    parameter B_BITS = 8
) (
    input  [A_BITS-1:0] a,
    input  [B_BITS-1:0] b,
    output [A_BITS+B_BITS-1:0] y
);
    wire [A_BITS*B_BITS-1:0] matrix;

    genvar row;
    generate
        for (row = 0; row < B_BITS; row = row + 1) begin : rows
            assign matrix[row*A_BITS+A_BITS-1:row*A_BITS] = a & {A_BITS{b[row]}};
        end
    endgenerate

    carry_save_reducer #(.A_BITS(A_BITS), .B_BITS(B_BITS)) reducer (
        .matrix(matrix), .extra({A_BITS+B_BITS{1'b0}}), .y(y)
    );
endmodule
