// Multiplier of altered partial products: the rare "generate" bits of a column are OR-ed before they are added.
//
//     two bits of one column:   a_m b_n + a_n b_m  =  p + g,    p = a_m b_n | a_n b_m    set for 7/16 of all operands
//                                                               g = a_m b_n & a_n b_m    set for 1/16
//
//     column 7, 8x8:  8 bits = 4 p + 4 g  -->  4 p + 1 G,  G = g70 | g61 | g52 | g43, with GROUP = 4
//
// Only two set g in one group make an error. A column with a single pair stays as it is: columns 3 ... 11 of an 8x8
// multiplier are altered. All additions are exact; the paper goes on with approximate adders and compressors.
//
// Source: S. Venkatachalam and S.-B. Ko, "Design of power and area efficient approximate multipliers", IEEE
// Transactions on VLSI Systems, vol. 25, no. 5, 2017.
//
// Parameters
//   A_BITS, B_BITS  operand widths, 1 or more; bits of the wider operand without a partner stay as they are
//   GROUP           most generate bits that share an OR, 1 or more (4 in the paper)
//   COLUMNS         columns below this one are altered, 0 ... A_BITS + B_BITS
//   SIGNED          1 = two's complement operands, multiplied as magnitudes
//
// Exact when GROUP = 1 or COLUMNS = 0.
module generate_or_multiplier #(
    parameter A_BITS = 8,
    parameter B_BITS = 8,
    parameter GROUP = 4,
    parameter COLUMNS = A_BITS + B_BITS,
    parameter SIGNED = 0
) (
    input  [A_BITS-1:0] a,
    input  [B_BITS-1:0] b,
    output [A_BITS+B_BITS-1:0] y
);
    localparam PAIRED = (A_BITS < B_BITS) ? A_BITS : B_BITS;  // bits of both operands that can form pairs

    // In a column c, pairs have n = lowest, lowest + 1, ... and m = c - n > n. p stands at place m of row n, the G of
    // a group at place n of row m, where n and m are the group's first pair.
    function [A_BITS*B_BITS-1:0] bits_left;
        input [31:0] columns;
        reg [31:0] i;
        reg [31:0] j;
        reg [31:0] lowest;
        begin
            for (j = 0; j < B_BITS; j = j + 1)
                for (i = 0; i < A_BITS; i = i + 1) begin
                    lowest = (i + j < PAIRED) ? 0 : i + j + 1 - PAIRED;
                    bits_left[j*A_BITS+i] =
                        i >= j || j >= PAIRED || i + j >= columns || (i - lowest) % GROUP == 0;
                end
        end
    endfunction

    wire [A_BITS-1:0] a_magnitude;
    wire [B_BITS-1:0] b_magnitude;
    wire [A_BITS+B_BITS-1:0] magnitude;
    wire negative;
    wire [A_BITS*B_BITS-1:0] products;
    wire [A_BITS*B_BITS-1:0] matrix;

    operand_magnitudes #(.A_BITS(A_BITS), .B_BITS(B_BITS), .SIGNED(SIGNED)) operands (
        .a(a), .b(b), .a_magnitude(a_magnitude), .b_magnitude(b_magnitude), .negative(negative)
    );

    genvar j;
    genvar i;
    genvar k;
    generate
        for (j = 0; j < B_BITS; j = j + 1) begin : rows
            assign products[j*A_BITS+A_BITS-1:j*A_BITS] = a_magnitude & {A_BITS{b_magnitude[j]}};
            for (i = 0; i < A_BITS; i = i + 1) begin : places
                localparam LOWEST = (i + j < PAIRED) ? 0 : i + j + 1 - PAIRED;
                localparam PAIRS = (i + j + 1) / 2 - LOWEST;

                if (i == j || i >= PAIRED || j >= PAIRED || i + j >= COLUMNS || PAIRS < 2) begin : plain
                    assign matrix[j*A_BITS+i] = products[j*A_BITS+i];
                end else if (i > j) begin : propagate
                    assign matrix[j*A_BITS+i] = products[j*A_BITS+i] | products[i*A_BITS+j];
                end else begin : generated
                    localparam BITS = (i + GROUP > LOWEST + PAIRS) ? LOWEST + PAIRS - i : GROUP;
                    wire [BITS-1:0] bits;

                    for (k = 0; k < BITS; k = k + 1) begin : group
                        assign bits[k] = products[(j-k)*A_BITS+i+k] & products[(i+k)*A_BITS+j-k];
                    end
                    assign matrix[j*A_BITS+i] = |bits;
                end
            end
        end
    endgenerate

    carry_save_reducer #(.A_BITS(A_BITS), .B_BITS(B_BITS), .KEEP(bits_left(COLUMNS))) reducer (
        .matrix(matrix), .extra({A_BITS+B_BITS{1'b0}}), .y(magnitude)
    );
    conditional_negation #(.WIDTH(A_BITS + B_BITS)) sign (.value(magnitude), .negate(negative), .y(y));
endmodule
