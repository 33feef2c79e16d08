// Product of a value and a power of two that comes as a word with a single 1: y = value * power.
//
//     y[c] = value[c] & power[0] | value[c-1] & power[1] | ...          0 where power is 0
//
// A row of AND gates and an OR for each bit of `power`. Few of its nets toggle, because at most one row is
// not 0, so it costs less energy than a shifter in steps of 4, 2 and 1 behind an encoder.
//
// Parameters
//   WIDTH        width of the value, 1 or more
//   POWER_WIDTH  width of the power, 1 or more
module one_hot_shifter #(
    parameter WIDTH = 8,
    parameter POWER_WIDTH = 8
) (
    input  [WIDTH-1:0] value,
    input  [POWER_WIDTH-1:0] power,
    output [WIDTH+POWER_WIDTH-2:0] y
);
    localparam Y_WIDTH = WIDTH + POWER_WIDTH - 1;

    // Row s is the OR of the shifted values up to bit s of `power`.
    wire [Y_WIDTH*POWER_WIDTH-1:0] rows;

    assign y = rows[Y_WIDTH*POWER_WIDTH-1:Y_WIDTH*(POWER_WIDTH-1)];

    genvar s;
    genvar c;
    generate
        for (s = 0; s < POWER_WIDTH; s = s + 1) begin : shifts
            for (c = 0; c < Y_WIDTH; c = c + 1) begin : columns
                if (s == 0) begin : first
                    if (c < WIDTH) begin : bits
                        assign rows[c] = value[c] & power[0];
                    end else begin : zeros
                        assign rows[c] = 1'b0;
                    end
                end else if (c >= s && c - s < WIDTH) begin : bits
                    assign rows[Y_WIDTH*s+c] = rows[Y_WIDTH*(s-1)+c] | (value[c-s] & power[s]);
                end else begin : passed
                    assign rows[Y_WIDTH*s+c] = rows[Y_WIDTH*(s-1)+c];
                end
            end
        end
    endgenerate
endmodule
