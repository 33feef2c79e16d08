module HAX1 (input A, B, output YC, YS);
    assign YS = A ^ B;
    assign YC = A & B;
endmodule
