// An operand of the RoBA multiplier: the nearest power of two, and twice the value less that power.
//
//     value         0 0 1 0 1 1 0 1      0 0 1 1 0 1 0 1        45 and 53
//     power       0 0 0 1 0 0 0 0 0    0 0 1 0 0 0 0 0 0        32 and 64
//     remainder     0 0 1 1 1 0 1 0      0 0 1 0 1 0 1 0        58 and 42
//
// The power is the leading one where the bit to its right is 0, and twice that where it is 1: the middle
// 3 * 2^k goes up. Either way the remainder is the value, doubled, with its leading one left in its place.
// Only 3 goes down to 2, as in the paper, so its remainder is 4.
//
// Source: see roba_multiplier.v.
//
// Parameters
//   WIDTH  width of the value, 3 or more
module roba_operand #(
    parameter WIDTH = 8
) (
    input  [WIDTH-1:0] value,
    output [WIDTH:0] power,
    output [WIDTH-1:0] remainder
);
    wire [WIDTH-1:0] leading;
    wire three = leading[1] & value[0];

    leading_one #(.WIDTH(WIDTH)) detector (.value(value), .y(leading));

    assign power[0] = leading[0];
    assign power[1] = leading[1];
    assign power[2] = leading[2] & ~value[1];
    assign power[WIDTH] = leading[WIDTH-1] & value[WIDTH-2];
    assign remainder[0] = leading[0];
    assign remainder[1] = (leading[1] & ~value[0]) | (~leading[1] & ~leading[0] & value[0]);
    assign remainder[2] = leading[2] | (~leading[1] & value[1]) | three;

    genvar i;
    generate
        for (i = 3; i < WIDTH; i = i + 1) begin : bits
            assign power[i] = (leading[i] & ~value[i-1]) | (leading[i-1] & value[i-2]);
            assign remainder[i] = leading[i] | (~leading[i-1] & value[i-1]);
        end
    endgenerate
endmodule
