// Radix-4 Booth multiplier for two's complement operands: exact, truncated or with approximate encoders.
//
//                              ~p  p  p  p  p     digits of b: d0 = b1 b0 0, d1 = b3 b2 b1. Row i is digit * a
//                        ~p  p  p  p  p     n0    at column 2i, one bit wider than a. n_i = 1 if the digit is
//            1  0  1  1           n1              negative: it completes the complement p. The sign bit's
//                                                 complement ~p and the constant stand for sign extension.
//     APPROXIMATE = 3:               |  p  p  p   p in the columns below comes from encoder 1 or 2
//     DROP = 3:                      |  .  .  .   p and n in the columns below are omitted
//
// Sources: A. D. Booth, "A signed binary multiplication technique", Quarterly Journal of Mechanics and Applied
// Mathematics, vol. 4, no. 2, 1951, with the digits of O. L. MacSorley, "High-speed arithmetic in binary
// computers", Proceedings of the IRE, vol. 49, no. 1, 1961. The approximate encoders: W. Liu, L. Qian, C. Wang,
// H. Jiang, J. Han and F. Lombardi, "Design of approximate radix-4 Booth multipliers for error-tolerant computing",
// IEEE Transactions on Computers, vol. 66, no. 8, 2017 (R4ABM1 and R4ABM2; their p is APPROXIMATE; all n_i stay,
// while the paper also leaves out the last one for a regular array). The correction follows M. J. Schulte and
// E. E. Swartzlander, "Truncated multiplication with correction constant", VLSI Signal Processing VI, 1993.
//
// Parameters
//   A_BITS, B_BITS  operand widths, 2 or more; b is the recoded operand
//   DROP            number of omitted columns, 0 ... A_BITS
//   CORRECTION      1 = adds what the omitted bits are worth on average (3/8 of each), rounded to 2^DROP
//   APPROXIMATE     number of columns with the approximate encoder, 0 ... A_BITS + B_BITS
//   ENCODER         which one, see booth_product_bit.v
//
// Exact when DROP = 0 and APPROXIMATE = 0.
module booth_multiplier #(
    parameter A_BITS = 8,
    parameter B_BITS = 8,
    parameter DROP = 0,
    parameter CORRECTION = 0,
    parameter APPROXIMATE = 0,
    parameter ENCODER = 1
) (
    input  signed [A_BITS-1:0] a,
    input  signed [B_BITS-1:0] b,
    output signed [A_BITS+B_BITS-1:0] y
);
    localparam DIGITS = (B_BITS + 1) / 2;
    localparam PLACES = A_BITS + 1;
    localparam ROWS = 2 * DIGITS - 1;
    localparam COLUMNS = PLACES + ROWS;

    // Digit i has row 2i of the reducer's matrix. n of digit i stands in column 2i: for i > 0 in row 2i - 1 at
    // place 1, for i = 0 it is the lowest bit of `extra`, where the constants have none.
    function [PLACES*ROWS-1:0] bits_from;
        input [31:0] column;
        reg [31:0] i;
        reg [31:0] j;
        begin
            for (j = 0; j < ROWS; j = j + 1)
                for (i = 0; i < PLACES; i = i + 1)
                    bits_from[j*PLACES+i] = i + j >= column && (j % 2 == 0 || i == 1);
        end
    endfunction
    localparam [PLACES*ROWS-1:0] KEEP = bits_from(DROP);

    // Sign extension, -2^(A_BITS + 2i) for digit i, and the correction.
    function [COLUMNS-1:0] sum_of_constants;
        input [31:0] drop;
        reg [31:0] i;
        reg [31:0] j;
        reg [31:0] eighths;
        begin
            sum_of_constants = 0;
            eighths = 4 << drop;
            for (j = 0; j < DIGITS; j = j + 1) begin
                sum_of_constants = sum_of_constants - ({{COLUMNS-1{1'b0}}, 1'b1} << (A_BITS + 2 * j));
                for (i = 0; i < PLACES; i = i + 1)
                    if (i + 2 * j < drop)
                        eighths = eighths + (3 << (i + 2 * j));
                if (2 * j < drop)
                    eighths = eighths + (3 << (2 * j));
            end
            if (CORRECTION != 0)
                sum_of_constants = sum_of_constants + ((eighths >> (drop + 3)) << drop);
        end
    endfunction
    localparam [COLUMNS-1:0] CONSTANTS = sum_of_constants(DROP);
    localparam [COLUMNS-1:0] EXTRA = CONSTANTS | (DROP == 0);

    wire [A_BITS+1:0] wide_a = {a[A_BITS-1], a, 1'b0};
    wire [2*DIGITS:0] wide_b;
    wire [PLACES*ROWS-1:0] matrix;
    wire [DIGITS-1:0] negative;
    wire [COLUMNS-1:0] sum;
    wire unused = &{1'b0, sum, negative};

    assign y = sum[A_BITS+B_BITS-1:0];
    assign wide_b[B_BITS:0] = {b, 1'b0};

    genvar digit;
    genvar j;
    generate
        if (2 * DIGITS > B_BITS) begin : odd
            assign wide_b[2*DIGITS] = b[B_BITS-1];
        end
        for (digit = 0; digit < DIGITS; digit = digit + 1) begin : digits
            assign negative[digit] = wide_b[2*digit+2] & ~(wide_b[2*digit+1] & wide_b[2*digit]);
            for (j = 0; j < PLACES; j = j + 1) begin : places
                wire product;

                booth_product_bit #(.ENCODER((2*digit + j < APPROXIMATE) ? ENCODER : 0)) encoder (
                    .a_j(wide_a[j+1]), .a_below(wide_a[j]), .b_above(wide_b[2*digit+2]),
                    .b_middle(wide_b[2*digit+1]), .b_below(wide_b[2*digit]), .y(product)
                );
                assign matrix[2*digit*PLACES+j] = (j == A_BITS) ? ~product : product;
                if (digit > 0) begin : odd_row
                    assign matrix[(2*digit-1)*PLACES+j] = (j == 1) & negative[digit];
                end
            end
        end
    endgenerate

    carry_save_reducer #(.A_BITS(PLACES), .B_BITS(ROWS), .KEEP(KEEP), .EXTRA(EXTRA)) reducer (
        .matrix(matrix), .extra({CONSTANTS[COLUMNS-1:1], CONSTANTS[0] | ((DROP == 0) & negative[0])}), .y(sum)
    );
endmodule
