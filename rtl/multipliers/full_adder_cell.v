// One-bit full adder: 2 * carry + sum = a + b + c.
//
// Every adder of this folder is made of this cell. Where an input is constant, synthesis folds the cell into
// a half adder or a wire.
module full_adder_cell (
    input  a,
    input  b,
    input  c,
    output sum,
    output carry
);
    wire half;

    assign half = a ^ b;
    assign sum = half ^ c;
    assign carry = (a & b) | (half & c);
endmodule
