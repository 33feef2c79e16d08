// Multiplier of four exact half-width products that are added by lower-part OR adders (LOA).
//
//     [     ah * bh     |     al * bl     ]      a = 2^h ah + al, b = 2^h bh + bl; the two outer products do
//            [    ah * bl     ]                  not overlap and stand side by side as they are.
//          + [    al * bh     ]  <- LOA 1
//     -------------------------------------
//     +                          <- LOA 2, from column h up
//
// Both adders OR their LOW lowest bits, so columns h ... h + LOW - 1 are approximate. With halves of unequal
// width, the inner products start in different columns and the adders in the lower one of them.
//
// Source: the structure and its approximate additions are in S. Rehman, W. El-Harouni, M. Shafique, A. Kumar and
// J. Henkel, "Architectural-space exploration of approximate multipliers", IEEE/ACM International Conference on
// Computer-Aided Design (ICCAD), 2016; the adder is that of lower_or_adder.v.
//
// Parameters
//   A_BITS, B_BITS  operand widths, even
//   LOW             number of OR-ed bits of each adder, 0 ... (A_BITS + B_BITS) / 2
//   SIGNED          1 = two's complement operands, multiplied as magnitudes
//
// Exact when LOW = 0.
module lower_or_recursive_multiplier #(
    parameter A_BITS = 8,
    parameter B_BITS = 8,
    parameter LOW = 4,
    parameter SIGNED = 0
) (
    input  [A_BITS-1:0] a,
    input  [B_BITS-1:0] b,
    output [A_BITS+B_BITS-1:0] y
);
    localparam Y_BITS = A_BITS + B_BITS;
    localparam A_HALF = A_BITS / 2;
    localparam B_HALF = B_BITS / 2;
    localparam HALF = A_HALF + B_HALF;  // width of a half-width product
    localparam FIRST = (A_HALF < B_HALF) ? A_HALF : B_HALF;  // column where the adders start

    wire [A_BITS-1:0] a_magnitude;
    wire [B_BITS-1:0] b_magnitude;
    wire [Y_BITS-1:0] magnitude;
    wire negative;
    wire [HALF-1:0] high_high;
    wire [HALF-1:0] high_low;
    wire [HALF-1:0] low_high;
    wire [HALF-1:0] low_low;
    wire [Y_BITS-1:0] outer = {high_high, low_low};
    wire [Y_BITS-FIRST-1:0] first_inner = {{Y_BITS-FIRST-HALF{1'b0}}, high_low} << (A_HALF - FIRST);
    wire [Y_BITS-FIRST-1:0] second_inner = {{Y_BITS-FIRST-HALF{1'b0}}, low_high} << (B_HALF - FIRST);
    wire [Y_BITS-FIRST:0] inner;
    wire [Y_BITS-FIRST:0] total;
    wire unused = &{1'b0, inner[Y_BITS-FIRST], total[Y_BITS-FIRST]};

    operand_magnitudes #(.A_BITS(A_BITS), .B_BITS(B_BITS), .SIGNED(SIGNED)) operands (
        .a(a), .b(b), .a_magnitude(a_magnitude), .b_magnitude(b_magnitude), .negative(negative)
    );
    exact_array_multiplier #(.A_BITS(A_HALF), .B_BITS(B_HALF)) product_high_high (
        .a(a_magnitude[A_BITS-1:A_HALF]), .b(b_magnitude[B_BITS-1:B_HALF]), .y(high_high)
    );
    exact_array_multiplier #(.A_BITS(A_HALF), .B_BITS(B_HALF)) product_high_low (
        .a(a_magnitude[A_BITS-1:A_HALF]), .b(b_magnitude[B_HALF-1:0]), .y(high_low)
    );
    exact_array_multiplier #(.A_BITS(A_HALF), .B_BITS(B_HALF)) product_low_high (
        .a(a_magnitude[A_HALF-1:0]), .b(b_magnitude[B_BITS-1:B_HALF]), .y(low_high)
    );
    exact_array_multiplier #(.A_BITS(A_HALF), .B_BITS(B_HALF)) product_low_low (
        .a(a_magnitude[A_HALF-1:0]), .b(b_magnitude[B_HALF-1:0]), .y(low_low)
    );
    lower_or_adder #(.WIDTH(Y_BITS - FIRST), .LOW(LOW)) inner_adder (
        .a(first_inner), .b(second_inner), .sum(inner)
    );
    lower_or_adder #(.WIDTH(Y_BITS - FIRST), .LOW(LOW)) outer_adder (
        .a(outer[Y_BITS-1:FIRST]), .b(inner[Y_BITS-FIRST-1:0]), .sum(total)
    );
    assign magnitude = {total[Y_BITS-FIRST-1:0], outer[FIRST-1:0]};

    conditional_negation #(.WIDTH(Y_BITS)) sign (.value(magnitude), .negate(negative), .y(y));
endmodule
