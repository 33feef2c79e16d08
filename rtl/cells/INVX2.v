module INVX2 (input A, output Y);
    assign Y = ~A;
endmodule
