// The part of an operand that DRUM multiplies: K bits from the leading one down, with their shift.
//
//     value    0 0 1 0 1 1 0 1        K = 4: the leading one is bit 5, so bits 5 ... 2 are taken
//     segment      1 0 1 1            and the lowest of them is set to 1, the middle of what is cut off.
//     shift    2                      A value below 2^K is taken as it is, with shift 0.
//
// Source: see drum_multiplier.v.
//
// Parameters
//   WIDTH       width of the value
//   K           width of the segment, 2 ... WIDTH
//   SHIFT_BITS  width of `shift`, enough for WIDTH - K
//   LAST_ONE    0 = the lowest bit of the segment stays as it is
module drum_segment #(
    parameter WIDTH = 8,
    parameter K = 4,
    parameter SHIFT_BITS = 3,
    parameter LAST_ONE = 1
) (
    input  [WIDTH-1:0] value,
    output [K-1:0] segment,
    output [SHIFT_BITS-1:0] shift
);
    // Candidates for shift 0 ... WIDTH - K, K bits each; the chosen one so far, and its shift.
    wire [K*(WIDTH-K+1)-1:0] chosen;
    wire [SHIFT_BITS*(WIDTH-K+1)-1:0] shifts;

    assign chosen[K-1:0] = value[K-1:0];
    assign shifts[SHIFT_BITS-1:0] = {SHIFT_BITS{1'b0}};
    assign segment = chosen[K*(WIDTH-K+1)-1:K*(WIDTH-K)];
    assign shift = shifts[SHIFT_BITS*(WIDTH-K+1)-1:SHIFT_BITS*(WIDTH-K)];

    genvar s;
    generate
        for (s = 1; s <= WIDTH - K; s = s + 1) begin : candidates
            localparam [SHIFT_BITS-1:0] SHIFT = s;
            wire reached = |value[WIDTH-1:s+K-1];
            wire last = LAST_ONE != 0 ? 1'b1 : value[s];

            assign chosen[K*s+K-1:K*s] = reached ? {value[s+K-1:s+1], last} : chosen[K*s-1:K*s-K];
            assign shifts[SHIFT_BITS*s+SHIFT_BITS-1:SHIFT_BITS*s] =
                reached ? SHIFT : shifts[SHIFT_BITS*s-1:SHIFT_BITS*s-SHIFT_BITS];
        end
    endgenerate
endmodule
