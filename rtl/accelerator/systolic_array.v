// Weight-stationary systolic array: out_sums[c] = sum over k of product(in_activations[k], weight[k][c]).
//
//                               in_weights[0]       in_weights[1]  ...
//                                     |                   |
//     in_activations[0] --------- [ pe 0,0 ] -- x --- [ pe 0,1 ] --- ...    row k multiplies with weights k:
//                                     | w, sum            | w, sum          activations move to the right,
//     in_activations[1] --[ ]---- [ pe 1,0 ] -- x --- [ pe 1,1 ] --- ...    sums, and weights while they are
//                                     |                   |                 loaded, move downwards
//            ...                     [ ]                  |
//                                     |                   |                 [ ] = registers that skew and deskew
//                                out_sums[0]         out_sums[1]   ...
//
// Protocol. All inputs are taken at the rising edge of `clk`; outputs change after it.
//   reset   One cycle makes the array empty: nothing in flight comes out, and no element adds anything until it
//           is loaded.
//   load    ROWS cycles, one row of weights each, the last row (k = ROWS - 1) first. Each weight has a sign (MODE 2)
//           and an enable bit: 0 for rows and columns that a tile does not fill; such an element adds 0.
//   valid   Then one vector of activations a cycle, one activation a row, where in_valid is high. Gaps are
//           allowed; there is no back-pressure. The array skews: row k is delayed by k cycles.
//   out     The sums of a vector stand in all columns together: taken at edge n, they are there to be taken at
//           edge n + ROWS + COLS - 1, with out_valid high.
//   load and in_valid are never high together, and load not before the last out_valid: it would change the
//   weights under vectors that are still on their way. A tile of M vectors takes M + 2 * ROWS + COLS - 1 cycles.
//
// ROWS = 2, COLS = 2, vectors A, B and, after a gap, C; w1 and w0 are rows 1 and 0 of the weights:
//
//                        1   2   3   4   5   6   7   8   9   10
//     clk             ^\_/^\_/^\_/^\_/^\_/^\_/^\_/^\_/^\_/^\_/^\_
//     load            /^^^^^^^\__________________________________
//     in_weights      < w1| w0>----------------------------------
//     in_valid        ________/^^^^^^^\___/^^^\__________________
//     in_activations  --------< A | B >---< C >------------------
//     out_valid       ____________________/^^^^^^^\___/^^^\______
//     out_sums        --------------------< A | B >---< C >------
//
// A is taken at edge 3 and its sums at edge 3 + 2 + 2 - 1 = 6; the next load may be taken from edge 10 on.
//
// Element 0 of each port lies in its low bits: in_weights[W_BITS-1:0] is the weight of column 0, in_activations
// [X_BITS-1:0] the activation of row 0, out_sums[SUM_BITS-1:0] the sum of column 0. The multiplier is the module
// `agn_hw_product` (see pe.v).
//
// Source: H. T. Kung, "Why systolic architectures?", IEEE Computer, vol. 15, no. 1, 1982.
//
// Parameters
//   ROWS, COLS      size of the array, each 1 or more
//   X_BITS, W_BITS, PRODUCT_BITS, SUM_BITS, MODE   those of pe.v. Sums are two's complement in every MODE: SUM_BITS is
//                   large enough where each sum that leaves is a number of SUM_BITS bits; on the way it may wrap
module systolic_array #(
    parameter ROWS = 8,
    parameter COLS = 8,
    parameter X_BITS = 8,
    parameter W_BITS = 8,
    parameter PRODUCT_BITS = 16,
    parameter SUM_BITS = 20,
    parameter MODE = 2
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
    output out_valid,
    output [COLS*SUM_BITS-1:0] out_sums
);
    localparam ACTIVATION_BITS = X_BITS + ((MODE == 2) ? 1 : 0);  // of one skewing register

    // What goes into each row from above, and out of the last one.
    wire [(ROWS+1)*COLS*W_BITS-1:0] weights;
    wire [(ROWS+1)*COLS-1:0] weight_signs;
    wire [(ROWS+1)*COLS-1:0] enables;
    wire [(ROWS+1)*COLS*SUM_BITS-1:0] sums;
    wire [COLS*W_BITS-1:0] unused_weights = weights[ROWS*COLS*W_BITS +: COLS*W_BITS];
    wire [COLS-1:0] unused_weight_signs = weight_signs[ROWS*COLS +: COLS];
    wire [COLS-1:0] unused_enables = enables[ROWS*COLS +: COLS];

    wire [ROWS-1:0] row_valid;  // of the first element of each row
    wire [COLS-1:0] column_valid;  // of the sums that leave each column

    assign weights[COLS*W_BITS-1:0] = in_weights;
    assign weight_signs[COLS-1:0] = in_weight_signs;
    assign enables[COLS-1:0] = in_enables;
    assign sums[COLS*SUM_BITS-1:0] = {COLS*SUM_BITS{1'b0}};
    assign row_valid[0] = in_valid;
    assign out_valid = column_valid[COLS-1];

    genvar row;
    genvar column;
    genvar stage;
    generate
        for (row = 0; row < ROWS; row = row + 1) begin : rows
            wire [(row+1)*ACTIVATION_BITS-1:0] skew;
            wire [(COLS+1)*X_BITS-1:0] x;
            wire [COLS:0] x_signs;
            wire [COLS:0] valid;
            wire [X_BITS-1:0] unused_x = x[COLS*X_BITS +: X_BITS];
            wire unused_x_sign = x_signs[COLS];

            if (row > 0) begin : delayed
                reg valid_before;

                always @(posedge clk) valid_before <= row_valid[row-1] & ~reset;
                assign row_valid[row] = valid_before;
            end
            for (stage = 0; stage < row; stage = stage + 1) begin : stages
                gated_register #(.WIDTH(ACTIVATION_BITS)) register (
                    .clk(clk), .take(row_valid[stage]),
                    .d(skew[stage*ACTIVATION_BITS +: ACTIVATION_BITS]),
                    .q(skew[(stage+1)*ACTIVATION_BITS +: ACTIVATION_BITS])
                );
            end
            if (MODE == 2) begin : signs
                assign skew[ACTIVATION_BITS-1:0] = {in_activation_signs[row], in_activations[row*X_BITS +: X_BITS]};
                assign {x_signs[0], x[X_BITS-1:0]} = skew[row*ACTIVATION_BITS +: ACTIVATION_BITS];
            end else begin : no_signs
                wire unused = in_activation_signs[row];
                assign skew[ACTIVATION_BITS-1:0] = in_activations[row*X_BITS +: X_BITS];
                assign x[X_BITS-1:0] = skew[row*ACTIVATION_BITS +: ACTIVATION_BITS];
                assign x_signs[0] = 1'b0;
            end
            assign valid[0] = row_valid[row];

            for (column = 0; column < COLS; column = column + 1) begin : columns
                pe #(
                    .X_BITS(X_BITS), .W_BITS(W_BITS), .PRODUCT_BITS(PRODUCT_BITS), .SUM_BITS(SUM_BITS), .MODE(MODE)
                ) element (
                    .clk(clk), .reset(reset), .load(load),
                    .valid_in(valid[column]), .valid_out(valid[column+1]),
                    .x_in(x[column*X_BITS +: X_BITS]), .x_out(x[(column+1)*X_BITS +: X_BITS]),
                    .x_sign_in(x_signs[column]), .x_sign_out(x_signs[column+1]),
                    .w_in(weights[(row*COLS+column)*W_BITS +: W_BITS]),
                    .w_out(weights[((row+1)*COLS+column)*W_BITS +: W_BITS]),
                    .w_sign_in(weight_signs[row*COLS+column]), .w_sign_out(weight_signs[(row+1)*COLS+column]),
                    .enable_in(enables[row*COLS+column]), .enable_out(enables[(row+1)*COLS+column]),
                    .sum_in(sums[(row*COLS+column)*SUM_BITS +: SUM_BITS]),
                    .sum_out(sums[((row+1)*COLS+column)*SUM_BITS +: SUM_BITS])
                );
            end

            if (row == ROWS - 1) begin : last
                assign column_valid = valid[COLS:1];
            end else begin : inner
                wire unused = valid[COLS];
            end
        end

        // Column c waits for the last one: COLS - 1 - c registers, each taken with the column that is as far.
        for (column = 0; column < COLS; column = column + 1) begin : deskews
            wire [(COLS-column)*SUM_BITS-1:0] deskew;

            assign deskew[SUM_BITS-1:0] = sums[(ROWS*COLS+column)*SUM_BITS +: SUM_BITS];
            for (stage = 0; stage < COLS - 1 - column; stage = stage + 1) begin : stages
                gated_register #(.WIDTH(SUM_BITS)) register (
                    .clk(clk), .take(column_valid[column+stage]),
                    .d(deskew[stage*SUM_BITS +: SUM_BITS]), .q(deskew[(stage+1)*SUM_BITS +: SUM_BITS])
                );
            end
            assign out_sums[column*SUM_BITS +: SUM_BITS] = deskew[(COLS-1-column)*SUM_BITS +: SUM_BITS];
        end
    endgenerate
endmodule
