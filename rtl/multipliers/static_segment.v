// The part of an operand that a static segment multiplier takes: K bits at one of two or three fixed places.
//
//     value            0 0 1 0 1 1 0 1      K = 4, MIDDLE = 2
//     places           [     ]
//                          [     ]          the lowest place that holds the leading one, bits 5 ... 2
//                              [     ]
//     segment              1 0 1 1
//     middle 1, high 0
//
// Source: see static_segment_multiplier.v.
//
// Parameters
//   WIDTH   width of the value
//   K       width of the segment, 1 ... WIDTH; the value is taken whole where K = WIDTH
//   MIDDLE  lowest bit of the middle segment, 0 ... K; from WIDTH - K on, and if it is 0, there is none
module static_segment #(
    parameter WIDTH = 8,
    parameter K = 4,
    parameter MIDDLE = 0
) (
    input  [WIDTH-1:0] value,
    output [K-1:0] segment,
    output middle,  // the middle segment was taken
    output high  // the highest segment was taken
);
    wire [K-1:0] high_segment = value[WIDTH-1:WIDTH-K];

    generate
        if (K == WIDTH) begin : whole
            assign high = 1'b0;
            assign middle = 1'b0;
            assign segment = value;
        end else if (MIDDLE > 0 && MIDDLE < WIDTH - K) begin : enhanced
            assign high = |value[WIDTH-1:MIDDLE+K];
            assign middle = ~high & (|value[MIDDLE+K-1:K]);
            assign segment = high ? high_segment : middle ? value[MIDDLE+K-1:MIDDLE] : value[K-1:0];
        end else begin : plain
            assign high = |value[WIDTH-1:K];
            assign middle = 1'b0;
            assign segment = high ? high_segment : value[K-1:0];
        end
    endgenerate
endmodule
