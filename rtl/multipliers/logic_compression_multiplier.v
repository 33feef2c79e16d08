// Significance-driven logic compression (SDLC): rows of the matrix are OR-ed in clusters before they are added.
//
//                        a3b0 a2b0 a1b0 a0b0      rows 0 and 1, DEPTH = 2: one cluster, and with rows 2
//                   a3b1 a2b1 a1b1 a0b1           and 3 another. In the columns below COLUMNS a cluster
//              a3b2 a2b2 a1b2 a0b2                adds one bit, the OR of its bits there; from COLUMNS
//         a3b3 a2b3 a1b3 a0b3                     on all its bits are added.
//     y7   y6   y5   y4   y3   y2   y1   y0
//
// Source: I. Qiqieh, R. Shafik, G. Tarawneh, D. Sokolov and A. Yakovlev, "Energy-efficient approximate multiplier
// design using bit significance-driven logic compression", Design, Automation & Test in Europe (DATE), 2017. There
// the clusters get shorter row by row, towards the significant bits; here they all end at one column.
//
// Parameters
//   A_BITS, B_BITS  operand widths, 1 or more
//   DEPTH           rows of a cluster, 2 or more (2, 3 and 4 in the paper)
//   COLUMNS         number of columns in which clusters are OR-ed, 0 ... A_BITS + B_BITS
//   SIGNED          1 = two's complement operands, multiplied as magnitudes
//
// Exact when COLUMNS = 0 or 1.
module logic_compression_multiplier #(
    parameter A_BITS = 8,
    parameter B_BITS = 8,
    parameter DEPTH = 2,
    parameter COLUMNS = 8,
    parameter SIGNED = 0
) (
    input  [A_BITS-1:0] a,
    input  [B_BITS-1:0] b,
    output [A_BITS+B_BITS-1:0] y
);
    // The bits that are left: in the low columns, of each cluster the one in the uppermost row that reaches there.
    function [A_BITS*B_BITS-1:0] bits_left;
        input [31:0] columns;
        reg [31:0] i;
        reg [31:0] j;
        begin
            for (j = 0; j < B_BITS; j = j + 1)
                for (i = 0; i < A_BITS; i = i + 1)
                    bits_left[j*A_BITS+i] = i + j >= columns || j % DEPTH == 0 || i == A_BITS - 1;
        end
    endfunction

    localparam [A_BITS*B_BITS-1:0] KEEP = bits_left(COLUMNS);

    wire [A_BITS-1:0] a_magnitude;
    wire [B_BITS-1:0] b_magnitude;
    wire [A_BITS+B_BITS-1:0] magnitude;
    wire negative;
    wire [A_BITS*B_BITS-1:0] matrix;

    operand_magnitudes #(.A_BITS(A_BITS), .B_BITS(B_BITS), .SIGNED(SIGNED)) operands (
        .a(a), .b(b), .a_magnitude(a_magnitude), .b_magnitude(b_magnitude), .negative(negative)
    );

    genvar row;
    genvar i;
    genvar k;
    generate
        for (row = 0; row < B_BITS; row = row + 1) begin : rows
            localparam NEXT = (row / DEPTH + 1) * DEPTH;
            localparam BELOW = ((NEXT < B_BITS) ? NEXT : B_BITS) - row;  // rows of the cluster from this one on

            for (i = 0; i < A_BITS; i = i + 1) begin : places
                localparam BITS = (i + row >= COLUMNS) ? 1 : (BELOW < i + 1) ? BELOW : i + 1;
                wire [BITS-1:0] products;

                for (k = 0; k < BITS; k = k + 1) begin : cluster
                    assign products[k] = a_magnitude[i-k] & b_magnitude[row+k];
                end
                assign matrix[row*A_BITS+i] = |products;
            end
        end
    endgenerate

    carry_save_reducer #(.A_BITS(A_BITS), .B_BITS(B_BITS), .KEEP(KEEP)) reducer (
        .matrix(matrix), .extra({A_BITS+B_BITS{1'b0}}), .y(magnitude)
    );
    conditional_negation #(.WIDTH(A_BITS + B_BITS)) sign (.value(magnitude), .negate(negative), .y(y));
endmodule
