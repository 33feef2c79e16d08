// RoBA, the rounding-based approximate multiplier, unsigned core: two shifted operands and one addition.
//
//     a --> p (nearest power of two) ---+--> p * s --+
//      \--> r = 2a - p ----------------x             [ + ] --> half of it --> y
//     b --> q ------------------------- \--> q * r --+
//      \--> s = 2b - q
//
// The paper computes p*b + q*a - p*q, which leaves out (p - a)(q - b): at most 1/9 = 11.1 % too much or too
// little. Here the subtraction is done beforehand, since 2 (p*b + q*a - p*q) = p (2b - q) + q (2a - p) and the
// terms in brackets take only a few gates.
//
// Source: R. Zendegani, M. Kamal, M. Bahadori, A. Afzali-Kusha and M. Pedram, "RoBA multiplier: a rounding-based
// approximate multiplier for high-speed yet energy-efficient digital signal processing", IEEE Transactions on
// VLSI Systems, vol. 25, no. 2, 2017: U-RoBA with SIGNED = 0, S-RoBA with SIGNED = 1, and AS-RoBA, which complements
// instead of negating and so saves three carry chains, with COMPLEMENT = 1 as well.
//
// Parameters
//   A_BITS, B_BITS  operand widths, 3 or more
//   SIGNED          1 = two's complement operands, multiplied as magnitudes
//   COMPLEMENT      1 = (with SIGNED = 1) magnitudes of negative operands and negative products are one too small
//
// Exact where the magnitude of an operand is 0 or a power of two, if COMPLEMENT = 0; otherwise only for operands that
// are not negative.
module roba_multiplier #(
    parameter A_BITS = 8,
    parameter B_BITS = 8,
    parameter SIGNED = 0,
    parameter COMPLEMENT = 0
) (
    input  [A_BITS-1:0] a,
    input  [B_BITS-1:0] b,
    output [A_BITS+B_BITS-1:0] y
);
    localparam Y_BITS = A_BITS + B_BITS;

    wire [A_BITS-1:0] a_magnitude;
    wire [B_BITS-1:0] b_magnitude;
    wire [Y_BITS-1:0] magnitude;
    wire negative;
    wire [A_BITS:0] p;
    wire [B_BITS:0] q;
    wire [A_BITS-1:0] r;
    wire [B_BITS-1:0] s;
    wire [Y_BITS-1:0] ps;
    wire [Y_BITS-1:0] qr;
    wire [Y_BITS:0] sum;
    wire unused = sum[0];

    roba_operand #(.WIDTH(A_BITS)) operand_a (.value(a_magnitude), .power(p), .remainder(r));
    roba_operand #(.WIDTH(B_BITS)) operand_b (.value(b_magnitude), .power(q), .remainder(s));
    one_hot_shifter #(.WIDTH(B_BITS), .POWER_WIDTH(A_BITS + 1)) shifter_of_s (.value(s), .power(p), .y(ps));
    one_hot_shifter #(.WIDTH(A_BITS), .POWER_WIDTH(B_BITS + 1)) shifter_of_r (.value(r), .power(q), .y(qr));
    ripple_adder_row #(.WIDTH(Y_BITS)) adder (.a(ps), .b(qr), .sum(sum));

    assign magnitude = sum[Y_BITS:1];

    generate
        if (COMPLEMENT != 0) begin : complement
            assign a_magnitude = a ^ {A_BITS{a[A_BITS-1]}};
            assign b_magnitude = b ^ {B_BITS{b[B_BITS-1]}};
            assign negative = a[A_BITS-1] ^ b[B_BITS-1];
            assign y = magnitude ^ {Y_BITS{negative}};
        end else begin : negation
            operand_magnitudes #(.A_BITS(A_BITS), .B_BITS(B_BITS), .SIGNED(SIGNED)) operands (
                .a(a), .b(b), .a_magnitude(a_magnitude), .b_magnitude(b_magnitude), .negative(negative)
            );
            conditional_negation #(.WIDTH(Y_BITS)) sign (.value(magnitude), .negate(negative), .y(y));
        end
    endgenerate
endmodule
