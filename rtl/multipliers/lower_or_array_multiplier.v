// Array multiplier whose row additions are lower-part OR adders (LOA).
//
//                         a3b0 a2b0 a1b0|a0b0     LOW = 3: what lies in columns 0, 1 and 2 is OR-ed, so the
//                    a3b1 a2b1 a1b1|a0b1          adder of row 1 ORs two of its bits, that of row 2 one and
//               a3b2 a2b2 a1b2|a0b2               that of row 3 none. Each carries into column 3 where both
//          a3b3 a2b3 a1b3 a0b3                    bits of column 2 are set.
//     y7   y6   y5   y4   y3   y2   y1   y0
//
// Source: the adder is that of H. R. Mahdiani, A. Ahmadi, S. M. Fakhraie and C. Lucas, "Bio-inspired imprecise
// computational blocks for efficient VLSI implementation of soft-computing applications", IEEE Transactions on
// Circuits and Systems I, vol. 57, no. 4, 2010.
//
// Parameters
//   A_BITS, B_BITS  operand widths, 1 or more
//   LOW             number of OR-ed columns, 0 ... A_BITS + B_BITS - 1
//   SIGNED          1 = two's complement operands, multiplied as magnitudes
//
// Exact when LOW = 0 or LOW = 1.
module lower_or_array_multiplier #(
    parameter A_BITS = 8,
    parameter B_BITS = 8,
    parameter LOW = 6,
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

    // What has been added up before each row, from the row's own column up: A_BITS bits each. Row 0 adds to 0.
    wire [A_BITS*(B_BITS+1)-1:0] sums;

    assign sums[A_BITS-1:0] = {A_BITS{1'b0}};
    assign magnitude[A_BITS+B_BITS-1:B_BITS] = sums[A_BITS*(B_BITS+1)-1:A_BITS*B_BITS];

    operand_magnitudes #(.A_BITS(A_BITS), .B_BITS(B_BITS), .SIGNED(SIGNED)) operands (
        .a(a), .b(b), .a_magnitude(a_magnitude), .b_magnitude(b_magnitude), .negative(negative)
    );

    genvar row;
    generate
        for (row = 0; row < B_BITS; row = row + 1) begin : rows
            localparam BELOW = (LOW > row) ? LOW - row : 0;
            localparam OR_BITS = (BELOW > A_BITS) ? A_BITS : BELOW;
            wire [A_BITS:0] sum;

            lower_or_adder #(.WIDTH(A_BITS), .LOW(OR_BITS)) adder (
                .a(sums[A_BITS*row+A_BITS-1:A_BITS*row]),
                .b(a_magnitude & {A_BITS{b_magnitude[row]}}),
                .sum(sum)
            );
            assign magnitude[row] = sum[0];
            assign sums[A_BITS*(row+1)+A_BITS-1:A_BITS*(row+1)] = sum[A_BITS:1];
        end
    endgenerate

    conditional_negation #(.WIDTH(A_BITS + B_BITS)) sign (.value(magnitude), .negate(negative), .y(y));
endmodule
