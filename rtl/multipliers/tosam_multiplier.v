// TOSAM, the truncation- and rounding-based scalable approximate multiplier, unsigned core.
//
//     a = 2^k (1 + u)      u = . 1 0 1 1 0 0 1      T = 5: u_T = . 1 0 1 1 0      H = 2: u_H = . 1 0 1
//     b = 2^l (1 + v)
//
//     y = 2^(k + l) * (1 + u_T + v_T + u_H * v_H)
//
// The sum takes the fractions cut to T bits. The product takes H bits and a 1 behind them, the middle of what is
// cut off, so it needs H + 1 by H + 1 bits only.
//
// Source: S. Vahdat, M. Kamal, A. Afzali-Kusha and M. Pedram, "TOSAM: an energy-efficient truncation- and
// rounding-based scalable approximate multiplier", IEEE Transactions on VLSI Systems, vol. 27, no. 5, 2019.
//
// Parameters
//   A_BITS, B_BITS  operand widths, 2 or more
//   H               bits of the fractions that are multiplied, 0 ... T
//   T               bits of the fractions that are added, 1 or more (H + 2 and more in the paper)
//   SIGNED          1 = two's complement operands, multiplied as magnitudes
//
// Exact where an operand is 0. The 1 behind the fractions stands there always, so nowhere else in general.
module tosam_multiplier #(
    parameter A_BITS = 8,
    parameter B_BITS = 8,
    parameter H = 2,
    parameter T = 5,
    parameter SIGNED = 0
) (
    input  [A_BITS-1:0] a,
    input  [B_BITS-1:0] b,
    output [A_BITS+B_BITS-1:0] y
);
    localparam K_BITS = $clog2((A_BITS > B_BITS) ? A_BITS : B_BITS);
    localparam FRACTION = (T > 2 * H + 2) ? T : 2 * H + 2;

    wire [A_BITS-1:0] a_magnitude;
    wire [B_BITS-1:0] b_magnitude;
    wire [A_BITS+B_BITS-1:0] magnitude;
    wire negative;
    wire [K_BITS+T-1:0] a_logarithm;
    wire [K_BITS+T-1:0] b_logarithm;
    wire a_nonzero;
    wire b_nonzero;
    wire [H:0] a_rounded;
    wire [H:0] b_rounded;
    wire [2*H+1:0] product;
    wire [T:0] sum;
    wire [FRACTION:0] wide_product;
    wire [FRACTION:0] wide_sum;
    wire [FRACTION+1:0] total;  // without the 1 of the formula
    wire [FRACTION+1:0] significand;
    wire [K_BITS:0] exponent;
    wire unused;

    operand_magnitudes #(.A_BITS(A_BITS), .B_BITS(B_BITS), .SIGNED(SIGNED)) operands (
        .a(a), .b(b), .a_magnitude(a_magnitude), .b_magnitude(b_magnitude), .negative(negative)
    );
    mitchell_logarithm #(.WIDTH(A_BITS), .FRACTION(T), .K_BITS(K_BITS)) logarithm_of_a (
        .value(a_magnitude), .logarithm(a_logarithm), .nonzero(a_nonzero)
    );
    mitchell_logarithm #(.WIDTH(B_BITS), .FRACTION(T), .K_BITS(K_BITS)) logarithm_of_b (
        .value(b_magnitude), .logarithm(b_logarithm), .nonzero(b_nonzero)
    );

    generate
        if (H > 0) begin : rounded
            assign a_rounded = {a_logarithm[T-1:T-H], 1'b1};
            assign b_rounded = {b_logarithm[T-1:T-H], 1'b1};
        end else begin : halves
            assign a_rounded = 1'b1;
            assign b_rounded = 1'b1;
        end
        if (FRACTION > T) begin : longer_product
            assign wide_sum = {sum, {FRACTION-T{1'b0}}};
        end else begin : longest_sum
            assign wide_sum = sum;
        end
        if (FRACTION > 2 * H + 2) begin : longer_sum
            assign wide_product = {1'b0, product, {FRACTION-2*H-2{1'b0}}};
        end else begin : longest_product
            assign wide_product = {1'b0, product};
        end
    endgenerate

    exact_array_multiplier #(.A_BITS(H + 1), .B_BITS(H + 1)) multiplier (
        .a(a_rounded), .b(b_rounded), .y(product)
    );
    ripple_adder_row #(.WIDTH(T)) adder (.a(a_logarithm[T-1:0]), .b(b_logarithm[T-1:0]), .sum(sum));
    ripple_adder_row #(.WIDTH(FRACTION + 1)) total_adder (.a(wide_sum), .b(wide_product), .sum(total));
    ripple_adder_row #(.WIDTH(K_BITS)) exponent_adder (
        .a(a_logarithm[K_BITS+T-1:T]), .b(b_logarithm[K_BITS+T-1:T]), .sum(exponent)
    );

    // The total is below 3, so adding 1 to its two highest bits takes an OR and an inverter.
    assign significand = {total[FRACTION+1] | total[FRACTION], ~total[FRACTION], total[FRACTION-1:0]}
        & {FRACTION+2{a_nonzero & b_nonzero}};

    scaling_shifter #(.FRACTION(FRACTION), .EXPONENT_BITS(K_BITS + 1), .Y_BITS(A_BITS + B_BITS)) shifter (
        .significand(significand), .exponent(exponent), .y(magnitude), .overflow(unused)
    );
    conditional_negation #(.WIDTH(A_BITS + B_BITS)) sign (.value(magnitude), .negate(negative), .y(y));
endmodule
