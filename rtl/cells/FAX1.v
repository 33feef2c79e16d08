module FAX1 (input A, B, C, output YC, YS);
    assign YS = A ^ B ^ C;
    assign YC = (A & B) | (C & (A | B));
endmodule
