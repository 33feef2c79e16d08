// Antilogarithm of a binary exponent: y = significand * 2^exponent, without the digits behind the point.
//
//     significand     1 . 0 1 1 0 0      exponent 3
//     y           1 0 1 1                and . 0 0 is cut off
//
// Parameters
//   FRACTION       bits of the significand behind the point, 1 or more; two stand before it
//   EXPONENT_BITS  width of the exponent, 1 or more
//   Y_BITS         width of y
module scaling_shifter #(
    parameter FRACTION = 7,
    parameter EXPONENT_BITS = 4,
    parameter Y_BITS = 16
) (
    input  [FRACTION+1:0] significand,
    input  [EXPONENT_BITS-1:0] exponent,
    output [Y_BITS-1:0] y,
    output overflow  // 2^Y_BITS was reached; y is the rest
);
    wire [Y_BITS+FRACTION:0] shifted = {{Y_BITS-1{1'b0}}, significand} << exponent;
    wire unused = &{1'b0, shifted[FRACTION-1:0]};

    assign y = shifted[Y_BITS+FRACTION-1:FRACTION];
    assign overflow = shifted[Y_BITS+FRACTION];
endmodule
