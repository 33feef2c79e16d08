module CLKBUF1 (input A, output Y);
    assign Y = A;
endmodule
