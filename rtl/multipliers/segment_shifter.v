// Puts the product of two static segments where it belongs, one operand's share of it: y = product << shift.
//
// The shift is MIDDLE where the middle segment was taken, HIGH where the highest was, 0 otherwise.
//
// Parameters
//   WIDTH   width of the product, 1 or more
//   MIDDLE  lowest bit of the middle segment, 0 ... HIGH
//   HIGH    lowest bit of the highest segment
module segment_shifter #(
    parameter WIDTH = 8,
    parameter MIDDLE = 0,
    parameter HIGH = 4
) (
    input  [WIDTH-1:0] product,
    input  middle,
    input  high,
    output [WIDTH+HIGH-1:0] y
);
    wire [WIDTH+HIGH-1:0] wide;

    generate
        if (HIGH > 0) begin : widened
            assign wide = {{HIGH{1'b0}}, product};
        end else begin : whole
            assign wide = product;
        end
    endgenerate

    assign y = high ? wide << HIGH : middle ? wide << MIDDLE : wide;
endmodule
