// Sign logic behind an unsigned multiplier that gets a magnitude and a sign: a row of xor gates, no multiplier.
//
//     product [WIDTH-1:0] --+
//                           xor --> y [WIDTH:0]      y = sign ? ~{0, product} : {0, product}
//     sign -----------------+
//
// ~x = -x - 1, so `y` is one too small where `sign` is 1. The missing 1 is the accumulator's carry-in:
// accumulator + y + sign = accumulator - product. That is exact and saves an adder in front of the accumulator.
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
