module NAND2X1 (input A, B, output Y);
    assign Y = ~(A & B);
endmodule
