// Approximate logarithmic multiplier with a set-one adder (ALM-SOA), unsigned core: Mitchell's, with a sum of
// logarithms whose lowest bits are not computed.
//
//     a --> k1 + x1 --+
//                     [ set-one adder ] --> k + x --> 2^k * (1 + x) --> y         0 where a or b is 0
//     b --> k2 + x2 --+
//
//     set-one adder:   k1  x1 . . . . p | . .        LOWER = 3: the three lowest bits of the sum are 1,
//                      k2  x2 . . . . q | . .        p & q is the carry-in of the others
//                      k   x  . . . . 1   1 1
//
// Mitchell's product is too small, the sum mostly too large, so the errors partly cancel.
//
// Source: W. Liu, J. Xu, D. Wang, C. Wang, P. Montuschi and F. Lombardi, "Design and evaluation of approximate
// logarithmic multipliers for low power error-tolerant applications", IEEE Transactions on Circuits and Systems I,
// vol. 65, no. 9, 2018.
//
// Parameters
//   A_BITS, B_BITS  operand widths, 2 or more
//   LOWER           bits of the sum that are set to 1, 1 ... wider operand's width - 1
//   SIGNED          1 = two's complement operands, multiplied as magnitudes
//
// Exact where an operand is 0, and nowhere else in general.
module alm_multiplier #(
    parameter A_BITS = 8,
    parameter B_BITS = 8,
    parameter LOWER = 4,
    parameter SIGNED = 0
) (
    input  [A_BITS-1:0] a,
    input  [B_BITS-1:0] b,
    output [A_BITS+B_BITS-1:0] y
);
    localparam FRACTION = ((A_BITS > B_BITS) ? A_BITS : B_BITS) - 1;
    localparam K_BITS = $clog2(FRACTION + 1);
    localparam CUT = FRACTION - LOWER + 1;  // bits of the fractions that are used, p and q among them
    localparam SUM_BITS = K_BITS + CUT - 1;

    wire [A_BITS-1:0] a_magnitude;
    wire [B_BITS-1:0] b_magnitude;
    wire [A_BITS+B_BITS-1:0] magnitude;
    wire negative;
    wire [SUM_BITS:0] a_logarithm;
    wire [SUM_BITS:0] b_logarithm;
    wire [SUM_BITS:0] carry;
    wire [SUM_BITS:0] sum;
    wire a_nonzero;
    wire b_nonzero;
    wire [K_BITS+FRACTION:0] logarithm = {sum, {LOWER{1'b1}}};
    wire [FRACTION+1:0] significand;
    wire unused;

    operand_magnitudes #(.A_BITS(A_BITS), .B_BITS(B_BITS), .SIGNED(SIGNED)) operands (
        .a(a), .b(b), .a_magnitude(a_magnitude), .b_magnitude(b_magnitude), .negative(negative)
    );
    mitchell_logarithm #(.WIDTH(A_BITS), .FRACTION(CUT), .K_BITS(K_BITS)) logarithm_of_a (
        .value(a_magnitude), .logarithm(a_logarithm), .nonzero(a_nonzero)
    );
    mitchell_logarithm #(.WIDTH(B_BITS), .FRACTION(CUT), .K_BITS(K_BITS)) logarithm_of_b (
        .value(b_magnitude), .logarithm(b_logarithm), .nonzero(b_nonzero)
    );

    assign carry[0] = a_logarithm[0] & b_logarithm[0];
    assign sum[SUM_BITS] = carry[SUM_BITS];

    genvar i;
    generate
        for (i = 0; i < SUM_BITS; i = i + 1) begin : adders
            full_adder_cell adder (
                .a(a_logarithm[i+1]), .b(b_logarithm[i+1]), .c(carry[i]), .sum(sum[i]), .carry(carry[i+1])
            );
        end
    endgenerate

    assign significand = {2'b01, logarithm[FRACTION-1:0]} & {FRACTION+2{a_nonzero & b_nonzero}};

    scaling_shifter #(.FRACTION(FRACTION), .EXPONENT_BITS(K_BITS + 1), .Y_BITS(A_BITS + B_BITS)) shifter (
        .significand(significand), .exponent(logarithm[K_BITS+FRACTION:FRACTION]), .y(magnitude), .overflow(unused)
    );
    conditional_negation #(.WIDTH(A_BITS + B_BITS)) sign (.value(magnitude), .negate(negative), .y(y));
endmodule
