// Mitchell's binary logarithm: for value = 2^k * (1 + x), log2 is taken as k + x.
//
//     value        0 0 1 0 1 1 0 1        leading one at k = 5
//     normalised   1 0 1 1 0 1 0 0        shifted left by 7 - k in steps of 4, 2 and 1
//     logarithm    1 0 1 . 0 1 1 0        k, then the FRACTION highest bits of x (here 4)
//
// Source: see mitchell_multiplier.v.
//
// Parameters
//   WIDTH     width of the value, 2 or more
//   FRACTION  bits of x that are kept, 1 or more
//   K_BITS    width of k, enough for WIDTH - 1
module mitchell_logarithm #(
    parameter WIDTH = 8,
    parameter FRACTION = 7,
    parameter K_BITS = 3
) (
    input  [WIDTH-1:0] value,
    output [K_BITS+FRACTION-1:0] logarithm,
    output nonzero
);
    localparam SPAN = 1 << K_BITS;
    localparam PADDED = SPAN + FRACTION;

    // One word for each step of the shifter, with zeros below for a FRACTION beyond the value's width.
    wire [PADDED*(K_BITS+1)-1:0] words;
    wire [PADDED-1:0] normalised = words[PADDED-1:0];
    wire [K_BITS-1:0] k;
    wire unused = &{1'b0, normalised[PADDED-2-FRACTION:0]};

    assign words[PADDED*(K_BITS+1)-1:PADDED*K_BITS] = {{SPAN-WIDTH{1'b0}}, value, {FRACTION{1'b0}}};

    genvar step;
    generate
        for (step = 0; step < K_BITS; step = step + 1) begin : steps
            wire [PADDED-1:0] word = words[PADDED*(step+2)-1:PADDED*(step+1)];

            // Bit `step` of k is set unless the highest 2^step bits are all 0.
            assign k[step] = |word[PADDED-1:PADDED-(1<<step)];
            assign words[PADDED*(step+1)-1:PADDED*step] = k[step] ? word : word << (1 << step);
        end
    endgenerate

    assign nonzero = normalised[PADDED-1];
    assign logarithm = {k, normalised[PADDED-2:PADDED-1-FRACTION]};
endmodule
