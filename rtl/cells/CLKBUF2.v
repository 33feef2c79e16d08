module CLKBUF2 (input A, output Y);
    assign Y = A;
endmodule
