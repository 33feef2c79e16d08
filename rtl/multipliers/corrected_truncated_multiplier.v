// Truncated unsigned multiplier with a constant or a variable correction, and with fewer product bits if asked.
//
//                        a3b0  .    .    .        DROP = 3: columns 0, 1 and 2 are omitted.
//                   a3b1 a2b1  .    .
//              a3b2 a2b2 a1b2  .                  VARIABLE = 1 adds the bits of the highest omitted column to
//         a3b3 a2b3 a1b3 a0b3                     column 3, all of them: a2b0, a1b1 and a0b2.
//                         C    C                  The constant C is what is lost on average beside that, to the
//     y7   y6   y5   y4   0    0    0    0        next multiple of 2^DROP. ROUND = 4: bits 0 ... 3 are not given
//                                                 out, and C includes half of what they are worth.
//
// A product bit is set for a quarter of all operands, a bit of the sum for half of them.
//
// Sources: M. J. Schulte and E. E. Swartzlander, "Truncated multiplication with correction constant", VLSI Signal
// Processing VI, 1993 (n bits from n + k columns: DROP = n - k, ROUND = n); E. J. King and E. E. Swartzlander,
// "Data-dependent truncation scheme for parallel multipliers", Asilomar Conference on Signals, Systems and
// Computers, 1997 (VARIABLE = 1).
//
// Parameters
//   A_BITS, B_BITS  operand widths, 1 or more
//   DROP            number of omitted columns, 0 ... A_BITS + B_BITS - 1
//   ROUND           lowest product bits that are not given out, DROP or more; with SIGNED = 1 at most the narrower
//                   operand's width, or a rounded product may leave the signed range
//   VARIABLE        0 = constant correction, 1 = variable correction
//   SIGNED          1 = two's complement operands, multiplied as magnitudes
//
// Exact when DROP = ROUND = 0.
module corrected_truncated_multiplier #(
    parameter A_BITS = 8,
    parameter B_BITS = 8,
    parameter DROP = 4,
    parameter ROUND = DROP,
    parameter VARIABLE = 0,
    parameter SIGNED = 0
) (
    input  [A_BITS-1:0] a,
    input  [B_BITS-1:0] b,
    output [A_BITS+B_BITS-1:0] y
);
    localparam Y_BITS = A_BITS + B_BITS;

    // The reducer's matrix: the bits of the highest omitted column need rows of their own, above the others.
    localparam MOVED = (VARIABLE == 0) ? 0 : (DROP < B_BITS) ? DROP : B_BITS;
    localparam ROWS = B_BITS + MOVED;
    localparam PLACES = (MOVED > 0 && DROP + MOVED + 1 > A_BITS) ? DROP + MOVED + 1 : A_BITS;
    localparam COLUMNS = ROWS + PLACES;

    function [PLACES*ROWS-1:0] bits_left;
        input [31:0] drop;
        reg [31:0] i;
        reg [31:0] j;
        begin
            bits_left = 0;
            for (j = 0; j < B_BITS; j = j + 1)
                for (i = 0; i < A_BITS; i = i + 1) begin
                    bits_left[(j+MOVED)*PLACES+i] = i + j >= drop;
                    if (MOVED > 0 && i + j + 1 == drop)
                        bits_left[j*PLACES+drop+MOVED-j] = 1'b1;
                end
        end
    endfunction
    localparam [PLACES*ROWS-1:0] KEEP = bits_left(DROP);

    // The correction: a quarter of every omitted bit's weight, half of every omitted product bit's, less a
    // quarter of what the moved bits bring; counted in quarters, rounded to 2^DROP.
    function [COLUMNS-1:0] correction;
        input [31:0] drop;
        reg [31:0] i;
        reg [31:0] j;
        reg [31:0] quarters;
        begin
            quarters = 2 * ((1 << ROUND) - (1 << drop)) + (2 << drop);
            for (j = 0; j < B_BITS; j = j + 1)
                for (i = 0; i < A_BITS; i = i + 1) begin
                    if (i + j < drop)
                        quarters = quarters + (1 << (i + j));
                    if (MOVED > 0 && i + j + 1 == drop)
                        quarters = quarters - (1 << drop);
                end
            correction = (quarters >> (drop + 2)) << (drop + MOVED);
        end
    endfunction
    localparam [COLUMNS-1:0] CONSTANT = correction(DROP);

    wire [A_BITS-1:0] a_magnitude;
    wire [B_BITS-1:0] b_magnitude;
    wire [Y_BITS-1:0] magnitude;
    wire negative;
    wire [PLACES*ROWS-1:0] matrix;
    wire [COLUMNS-1:0] sum;
    wire unused = &{1'b0, sum};

    operand_magnitudes #(.A_BITS(A_BITS), .B_BITS(B_BITS), .SIGNED(SIGNED)) operands (
        .a(a), .b(b), .a_magnitude(a_magnitude), .b_magnitude(b_magnitude), .negative(negative)
    );

    genvar row;
    genvar i;
    generate
        for (row = 0; row < ROWS; row = row + 1) begin : rows
            for (i = 0; i < PLACES; i = i + 1) begin : places
                if (row >= MOVED && i < A_BITS) begin : own
                    assign matrix[row*PLACES+i] = a_magnitude[i] & b_magnitude[row-MOVED];
                end else if (row < MOVED && i == DROP + MOVED - row && DROP - 1 - row < A_BITS) begin : moved
                    assign matrix[row*PLACES+i] = a_magnitude[DROP-1-row] & b_magnitude[row];
                end else begin : none
                    assign matrix[row*PLACES+i] = 1'b0;
                end
            end
        end
        for (i = 0; i < Y_BITS; i = i + 1) begin : product
            if (i < ROUND) begin : omitted
                assign magnitude[i] = 1'b0;
            end else begin : given
                assign magnitude[i] = sum[MOVED+i];
            end
        end
    endgenerate

    carry_save_reducer #(.A_BITS(PLACES), .B_BITS(ROWS), .KEEP(KEEP), .EXTRA(CONSTANT)) reducer (
        .matrix(matrix), .extra(CONSTANT), .y(sum)
    );
    conditional_negation #(.WIDTH(Y_BITS)) sign (.value(magnitude), .negate(negative), .y(y));
endmodule
