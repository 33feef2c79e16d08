// As EvoApproxLib uses it. The OSU libraries' own cell of this name inverts, and has A where S is 1.
module MUX2X1 (input A, B, S, output Y);
    assign Y = S ? B : A;
endmodule
