// Iterative logarithmic multiplier (ILM), unsigned core: a basic block, and more of them that correct its error.
//
//     a, b --> [ block ] --> r, s --> [ block ] --> r, s --> ...
//                 |                      |                          r, s: the operands without
//                 +-------------------> [ + ] ----> [ + ] --> y     their leading ones
//
// A block leaves out the product of what remains of its operands, and the next one adds that, approximately again.
// y is never too large; it is at most 25 % too small without a correction, 6.25 % with one, 1.56 % with two.
//
// Source: Z. Babic, A. Avramovic and P. Bulic, "An iterative logarithmic multiplier", Microprocessors and
// Microsystems, vol. 35, no. 1, 2011.
//
// Parameters
//   A_BITS, B_BITS  operand widths, 1 or more
//   CORRECTIONS     number of correcting blocks, 0 or more
//   SIGNED          1 = two's complement operands, multiplied as magnitudes
//
// Exact where an operand has at most CORRECTIONS + 1 bits set, so always from the narrower width - 1 on.
module ilm_multiplier #(
    parameter A_BITS = 8,
    parameter B_BITS = 8,
    parameter CORRECTIONS = 1,
    parameter SIGNED = 0
) (
    input  [A_BITS-1:0] a,
    input  [B_BITS-1:0] b,
    output [A_BITS+B_BITS-1:0] y
);
    localparam Y_BITS = A_BITS + B_BITS;

    wire [A_BITS-1:0] a_magnitude;
    wire [B_BITS-1:0] b_magnitude;
    wire [A_BITS+B_BITS-1:0] magnitude;
    wire negative;

    operand_magnitudes #(.A_BITS(A_BITS), .B_BITS(B_BITS), .SIGNED(SIGNED)) operands (
        .a(a), .b(b), .a_magnitude(a_magnitude), .b_magnitude(b_magnitude), .negative(negative)
    );

    genvar i;
    generate
        for (i = 0; i <= CORRECTIONS; i = i + 1) begin : blocks
            wire [A_BITS-1:0] r;
            wire [B_BITS-1:0] s;
            wire [Y_BITS-1:0] product;
            wire [Y_BITS:0] sum;
            wire unused = &{1'b0, r, s, sum[Y_BITS]};

            if (i == 0) begin : basic
                ilm_block #(.A_BITS(A_BITS), .B_BITS(B_BITS)) block (
                    .a(a_magnitude), .b(b_magnitude), .product(product), .r(r), .s(s)
                );
                assign sum = {1'b0, product};
            end else begin : correcting
                ilm_block #(.A_BITS(A_BITS), .B_BITS(B_BITS)) block (
                    .a(blocks[i-1].r), .b(blocks[i-1].s), .product(product), .r(r), .s(s)
                );
                ripple_adder_row #(.WIDTH(Y_BITS)) adder (
                    .a(blocks[i-1].sum[Y_BITS-1:0]), .b(product), .sum(sum)
                );
            end
        end
    endgenerate

    assign magnitude = blocks[CORRECTIONS].sum[Y_BITS-1:0];
    conditional_negation #(.WIDTH(A_BITS + B_BITS)) sign (.value(magnitude), .negate(negative), .y(y));
endmodule
