// Lower-part OR adder (LOA): the low bits of the sum are ORs, the high ones an exact addition.
//
//     a7 a6 a5 a4 | a3   a2   a1   a0        LOW = 4
//     b7 b6 b5 b4 | b3   b2   b1   b0
//     -----------------------------------    the carry into bit 4 is a3 & b3
//      exact sum  | a|b  a|b  a|b  a|b
//
// Source: H. R. Mahdiani, A. Ahmadi, S. M. Fakhraie and C. Lucas, "Bio-inspired imprecise computational
// blocks for efficient VLSI implementation of soft-computing applications", IEEE Transactions on Circuits and
// Systems I, vol. 57, no. 4, 2010.
//
// Parameters
//   WIDTH  operand width, 1 or more
//   LOW    number of OR-ed bits, 0 ... WIDTH
//
// Exact when LOW = 0.
module lower_or_adder #(
    parameter WIDTH = 8,
    parameter LOW = 4
) (
    input  [WIDTH-1:0] a,
    input  [WIDTH-1:0] b,
    output [WIDTH:0] sum
);
    wire [WIDTH:LOW] carry;

    assign sum[WIDTH] = carry[WIDTH];

    genvar i;
    generate
        if (LOW > 0) begin : lower
            assign sum[LOW-1:0] = a[LOW-1:0] | b[LOW-1:0];
            assign carry[LOW] = a[LOW-1] & b[LOW-1];
        end else begin : exact
            assign carry[LOW] = 1'b0;
        end
        for (i = LOW; i < WIDTH; i = i + 1) begin : adders
            full_adder_cell adder (.a(a[i]), .b(b[i]), .c(carry[i]), .sum(sum[i]), .carry(carry[i+1]));
        end
    endgenerate
endmodule
