module INVX8 (input A, output Y);
    assign Y = ~A;
endmodule
