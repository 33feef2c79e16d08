// Matrix product in tiles: a systolic array, and an adder a column for the totals of the tiles before.
//
//     in_weights, in_activations --> [ systolic_array ] -- out_sums --> [ accumulators ] --> out_totals
//                                                                             ^
//                                                        in_totals -----------+
//
// A product with more terms than the array has rows is computed in tiles of ROWS terms, in ascending order of k. The
// host's memory holds one total a vector and column. Where out_valid is high, in_totals has to hold the totals of that
// vector after the tile before (0 for the first tile), and out_totals holds them after this tile in the same
// cycle: no clock edge lies between. Everything else is the protocol of systolic_array.v.
//
// ROWS = 2, COLS = 2, a second tile of vectors A, B and, after a gap, C; a, b and c are their totals before:
//
//                        1   2   3   4   5   6   7   8   9   10
//     clk             ^\_/^\_/^\_/^\_/^\_/^\_/^\_/^\_/^\_/^\_/^\_
//     load            /^^^^^^^\__________________________________
//     in_weights      < w1| w0>----------------------------------
//     in_valid        ________/^^^^^^^\___/^^^\__________________
//     in_activations  --------< A | B >---< C >------------------
//     out_valid       ____________________/^^^^^^^\___/^^^\______
//     in_totals       --------------------< a | b >---< c >------
//     out_totals      --------------------<a+A|b+B>---<c+C>------
//
// Element 0 of each port lies in its low bits, as in systolic_array.v.
//
// Parameters
//   ROWS, COLS, X_BITS, W_BITS, PRODUCT_BITS, SUM_BITS, MODE   those of systolic_array.v
//   ACC_BITS, SATURATE                                         those of accumulator.v
module matrix_unit #(
    parameter ROWS = 8,
    parameter COLS = 8,
    parameter X_BITS = 8,
    parameter W_BITS = 8,
    parameter PRODUCT_BITS = 16,
    parameter SUM_BITS = 20,
    parameter MODE = 2,
    parameter ACC_BITS = 24,
    parameter SATURATE = 0
) (
    input  clk,
    input  reset,
    input  load,
    input  [COLS*W_BITS-1:0] in_weights,
    input  [COLS-1:0] in_weight_signs,
    input  [COLS-1:0] in_enables,
    input  in_valid,
    input  [ROWS*X_BITS-1:0] in_activations,
    input  [ROWS-1:0] in_activation_signs,
    input  [COLS*ACC_BITS-1:0] in_totals,
    output out_valid,
    output [COLS*ACC_BITS-1:0] out_totals
);
    wire [COLS*SUM_BITS-1:0] sums;

    systolic_array #(
        .ROWS(ROWS), .COLS(COLS), .X_BITS(X_BITS), .W_BITS(W_BITS), .PRODUCT_BITS(PRODUCT_BITS),
        .SUM_BITS(SUM_BITS), .MODE(MODE)
    ) array (
        .clk(clk), .reset(reset), .load(load),
        .in_weights(in_weights), .in_weight_signs(in_weight_signs), .in_enables(in_enables),
        .in_valid(in_valid), .in_activations(in_activations), .in_activation_signs(in_activation_signs),
        .out_valid(out_valid), .out_sums(sums)
    );

    genvar column;
    generate
        for (column = 0; column < COLS; column = column + 1) begin : columns
            accumulator #(.SUM_BITS(SUM_BITS), .ACC_BITS(ACC_BITS), .SATURATE(SATURATE)) adder (
                .total(in_totals[column*ACC_BITS +: ACC_BITS]), .sum(sums[column*SUM_BITS +: SUM_BITS]),
                .y(out_totals[column*ACC_BITS +: ACC_BITS])
            );
        end
    endgenerate
endmodule
