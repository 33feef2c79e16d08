// Mitchell's logarithmic multiplier, unsigned: adds two approximate logarithms.
//
//     a --> k1 + x1 --+
//                     [ + ] --> k + x --> 2^k * (1 + x) --> y         0 where a or b is 0
//     b --> k2 + x2 --+
//
// With a = 2^k1 (1 + x1) and b = 2^k2 (1 + x2) the product is 2^(k1+k2) (1 + x1 + x2) if x1 + x2 < 1, and
// 2^(k1+k2+1) (x1 + x2) otherwise. It is never too large, and at most 1/9 = 11.1 % too small.
//
// Source: J. N. Mitchell, "Computer multiplication and division using binary logarithms", IRE Transactions on
// Electronic Computers, vol. EC-11, no. 4, 1962.
//
// Parameters
//   A_BITS, B_BITS  operand widths, 2 or more
//   FRACTION        bits of x1 and x2 that are kept, 1 or more. Mitchell's own multiplier keeps them all: the
//                   wider operand's width - 1, the default.
//
// Exact where an operand is 0 or a power of two, if FRACTION is at least the other operand's width - 1.
module mitchell_multiplier #(
    parameter A_BITS = 8,
    parameter B_BITS = 8,
    parameter FRACTION = ((A_BITS > B_BITS) ? A_BITS : B_BITS) - 1
) (
    input  [A_BITS-1:0] a,
    input  [B_BITS-1:0] b,
    output [A_BITS+B_BITS-1:0] y
);
    localparam Y_BITS = A_BITS + B_BITS;
    localparam K_BITS = $clog2((A_BITS > B_BITS) ? A_BITS : B_BITS);

    wire [K_BITS+FRACTION-1:0] a_logarithm;
    wire [K_BITS+FRACTION-1:0] b_logarithm;
    wire [K_BITS+FRACTION:0] sum;
    wire a_nonzero;
    wire b_nonzero;
    wire [Y_BITS+FRACTION-1:0] power;
    wire unused = &{1'b0, power[FRACTION-1:0]};

    mitchell_logarithm #(.WIDTH(A_BITS), .FRACTION(FRACTION), .K_BITS(K_BITS)) logarithm_of_a (
        .value(a), .logarithm(a_logarithm), .nonzero(a_nonzero)
    );
    mitchell_logarithm #(.WIDTH(B_BITS), .FRACTION(FRACTION), .K_BITS(K_BITS)) logarithm_of_b (
        .value(b), .logarithm(b_logarithm), .nonzero(b_nonzero)
    );
    ripple_adder_row #(.WIDTH(K_BITS + FRACTION)) adder (.a(a_logarithm), .b(b_logarithm), .sum(sum));

    assign power = {{Y_BITS-1{1'b0}}, 1'b1, sum[FRACTION-1:0]} << sum[K_BITS+FRACTION:FRACTION];
    assign y = power[Y_BITS+FRACTION-1:FRACTION] & {Y_BITS{a_nonzero & b_nonzero}};
endmodule
