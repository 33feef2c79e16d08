// Adds up a matrix of partial-product bits with the fewest full and half adders.
//
// Bit `matrix[row * A_BITS + i]` weighs 2^(row + i), so it stands in column row + i. KEEP tells which bits
// exist. The others are left out before any adder is placed: an omitted bit costs nothing. `extra` holds at
// most one more bit a column, for corrections; EXTRA tells which of those exist. The sum is taken modulo
// 2^(A_BITS + B_BITS).
//
//     column c, n bits:   0 or bit   bit  bit     bit  bit           carries of column c - 1
//                             |       |    |       |    |              |    |
//                             +----> [ full ] --> [ full ] --> ... -> [ full ] --> y[c]
//                                        |           |                   |
//                                        v           v                   v   carries into column c + 1
//
// A column of n bits has floor(n / 2) adders, the least possible. If n is even its first input is a constant
// 0, which makes the first adder a half adder. Carries are late, so they come last. An N x N multiplier takes
// N * (N - 2) full adders and N half adders, like the textbook array.
//
// Source: the carry-save array of E. L. Braun, "Digital Computer Design", Academic Press, 1963; counting
// column by column follows L. Dadda, "Some schemes for parallel multipliers", Alta Frequenza, vol. 34, 1965.
//
// Parameters
//   A_BITS, B_BITS  width of a row, number of rows
//   KEEP            one bit for each matrix bit: 1 = the bit exists
//   EXTRA           one bit for each column: 1 = `extra` has a bit there
module carry_save_reducer #(
    parameter A_BITS = 8,
    parameter B_BITS = 8,
    parameter [A_BITS*B_BITS-1:0] KEEP = {A_BITS*B_BITS{1'b1}},
    parameter [A_BITS+B_BITS-1:0] EXTRA = {A_BITS+B_BITS{1'b0}}
) (
    input  [A_BITS*B_BITS-1:0] matrix,
    input  [A_BITS+B_BITS-1:0] extra,
    output [A_BITS+B_BITS-1:0] y
);
    localparam COLUMNS = A_BITS + B_BITS;

    // Numbers are kept in vectors of bytes, each counted in one pass: elaboration is slow where constant functions
    // are called again and again.

    // How many matrix bits stand above each matrix bit in its column, then (from COUNTS on) in the whole column.
    localparam COUNTS = A_BITS * B_BITS;
    function [8*(COUNTS+COLUMNS)-1:0] kept_above;
        input [A_BITS*B_BITS-1:0] kept;
        reg [31:0] at;
        reg [31:0] row;
        reg [8*COLUMNS-1:0] counts;
        begin
            counts = 0;
            row = 0;
            for (at = 0; at < A_BITS * B_BITS; at = at + 1) begin
                row = at / A_BITS;
                kept_above[8*at +: 8] = counts[8*(at-row*A_BITS+row) +: 8];
                if (kept[at])
                    counts[8*(at-row*A_BITS+row) +: 8] = counts[8*(at-row*A_BITS+row) +: 8] + 1;
            end
            kept_above[8*COUNTS +: 8*COLUMNS] = counts;
        end
    endfunction
    localparam [8*(COUNTS+COLUMNS)-1:0] ABOVE = kept_above(KEEP);

    // Adders of each column, half of its bits and carries. The number of column c stands in byte c + 1: no carries
    // enter column 0.
    function [8*COLUMNS+7:0] adders_by_column;
        input [COLUMNS-1:0] extras;
        reg [31:0] c;
        reg [31:0] carries_in;
        begin
            carries_in = 0;
            adders_by_column[7:0] = 0;
            for (c = 0; c < COLUMNS; c = c + 1) begin
                carries_in = (carries_in + ABOVE[8*(COUNTS+c) +: 8] + (extras[c] ? 1 : 0)) / 2;
                adders_by_column[8*c+8 +: 8] = carries_in;
            end
        end
    endfunction
    localparam [8*COLUMNS+7:0] ALL_ADDERS = adders_by_column(EXTRA);

    wire unused = &{1'b0, matrix & ~KEEP, extra & ~EXTRA};

    genvar column;
    genvar row;
    genvar k;
    generate
        for (column = 0; column < COLUMNS; column = column + 1) begin : columns
            localparam ADDERS = ALL_ADDERS[8*column+8 +: 8];
            localparam CARRIES = ALL_ADDERS[8*column +: 8];
            // The inputs of the chain: nothing or a zero, matrix bits, `extra`, carries.
            localparam FIRST_CARRY = 2 * ADDERS + 1 - CARRIES;
            localparam FIRST_EXTRA = FIRST_CARRY - (EXTRA[column] ? 1 : 0);
            localparam FIRST_BIT = FIRST_EXTRA - ABOVE[8*(COUNTS+column) +: 8];
            wire [2*ADDERS:0] bits;
            wire [ADDERS:0] sum;
            wire [ADDERS:0] carry;  // one bit more than needed: Verilog has no empty vectors
            wire unused_carry = &{1'b0, carry};

            if (FIRST_BIT > 0) begin : even
                assign bits[0] = 1'b0;
            end
            for (row = 0; row < B_BITS; row = row + 1) begin : rows
                if (column >= row && column - row < A_BITS) begin : crossed
                    if (KEEP[row*A_BITS+column-row]) begin : kept
                        assign bits[FIRST_BIT+ABOVE[8*(row*A_BITS+column-row) +: 8]] = matrix[row*A_BITS+column-row];
                    end
                end
            end
            if (EXTRA[column]) begin : corrected
                assign bits[FIRST_EXTRA] = extra[column];
            end
            for (k = 0; k < CARRIES; k = k + 1) begin : carries
                assign bits[FIRST_CARRY+k] = columns[column-1].carry[k];
            end

            assign sum[0] = bits[0];
            for (k = 0; k < ADDERS; k = k + 1) begin : adders
                full_adder_cell adder (
                    .a(bits[2*k+1]), .b(bits[2*k+2]), .c(sum[k]), .sum(sum[k+1]), .carry(carry[k])
                );
            end
            assign carry[ADDERS] = 1'b0;
            assign y[column] = sum[ADDERS];
        end
    endgenerate
endmodule
