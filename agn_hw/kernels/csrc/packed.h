// Weights as the kernels read them. In blocks of columns (64 wide, the last one 64, 32 or 16): codes [k][n] for the
// row tables, factors [term][k / 4][n][4] for the int8 product, and how many residual bytes each stretch of k needs.
#pragma once

#include "kernels.h"

namespace agn {

inline int64_t round_up(int64_t value, int64_t step) { return (value + step - 1) / step * step; }

inline int width_of_block(int64_t columns, int64_t first) {
  const int64_t rest = columns - first;
  return rest > 32 ? 64 : rest > 16 ? 32 : 16;
}

struct Packed {
  int64_t columns, runs, run, terms;
  char *memory;

  Packed(const agn_split &split, int64_t columns_, int64_t runs_, int64_t run_, void *memory_)
      : columns(columns_), runs(runs_), run(run_), terms(split.terms), memory(static_cast<char *>(memory_)) {}

  int64_t depth() const { return runs * run; }
  int64_t padded_depth() const { return round_up(depth(), kDepthStep); }         // of codes
  int64_t factor_depth() const { return runs * round_up(run, 4); }                // of factors
  int64_t padded_columns() const { return round_up(columns, kBlock); }
  int64_t steps() const { return padded_depth() / kDepthStep; }

  int32_t *constants() const { return reinterpret_cast<int32_t *>(memory); }                 // [padded columns]
  uint8_t *planes(int64_t first) const {                                                      // [block][step]
    return reinterpret_cast<uint8_t *>(memory + 4 * padded_columns()) + first / kBlock * steps();
  }
  uint8_t *codes(int64_t first) const {
    const int64_t before = round_up(4 * padded_columns() + padded_columns() / kBlock * steps(), 64);
    return reinterpret_cast<uint8_t *>(memory + before) + first * padded_depth();
  }
  int8_t *factors(int term, int64_t first) const {
    return reinterpret_cast<int8_t *>(codes(padded_columns())) +
           (term * padded_columns() + first) * factor_depth();
  }
  int64_t bytes() const { return reinterpret_cast<char *>(factors(static_cast<int>(terms), 0)) - memory + 64; }
};

}  // namespace agn
