// Bench of `sim.wrapper` in plain Verilog: drives every operand pair and writes `products.txt`.
//
// Line i holds the product of the pair i ^ (i >> 1), 32 characters out of 0, 1, x and z. Neighbouring pairs
// differ in one bit (F. Gray's code, US patent 2632058, 1953): an event-driven simulator has half the work.
`timescale 1us / 1ns
module agn_hw_bench;
    parameter BITS = 16;

    reg [BITS-1:0] operands;
    wire [31:0] products;
    reg [BITS:0] line;
    integer file;

    agn_hw_regression wrapper (.operands(operands), .products(products));

    // The first wait lets every process in the design reach its event control; 1 ms outlasts any gate's delay.
    initial begin
        file = $fopen("products.txt", "w");
        #1000;
        for (line = 0; !line[BITS]; line = line + 1) begin
            operands = line ^ (line >> 1);
            #1000 $fwrite(file, "%b\n", products);
        end
        $fclose(file);
        $finish;
    end
endmodule
