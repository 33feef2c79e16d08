// Baugh-Wooley multiplier for two's complement operands, exact or truncated: y = a * b.
//
//                          1  ~a3b0  a2b0  a1b0  a0b0      ~ complements the whole product bit.
//                      ~a3b1   a2b1  a1b1  a0b1            The constants are
//                ~a3b2  a2b2   a1b2  a0b2                  2^(A_BITS-1) + 2^(B_BITS-1) + 2^(A_BITS+B_BITS-1);
//      1   a3b3 ~a2b3  ~a1b3  ~a0b3                        here 2^3 + 2^3 is drawn as 2^4.
//     y7    y6    y5     y4     y3    y2    y1    y0
//
// A product bit with exactly one sign bit has negative weight: -x * 2^k = (~x) * 2^k - 2^k. The constants
// collect the -2^k, modulo 2^(A_BITS + B_BITS). Truncation omits the lowest columns, constants included.
//
// Source: C. R. Baugh and B. A. Wooley, "A two's complement parallel array multiplication algorithm", IEEE
// Transactions on Computers, vol. C-22, no. 12, 1973; in the form of M. Hatamian and G. L. Cash, "A 70-MHz
// 8-bit x 8-bit parallel pipelined multiplier in 2.5-um CMOS", IEEE Journal of Solid-State Circuits, 1986.
//
// Parameters
//   A_BITS, B_BITS  operand widths, 1 or more
//   DROP            number of omitted columns, 0 ... A_BITS + B_BITS - 1
//
// Exact when DROP = 0.
module baugh_wooley_multiplier #(
    parameter A_BITS = 8,
    parameter B_BITS = 8,
    parameter DROP = 0
) (
    input  signed [A_BITS-1:0] a,
    input  signed [B_BITS-1:0] b,
    output signed [A_BITS+B_BITS-1:0] y
);
    localparam Y_BITS = A_BITS + B_BITS;
    localparam [Y_BITS-1:0] ONE = 1;
    localparam [Y_BITS-1:0] CONSTANTS = (ONE << (A_BITS - 1)) + (ONE << (B_BITS - 1)) + (ONE << (Y_BITS - 1));
    localparam [Y_BITS-1:0] EXTRA = (CONSTANTS >> DROP) << DROP;

    // The matrix bits in a column and to its left.
    function [A_BITS*B_BITS-1:0] bits_from;
        input [31:0] column;
        reg [31:0] i;
        reg [31:0] j;
        begin
            for (j = 0; j < B_BITS; j = j + 1)
                for (i = 0; i < A_BITS; i = i + 1)
                    bits_from[j*A_BITS+i] = i + j >= column;
        end
    endfunction

    wire [A_BITS*B_BITS-1:0] matrix;

    genvar row;
    genvar place;
    generate
        for (row = 0; row < B_BITS; row = row + 1) begin : rows
            for (place = 0; place < A_BITS; place = place + 1) begin : places
                if ((place == A_BITS - 1) != (row == B_BITS - 1)) begin : negative
                    assign matrix[row*A_BITS+place] = ~(a[place] & b[row]);
                end else begin : positive
                    assign matrix[row*A_BITS+place] = a[place] & b[row];
                end
            end
        end
    endgenerate

    carry_save_reducer #(.A_BITS(A_BITS), .B_BITS(B_BITS), .KEEP(bits_from(DROP)), .EXTRA(EXTRA)) reducer (
        .matrix(matrix), .extra(EXTRA), .y(y)
    );
endmodule
