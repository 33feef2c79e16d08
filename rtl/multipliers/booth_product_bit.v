// One partial-product bit of radix-4 Booth multiplication: bit j of digit * a, complemented if digit < 0.
//
//     digit = b_below + b_middle - 2 * b_above         (bits 2i-1, 2i and 2i+1 of b)
//
//     ENCODER  bit                                                              wrong, of 32 input patterns
//     0        (b_middle ^ b_below) & (b_above ^ a_j)                           none
//              | ~(b_middle ^ b_below) & (b_above ^ b_middle) & (b_above ^ a_below)
//     1        (b_middle ^ b_below) & (b_above ^ a_j)                           4: R4ABE1 takes +2, -2 as 0
//     2        b_above ^ a_j                                                    8: R4ABE2 takes them and 0 as +1, -1
//
// Source: W. Liu, L. Qian, C. Wang, H. Jiang, J. Han and F. Lombardi, "Design of approximate radix-4 Booth
// multipliers for error-tolerant computing", IEEE Transactions on Computers, vol. 66, no. 8, 2017.
//
// Parameters
//   ENCODER  0 ... 2, as above
module booth_product_bit #(
    parameter ENCODER = 0
) (
    input  a_j,
    input  a_below,
    input  b_above,
    input  b_middle,
    input  b_below,
    output y
);
    wire once = (b_middle ^ b_below) & (b_above ^ a_j);
    wire twice = ~(b_middle ^ b_below) & (b_above ^ b_middle) & (b_above ^ a_below);
    wire unused = &{1'b0, once, twice};

    assign y = (ENCODER == 0) ? once | twice : (ENCODER == 1) ? once : b_above ^ a_j;
endmodule
