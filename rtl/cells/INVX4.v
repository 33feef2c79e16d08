module INVX4 (input A, output Y);
    assign Y = ~A;
endmodule
