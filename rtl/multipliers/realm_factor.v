// Error-reduction factor of the REALM and MBM multipliers, in units of 1/64.
//
// The unit square of both fractions is divided into SEGMENTS x SEGMENTS parts. In each one Mitchell's mean relative
// error would be 0 with the factor s added to the significand: s = (mean share of the product that is missing) /
// (mean of 1 / ((1 + x) (1 + y))), rounded to a multiple of 1/64. All are below 1/4, so four bits are stored.
//
// Source: see realm_multiplier.v.
//
// Parameters
//   SEGMENTS  1, 4 or 8 (4, 8 and 16 in the paper)
//   FRACTION  bits of the fractions, $clog2(SEGMENTS) or more
module realm_factor #(
    parameter SEGMENTS = 4,
    parameter FRACTION = 7
) (
    input  [FRACTION-1:0] x,
    input  [FRACTION-1:0] y,
    output [3:0] factor
);
    // A hexadecimal digit for each part, the one of the lowest x and y last, its neighbour along y before it.
    localparam [3:0] FACTORS_1 = 4'h5;
    localparam [63:0] FACTORS_4 = 64'h135439c55c934531;
    localparam [255:0] FACTORS_8 = 256'h01122332124578831469bc83259ceb7227bec95238cb96413887542123322110;
    localparam [255:0] FACTORS = (SEGMENTS == 8) ? FACTORS_8 : (SEGMENTS == 4) ? FACTORS_4 : FACTORS_1;
    localparam INDEX_BITS = $clog2(SEGMENTS);

    // Which part it is: a single 1.
    wire [SEGMENTS*SEGMENTS-1:0] part;
    wire unused = &{1'b0, x, y};

    genvar digit;
    genvar place;
    generate
        for (digit = 0; digit < SEGMENTS * SEGMENTS; digit = digit + 1) begin : digits
            if (SEGMENTS == 1) begin : only
                assign part[digit] = 1'b1;
            end else begin : decoded
                assign part[digit] = (x[FRACTION-1:FRACTION-INDEX_BITS] == digit / SEGMENTS)
                    & (y[FRACTION-1:FRACTION-INDEX_BITS] == digit % SEGMENTS);
            end
        end
        for (place = 0; place < 4; place = place + 1) begin : places
            wire [SEGMENTS*SEGMENTS-1:0] bits;

            for (digit = 0; digit < SEGMENTS * SEGMENTS; digit = digit + 1) begin : digits
                assign bits[digit] = part[digit] & FACTORS[4*digit+place];
            end
            assign factor[place] = |bits;
        end
    endgenerate
endmodule
