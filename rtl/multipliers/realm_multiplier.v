// Reduced-error approximate log-based multiplier (REALM), unsigned core; with one segment the minimally biased
// multiplier (MBM): Mitchell's product plus what it lacks on average.
//
//     a = 2^k (1 + u) --> k, u --+--> k + l, u + v --> [ + ] --> shifter --> y      0 where a or b is 0
//     b = 2^l (1 + v) --> l, v --+                       |
//                                +--> [ factor s ] ------+
//
// y = 2^(k+l) (1 + u + v + s) if u + v < 1, and 2^(k+l+1) (u + v + s / 2) otherwise. The factor s depends on the
// highest bits of u and v. A product of 2^(A_BITS + B_BITS) and more is answered by the greatest number of y.
//
// Source: H. Saadat, H. Javaid, A. Ignjatovic and S. Parameswaran, "REALM: reduced-error approximate log-based integer
// multiplier", Design, Automation and Test in Europe, 2020. H. Saadat, H. Bokhari and S. Parameswaran, "Minimally
// biased multipliers for approximate integer and floating-point multiplication", IEEE Transactions on Computer-Aided
// Design, vol. 37, no. 11, 2018 (MBM).
//
// Parameters
//   A_BITS, B_BITS  operand widths, 2 or more
//   SEGMENTS        divisions of u and v, 4 or 8; 1 = MBM
//   FRACTION        bits of u and v that are kept, $clog2(SEGMENTS) or more. Where bits are cut off the last kept one
//                   is set to 1, the middle of what is cut off. The wider operand's width - 1 keeps all.
//   SIGNED          1 = two's complement operands, multiplied as magnitudes
//
// Exact where an operand is 0, and nowhere else in general.
module realm_multiplier #(
    parameter A_BITS = 8,
    parameter B_BITS = 8,
    parameter SEGMENTS = 4,
    parameter FRACTION = ((A_BITS > B_BITS) ? A_BITS : B_BITS) - 1,
    parameter SIGNED = 0
) (
    input  [A_BITS-1:0] a,
    input  [B_BITS-1:0] b,
    output [A_BITS+B_BITS-1:0] y
);
    localparam Y_BITS = A_BITS + B_BITS;
    localparam K_BITS = $clog2((A_BITS > B_BITS) ? A_BITS : B_BITS);
    localparam POINT = (FRACTION > 7) ? FRACTION : 7;  // half a factor ends in 2^-7
    localparam [0:0] A_CUT = FRACTION < A_BITS - 1;
    localparam [0:0] B_CUT = FRACTION < B_BITS - 1;

    wire [A_BITS-1:0] a_magnitude;
    wire [B_BITS-1:0] b_magnitude;
    wire [A_BITS+B_BITS-1:0] magnitude;
    wire negative;
    wire [K_BITS+FRACTION-1:0] a_cut;
    wire [K_BITS+FRACTION-1:0] b_cut;
    wire [K_BITS+FRACTION-1:0] a_logarithm = {a_cut[K_BITS+FRACTION-1:1], a_cut[0] | A_CUT};
    wire [K_BITS+FRACTION-1:0] b_logarithm = {b_cut[K_BITS+FRACTION-1:1], b_cut[0] | B_CUT};
    wire [K_BITS+FRACTION:0] sum;
    wire a_nonzero;
    wire b_nonzero;
    wire carry;
    wire [3:0] factor;
    wire [POINT-1:0] fraction;
    wire [POINT-1:0] correction;
    wire [POINT:0] corrected;
    wire [POINT+1:0] significand;
    wire [Y_BITS-1:0] product;
    wire overflow;

    operand_magnitudes #(.A_BITS(A_BITS), .B_BITS(B_BITS), .SIGNED(SIGNED)) operands (
        .a(a), .b(b), .a_magnitude(a_magnitude), .b_magnitude(b_magnitude), .negative(negative)
    );
    mitchell_logarithm #(.WIDTH(A_BITS), .FRACTION(FRACTION), .K_BITS(K_BITS)) logarithm_of_a (
        .value(a_magnitude), .logarithm(a_cut), .nonzero(a_nonzero)
    );
    mitchell_logarithm #(.WIDTH(B_BITS), .FRACTION(FRACTION), .K_BITS(K_BITS)) logarithm_of_b (
        .value(b_magnitude), .logarithm(b_cut), .nonzero(b_nonzero)
    );
    realm_factor #(.SEGMENTS(SEGMENTS), .FRACTION(FRACTION)) factors (
        .x(a_logarithm[FRACTION-1:0]), .y(b_logarithm[FRACTION-1:0]), .factor(factor)
    );
    ripple_adder_row #(.WIDTH(K_BITS + FRACTION)) adder (.a(a_logarithm), .b(b_logarithm), .sum(sum));

    // The fractions' carry is what changes the sum of the lowest bits of k and l.
    assign carry = sum[FRACTION] ^ a_logarithm[FRACTION] ^ b_logarithm[FRACTION];

    generate
        if (POINT > FRACTION) begin : short_fraction
            assign fraction = {sum[FRACTION-1:0], {POINT-FRACTION{1'b0}}};
        end else begin : long_fraction
            assign fraction = sum[FRACTION-1:0];
        end
    endgenerate
    assign correction = (carry ? factor : {factor, 1'b0}) << (POINT - 7);

    ripple_adder_row #(.WIDTH(POINT)) correcting_adder (.a(fraction), .b(correction), .sum(corrected));

    assign significand = {corrected[POINT], ~corrected[POINT], corrected[POINT-1:0]}
        & {POINT+2{a_nonzero & b_nonzero}};

    scaling_shifter #(.FRACTION(POINT), .EXPONENT_BITS(K_BITS + 1), .Y_BITS(Y_BITS)) shifter (
        .significand(significand), .exponent(sum[K_BITS+FRACTION:FRACTION]), .y(product), .overflow(overflow)
    );
    assign magnitude = product | {Y_BITS{overflow}};
    conditional_negation #(.WIDTH(A_BITS + B_BITS)) sign (.value(magnitude), .negate(negative), .y(y));
endmodule
