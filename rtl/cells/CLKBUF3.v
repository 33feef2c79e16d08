module CLKBUF3 (input A, output Y);
    assign Y = A;
endmodule
