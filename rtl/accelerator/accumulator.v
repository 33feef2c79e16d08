// Adds the sum of one tile to the total of the tiles before: y = total + sum, wrapping or saturating.
//
// The exact result has one bit more than the wider operand. It is cut to ACC_BITS bits, or, with SATURATE, becomes the
// largest or smallest number of ACC_BITS bits where it is none of them. All numbers are two's complement.
//
// Parameters
//   SUM_BITS  width of a tile's sum, 1 or more
//   ACC_BITS  width of the total, 2 or more
//   SATURATE  0 = wrap modulo 2^ACC_BITS, 1 = saturate
//
// Exact where the result is a number of ACC_BITS bits.
module accumulator #(
    parameter SUM_BITS = 20,
    parameter ACC_BITS = 24,
    parameter SATURATE = 0
) (
    input  signed [ACC_BITS-1:0] total,
    input  signed [SUM_BITS-1:0] sum,
    output signed [ACC_BITS-1:0] y
);
    localparam WIDE = ((SUM_BITS > ACC_BITS) ? SUM_BITS : ACC_BITS) + 1;

    wire [WIDE-1:0] wide_total = {{WIDE-ACC_BITS{total[ACC_BITS-1]}}, total};
    wire [WIDE-1:0] wide_sum = {{WIDE-SUM_BITS{sum[SUM_BITS-1]}}, sum};
    wire [WIDE-1:0] exact = wide_total + wide_sum;
    wire negative = exact[WIDE-1];
    wire [WIDE-ACC_BITS-1:0] above = exact[WIDE-2:ACC_BITS-1];  // copies of the sign where the result fits
    wire fits = above == {WIDE-ACC_BITS{negative}};

    generate
        if (SATURATE != 0) begin : saturating
            wire [ACC_BITS-1:0] bound = ~({ACC_BITS{negative}} ^ ({{ACC_BITS-1{1'b0}}, 1'b1} << (ACC_BITS - 1)));
            assign y = fits ? exact[ACC_BITS-1:0] : bound;
        end else begin : wrapping
            wire unused = fits;
            assign y = exact[ACC_BITS-1:0];
        end
    endgenerate
endmodule
