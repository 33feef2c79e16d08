// One column in one stage of a tree: first its 4:2 compressors, then full adders, then half adders.
//
//     bits:   b0 b1 b2 b3   b4 b5 b6   b7  s0 s1        A queue: every cell takes the next bits in front and
//            [compressor]  [  full  ]  '---------'      puts its sum at the end. What no cell has taken is
//                  s0          s1       left over       left over for the next stage.
//
// Parameters
//   BITS         number of bits of the column, carries of this stage included
//   COMPRESSORS  number of 4:2 compressors
//   FULL, HALF   number of full and of half adders
//   KIND         see approximate_compressor.v
module compressor_column #(
    parameter BITS = 8,
    parameter COMPRESSORS = 1,
    parameter FULL = 0,
    parameter HALF = 0,
    parameter KIND = 2
) (
    input  [BITS-1:0] bits,
    input  [COMPRESSORS:0] cin,  // one bit more than needed, as in `cout` and `carry`: Verilog has no empty vectors
    output [BITS-3*COMPRESSORS-2*FULL-HALF-1:0] left,
    output [COMPRESSORS+FULL+HALF:0] carry,
    output [COMPRESSORS:0] cout
);
    localparam CELLS = COMPRESSORS + FULL + HALF;
    localparam TAKEN = 4 * COMPRESSORS + 3 * FULL + 2 * HALF;

    wire [BITS+CELLS-1:0] queue;
    wire unused = cin[COMPRESSORS];

    assign queue[BITS-1:0] = bits;
    assign left = queue[BITS+CELLS-1:TAKEN];
    assign carry[CELLS] = 1'b0;
    assign cout[COMPRESSORS] = 1'b0;

    genvar k;
    generate
        for (k = 0; k < COMPRESSORS; k = k + 1) begin : compressors
            approximate_compressor #(.KIND(KIND)) compressor (
                .x1(queue[4*k]), .x2(queue[4*k+1]), .x3(queue[4*k+2]), .x4(queue[4*k+3]), .cin(cin[k]),
                .sum(queue[BITS+k]), .carry(carry[k]), .cout(cout[k])
            );
        end
        for (k = COMPRESSORS; k < COMPRESSORS + FULL; k = k + 1) begin : full_adders
            full_adder_cell adder (
                .a(queue[COMPRESSORS+3*k]), .b(queue[COMPRESSORS+3*k+1]), .c(queue[COMPRESSORS+3*k+2]),
                .sum(queue[BITS+k]), .carry(carry[k])
            );
        end
        for (k = COMPRESSORS + FULL; k < CELLS; k = k + 1) begin : half_adders
            full_adder_cell adder (
                .a(queue[2*COMPRESSORS+FULL+2*k]), .b(queue[2*COMPRESSORS+FULL+2*k+1]), .c(1'b0),
                .sum(queue[BITS+k]), .carry(carry[k])
            );
        end
    endgenerate
endmodule
