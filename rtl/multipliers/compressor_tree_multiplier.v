// Dadda tree whose lowest columns are reduced by approximate 4:2 compressors.
//
//     column:    14 13 12 11 10  9  8 |  7  6  5  4  3  2  1  0     8x8 with APPROXIMATE = 8
//     stage 1:   exact: full adders   |  4:2 compressors             at most 4 bits in each column are left
//     stage 2:   exact: full adders   |  4:2 compressors             at most 2
//     stage 3:   exact addition of the two rows, in all columns      1
//
// Dadda's rule with the heights of 4:2 compressors, 2, 4 and 8: in a stage, a column is reduced just as far as it
// has to be. While it has 3 bits too many it takes a compressor, for 2 a full adder, for 1 a half adder. A column
// left of the approximate ones takes no compressors, but more full adders. Bits queue as in compressor_column.v:
// matrix bits by row, then the carries of the column to the right.
//
// Source: A. Momeni, J. Han, P. Montuschi and F. Lombardi, "Design and analysis of approximate compressors for
// multiplication", IEEE Transactions on Computers, vol. 64, no. 4, 2015: multipliers 1 and 2 (all columns) and 3
// and 4 (the lowest A_BITS - 1). Figure 9 there shows the cells of each column, not which bit goes to which input.
// The tree is L. Dadda's, "Some schemes for parallel multipliers", Alta Frequenza, vol. 34, 1965.
//
// Parameters
//   A_BITS, B_BITS  operand widths, 2 or more
//   APPROXIMATE     number of columns with approximate compressors, 0 ... A_BITS + B_BITS
//   KIND            which compressor, see approximate_compressor.v
//   SIGNED          1 = two's complement operands, multiplied as magnitudes
//
// Exact when APPROXIMATE = 0. A column of at most 3 bits never needs a compressor.
module compressor_tree_multiplier #(
    parameter A_BITS = 8,
    parameter B_BITS = 8,
    parameter APPROXIMATE = 8,
    parameter KIND = 2,
    parameter SIGNED = 0
) (
    input  [A_BITS-1:0] a,
    input  [B_BITS-1:0] b,
    output [A_BITS+B_BITS-1:0] y
);
    localparam COLUMNS = A_BITS + B_BITS;
    localparam HEIGHT = (A_BITS < B_BITS) ? A_BITS : B_BITS;
    localparam STAGES = $clog2(HEIGHT);

    // For each stage and column four bytes: bits, compressors, full adders, half adders.
    function [32*STAGES*COLUMNS-1:0] cells_by_column;
        input [31:0] approximate;
        reg [8*COLUMNS-1:0] heights;
        reg [31:0] stage;
        reg [31:0] c;
        reg [31:0] k;
        reg [31:0] most;
        reg [31:0] bits;
        reg [31:0] compressors;
        reg [31:0] spare;
        reg [31:0] carries;
        reg [31:0] couts;
        begin
            for (c = 0; c < COLUMNS; c = c + 1) begin
                k = (c < HEIGHT) ? c + 1 : HEIGHT;
                heights[8*c +: 8] = (c + 1 + k > COLUMNS) ? COLUMNS - 1 - c : k;
            end
            for (stage = 0; stage < STAGES; stage = stage + 1) begin
                most = 1 << (STAGES - 1 - stage);
                carries = 0;
                couts = 0;
                for (c = 0; c < COLUMNS; c = c + 1) begin
                    bits = heights[8*c +: 8] + carries;
                    compressors = 0;
                    spare = couts;  // of the neighbour's couts, those that no compressor takes as its cin
                    for (k = 0; k < HEIGHT; k = k + 1)
                        if (c < approximate && most > 1 && bits + spare >= most + 3 * compressors + 3) begin
                            compressors = compressors + 1;
                            spare = (spare > 0) ? spare - 1 : 0;
                        end
                    bits = bits + spare;
                    k = (bits > most + 3 * compressors) ? bits - most - 3 * compressors : 0;
                    cells_by_column[32*(stage*COLUMNS+c) +: 32] =
                        {7'd0, k[0], k[8:1], compressors[7:0], bits[7:0]};
                    heights[8*c +: 8] = bits - 3 * compressors - k;
                    carries = compressors + (k + 1) / 2;
                    couts = (KIND == 1) ? compressors : 0;
                end
            end
        end
    endfunction
    localparam [32*STAGES*COLUMNS-1:0] CELLS = cells_by_column(APPROXIMATE);

    wire [A_BITS-1:0] a_magnitude;
    wire [B_BITS-1:0] b_magnitude;
    wire [COLUMNS-1:0] magnitude;
    wire negative;

    operand_magnitudes #(.A_BITS(A_BITS), .B_BITS(B_BITS), .SIGNED(SIGNED)) operands (
        .a(a), .b(b), .a_magnitude(a_magnitude), .b_magnitude(b_magnitude), .negative(negative)
    );
    conditional_negation #(.WIDTH(COLUMNS)) sign (.value(magnitude), .negate(negative), .y(y));

    genvar stage;
    genvar column;
    genvar k;
    generate
        for (stage = 0; stage < STAGES; stage = stage + 1) begin : stages
            for (column = 0; column < COLUMNS; column = column + 1) begin : columns
                localparam [31:0] OWN = CELLS[32*(stage*COLUMNS+column) +: 32];
                localparam [31:0] RIGHT = (column > 0) ? CELLS[32*(stage*COLUMNS+column-(column>0)) +: 32] : 0;
                localparam BITS = OWN[7:0];
                localparam COMPRESSORS = OWN[15:8];
                localparam FULL = OWN[23:16];
                localparam HALF = OWN[31:24];
                localparam ADDERS = COMPRESSORS + FULL + HALF;
                localparam LEFT = BITS - 3 * COMPRESSORS - 2 * FULL - HALF;
                localparam CARRIES = RIGHT[15:8] + RIGHT[23:16] + RIGHT[31:24];
                localparam COUTS = (KIND == 1) ? RIGHT[15:8] : 0;
                localparam CINS = (COUTS < COMPRESSORS) ? COUTS : COMPRESSORS;
                // The queue: what the stage before has left over, carries, couts that are nobody's cin.
                localparam FIRST_COUT = BITS - (COUTS - CINS);
                localparam FIRST_CARRY = FIRST_COUT - CARRIES;
                wire [BITS:0] bits;  // one bit more than needed, as below: Verilog has no empty vectors
                wire [LEFT:0] left;
                wire [ADDERS:0] carry;
                wire [COMPRESSORS:0] cin;
                wire [COMPRESSORS:0] cout;
                wire unused = &{1'b0, bits[BITS], left, carry, cout};

                assign bits[BITS] = 1'b0;
                assign left[LEFT] = 1'b0;
                for (k = 0; k < FIRST_CARRY; k = k + 1) begin : rest
                    if (stage == 0) begin : products
                        localparam ROW = k + ((column < A_BITS) ? 0 : column - A_BITS + 1);
                        assign bits[k] = a_magnitude[column-ROW] & b_magnitude[ROW];
                    end else begin : left_over
                        assign bits[k] = stages[stage-1].columns[column].left[k];
                    end
                end
                for (k = 0; k < CARRIES; k = k + 1) begin : carries
                    assign bits[FIRST_CARRY+k] = stages[stage].columns[column-1].carry[k];
                end
                for (k = CINS; k < COUTS; k = k + 1) begin : spare
                    assign bits[FIRST_COUT+k-CINS] = stages[stage].columns[column-1].cout[k];
                end
                for (k = 0; k <= COMPRESSORS; k = k + 1) begin : chain
                    if (k < CINS) begin : linked
                        assign cin[k] = stages[stage].columns[column-1].cout[k];
                    end else begin : first
                        assign cin[k] = 1'b0;
                    end
                end
                if (BITS > 0) begin : filled
                    compressor_column #(
                        .BITS(BITS), .COMPRESSORS(COMPRESSORS), .FULL(FULL), .HALF(HALF), .KIND(KIND)
                    ) cells (
                        .bits(bits[BITS-1:0]), .cin(cin), .left(left[LEFT-1:0]), .carry(carry), .cout(cout)
                    );
                end else begin : empty
                    assign carry[0] = 1'b0;
                    assign cout[0] = 1'b0;
                end
                if (stage == STAGES - 1) begin : last
                    assign magnitude[column] = left[0];
                end
            end
        end
    endgenerate
endmodule
