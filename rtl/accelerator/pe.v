// Processing element of the weight-stationary array: one multiplication and one addition at each valid cycle.
//
//                       w_in, w_sign_in, enable_in     sum_in
//                                  |                      |
//                            [ W register ]               |        taken at `load`
//                                  |                      |
//     x_in ------+--- [ agn_hw_product ] --- [ sign ] --- +        0 is added where the enable bit is 0
//                |                 |                      |
//          [ X register ]          |               [ sum register ]    both taken at `valid_in`
//                |                 |                      |
//              x_out      w_out, w_sign_out, enable_out  sum_out
//
// At each rising edge of `clk`:
//   load      the weight register (pattern, sign, enable bit) takes w_in, w_sign_in, enable_in
//   valid_in  the x register takes x_in and x_sign_in, the sum register sum_in + product(x_in, w_out), or sum_in alone
//   always    valid_out takes valid_in
//   reset     clears valid_out and the enable bit, whatever else is asked; nothing else is cleared
// Each register keeps its value otherwise: its clock can be gated. The enable bit is more than a weight of 0, for an
// approximate multiplier may have a product(x, 0) that is not 0.
//
// The multiplier is whatever module `agn_hw_product` the design holds (Verilog has no parameter for a module's name):
//     module agn_hw_product (input [X_BITS-1:0] x, input [W_BITS-1:0] w, output [PRODUCT_BITS-1:0] p);
// x is the activation's pattern, w the weight's. Sums are two's complement, modulo 2^SUM_BITS.
//
// Source: weights that stay in place while activations and sums move are those of H. T. Kung, "Why systolic
// architectures?", IEEE Computer, vol. 15, no. 1, 1982; signs as in sign_magnitude.v: a negative product is added as
// its complement, with the carry-in of the adder as the missing 1.
//
// Parameters
//   X_BITS, W_BITS  width of activations and weights, 1 or more
//   PRODUCT_BITS    width of the multiplier's product, 1 or more
//   SUM_BITS        width of the sums, 2 or more; a wider product loses its high bits
//   MODE            0 = unsigned product, 1 = two's complement product,
//                   2 = unsigned product of magnitudes, negative where x_sign_in and w_sign_out differ.
//                   0 and 1 ignore the sign inputs, hold no sign registers, and have 0 at the sign outputs
module pe #(
    parameter X_BITS = 8,
    parameter W_BITS = 8,
    parameter PRODUCT_BITS = 16,
    parameter SUM_BITS = 20,
    parameter MODE = 2
) (
    input  clk,
    input  reset,
    input  load,
    input  valid_in,
    input  [X_BITS-1:0] x_in,
    input  x_sign_in,
    input  [W_BITS-1:0] w_in,
    input  w_sign_in,
    input  enable_in,
    input  [SUM_BITS-1:0] sum_in,
    output reg valid_out,
    output reg [X_BITS-1:0] x_out,
    output x_sign_out,
    output reg [W_BITS-1:0] w_out,
    output w_sign_out,
    output reg enable_out,
    output reg [SUM_BITS-1:0] sum_out
);
    wire [PRODUCT_BITS-1:0] product;
    wire [SUM_BITS-1:0] extended;
    wire negative;
    wire [SUM_BITS-1:0] addend = (extended ^ {SUM_BITS{negative}}) & {SUM_BITS{enable_out}};
    wire carry = negative & enable_out;

    agn_hw_product multiplier (.x(x_in), .w(w_out), .p(product));

    generate
        if (SUM_BITS > PRODUCT_BITS) begin : widened
            wire fill = (MODE == 1) ? product[PRODUCT_BITS-1] : 1'b0;
            assign extended = {{SUM_BITS-PRODUCT_BITS{fill}}, product};
        end else begin : cut
            wire [PRODUCT_BITS-1:0] unused = product;
            assign extended = product[SUM_BITS-1:0];
        end

        if (MODE == 2) begin : signs
            reg x_sign;
            reg w_sign;

            always @(posedge clk) begin
                if (valid_in) x_sign <= x_sign_in;
                if (load) w_sign <= w_sign_in;
            end
            assign x_sign_out = x_sign;
            assign w_sign_out = w_sign;
            assign negative = x_sign_in ^ w_sign;
        end else begin : no_signs
            wire unused = x_sign_in & w_sign_in;
            assign x_sign_out = 1'b0;
            assign w_sign_out = 1'b0;
            assign negative = 1'b0;
        end
    endgenerate

    always @(posedge clk) begin
        if (load) w_out <= w_in;
        if (valid_in) begin
            x_out <= x_in;
            sum_out <= sum_in + addend + {{SUM_BITS-1{1'b0}}, carry};
        end
        if (reset) enable_out <= 1'b0;
        else if (load) enable_out <= enable_in;
        valid_out <= valid_in & ~reset;
    end
endmodule
