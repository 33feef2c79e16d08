// 4:2 compressor, approximate: four bits of one column in, `sum` in the same column, `carry` one column up.
//
//     x1 x2 x3 x4          cin and cout are used by Momeni's design 1 only: cout goes to the cin of the
//      |  |  |  |          neighbour in the next column. An exact compressor of four bits needs them too,
//     [ compressor ] <-cin because 1 + 1 + 1 + 1 = 4 does not fit in sum and carry.
//      |    |    \
//     sum carry  cout
//
//     KIND  compressor                          wrong answers, of all its input patterns
//     1     Momeni, design 1                    12 of 32, off by 1 at most
//     2     Momeni, design 2                    4 of 16: 0 -> 1, and 1 too small for 0011, 1100, 1111
//     3     Venkatachalam and Ko                5 of 16, all 1 too small
//     4     Akbari, DQ4:2C1 (approximate part)  10 of 16; nothing but two wires
//     5     Yang, ACCI1                         1 of 16: 4 -> 3
//
// Sources: A. Momeni, J. Han, P. Montuschi and F. Lombardi, "Design and analysis of approximate compressors for
// multiplication", IEEE Transactions on Computers, vol. 64, no. 4, 2015. S. Venkatachalam and S.-B. Ko, "Design of
// power and area efficient approximate multipliers", IEEE Transactions on VLSI Systems, vol. 25, no. 5, 2017.
// O. Akbari, M. Kamal, A. Afzali-Kusha and M. Pedram, "Dual-quality 4:2 compressors for utilizing in dynamic
// accuracy configurable multipliers", IEEE Transactions on VLSI Systems, vol. 25, no. 4, 2017. Z. Yang, J. Han and
// F. Lombardi, "Approximate compressors for error-resilient multiplier design", IEEE International Symposium on
// Defect and Fault Tolerance in VLSI and Nanotechnology Systems (DFT), 2015.
//
// Parameters
//   KIND  1 ... 5, as above
module approximate_compressor #(
    parameter KIND = 2
) (
    input  x1,
    input  x2,
    input  x3,
    input  x4,
    input  cin,
    output sum,
    output carry,
    output cout
);
    generate
        if (KIND == 1) begin : momeni_1
            assign sum = (~(x1 ^ x2) | ~(x3 ^ x4)) & ~cin;
            assign carry = cin;
            assign cout = (x1 | x2) & (x3 | x4);
        end else begin : without_cin
            wire unused = cin;
            wire pairs = (x1 & x2) | (x3 & x4);

            assign cout = 1'b0;
            if (KIND == 2) begin : momeni_2
                assign sum = ~(x1 ^ x2) | ~(x3 ^ x4);
                assign carry = (x1 | x2) & (x3 | x4);
            end else if (KIND == 3) begin : venkatachalam
                assign sum = (x1 ^ x2) | (x3 ^ x4) | (x1 & x2 & x3 & x4);
                assign carry = pairs;
            end else if (KIND == 4) begin : akbari_1
                assign sum = x1;
                assign carry = x4;
            end else begin : yang_1
                assign sum = (x1 ^ x2 ^ x3 ^ x4) | (x1 & x2 & x3 & x4);
                assign carry = pairs | ((x1 | x2) & (x3 | x4));
            end
        end
    endgenerate
endmodule
