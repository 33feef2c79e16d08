// Sign logic behind an unsigned multiplier that gets magnitudes: a row of xor gates, not a multiplier itself.
//
//     product [WIDTH-1:0] --+
//                           xor --> y [WIDTH:0]      y = sign ? ~{0, product} : {0, product}
//     sign -----------------+
//
// ~x = -x - 1, so y is one too small where `sign` is 1. The missing 1 goes into the carry-in of the
// accumulator: accumulator + y + sign = accumulator - product for sign = 1. That is exact and saves an adder.
//
// Parameters
//   WIDTH  width of the product, 1 or more
module sign_magnitude #(
    parameter WIDTH = 16
) (
    input  [WIDTH-1:0] product,
    input  sign,
    output signed [WIDTH:0] y
);
    assign y = {1'b0, product} ^ {WIDTH+1{sign}};
endmodule
