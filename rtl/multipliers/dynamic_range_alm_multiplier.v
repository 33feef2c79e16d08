// Dynamic range approximate logarithmic multiplier (DR-ALM), unsigned core: Mitchell's with cut fractions that make up
// for the cut, and for part of Mitchell's own error.
//
//     a = 2^k (1 + u)      u = . 1 0 1 1 0 0 1      T = 5: three bits of u and a 1 behind them, . 1 0 1 1
//     b = 2^l (1 + v)                               v the same
//
//     logarithm of y = k + l + u_T + v_T + 2^-(T-1)         the last term is the carry-in of the adder
//     y = 2^k' (1 + x'), k' and x' being its parts before and behind the point; 0 where a or b is 0
//
// Source: P. Yin, C. Wang, H. Waris, W. Liu, Y. Han and F. Lombardi, "Design and analysis of energy-efficient
// dynamic range approximate logarithmic multipliers for machine learning", IEEE Transactions on Sustainable
// Computing, vol. 6, no. 4, 2021.
//
// Parameters
//   A_BITS, B_BITS  operand widths, 2 or more
//   T               bits of an operand that are taken: its leading one, T - 2 behind it, and the 1; 3 or more
//   SIGNED          1 = two's complement operands, multiplied as magnitudes
//
// Exact where an operand is 0, and nowhere else in general.
module dynamic_range_alm_multiplier #(
    parameter A_BITS = 8,
    parameter B_BITS = 8,
    parameter T = 6,
    parameter SIGNED = 0
) (
    input  [A_BITS-1:0] a,
    input  [B_BITS-1:0] b,
    output [A_BITS+B_BITS-1:0] y
);
    localparam Y_BITS = A_BITS + B_BITS;
    localparam K_BITS = $clog2((A_BITS > B_BITS) ? A_BITS : B_BITS);
    localparam FRACTION = T - 1;

    // The two ones behind the fractions and the carry-in: a 1 in the sum, and a carry into what is left.
    wire [A_BITS-1:0] a_magnitude;
    wire [B_BITS-1:0] b_magnitude;
    wire [A_BITS+B_BITS-1:0] magnitude;
    wire negative;
    wire [K_BITS+FRACTION-2:0] a_logarithm;
    wire [K_BITS+FRACTION-2:0] b_logarithm;
    wire [K_BITS+FRACTION-1:0] sum;
    wire [K_BITS+FRACTION-1:0] carry;
    wire a_nonzero;
    wire b_nonzero;
    wire [FRACTION+1:0] significand;
    wire unused;

    operand_magnitudes #(.A_BITS(A_BITS), .B_BITS(B_BITS), .SIGNED(SIGNED)) operands (
        .a(a), .b(b), .a_magnitude(a_magnitude), .b_magnitude(b_magnitude), .negative(negative)
    );
    mitchell_logarithm #(.WIDTH(A_BITS), .FRACTION(FRACTION - 1), .K_BITS(K_BITS)) logarithm_of_a (
        .value(a_magnitude), .logarithm(a_logarithm), .nonzero(a_nonzero)
    );
    mitchell_logarithm #(.WIDTH(B_BITS), .FRACTION(FRACTION - 1), .K_BITS(K_BITS)) logarithm_of_b (
        .value(b_magnitude), .logarithm(b_logarithm), .nonzero(b_nonzero)
    );

    assign carry[0] = 1'b1;
    assign sum[K_BITS+FRACTION-1] = carry[K_BITS+FRACTION-1];

    genvar i;
    generate
        for (i = 0; i < K_BITS + FRACTION - 1; i = i + 1) begin : adders
            full_adder_cell adder (
                .a(a_logarithm[i]), .b(b_logarithm[i]), .c(carry[i]), .sum(sum[i]), .carry(carry[i+1])
            );
        end
    endgenerate

    assign significand = {2'b01, sum[FRACTION-2:0], 1'b1} & {FRACTION+2{a_nonzero & b_nonzero}};

    scaling_shifter #(.FRACTION(FRACTION), .EXPONENT_BITS(K_BITS + 1), .Y_BITS(Y_BITS)) shifter (
        .significand(significand), .exponent(sum[K_BITS+FRACTION-1:FRACTION-1]), .y(magnitude), .overflow(unused)
    );
    conditional_negation #(.WIDTH(A_BITS + B_BITS)) sign (.value(magnitude), .negate(negative), .y(y));
endmodule
