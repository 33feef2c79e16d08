// One product, cut into tasks of some rows by one block of columns, on any operand layout and any output layout.
#pragma once

#include <functional>
#include <vector>

#include "packed.h"

namespace agn {

struct Rows {
  int64_t first, count;
};

struct Product {
  const agn_split *split;
  const Packed *packed;
  int64_t rows;
  int64_t most_rows;                       // of a task, for good use of the caches
  const agn_finish *finish;                // or null
  int64_t first_channel;                   // of column 0, for finish
  bool columns;                            // residual by add_columns instead of row-add
  const uint8_t *codes;                    // activations
  std::vector<const uint8_t *> expanded;   // the same through each term's table; or empty, if the rows lie one after
                                           // another without gaps and are expanded as they are needed
  std::vector<int64_t> start;              // of each run within a row
  std::function<int64_t(int64_t)> row;     // offset of a row in codes
  // Transposed codes [K][stride] of some rows, for add_columns.
  std::function<void(Rows, uint8_t *, int64_t)> panel;
  // Where a task's sums go directly, or null: then `write` gets them.
  std::function<int32_t *(Rows, int64_t)> direct;
  int64_t direct_stride;
  // Takes the words [m][stride] of some rows and of `columns` columns from `column` on.
  std::function<void(Rows, int64_t column, int64_t columns, const int32_t *, int64_t stride)> write;
};

// Computes all tasks of the products (one a group of a convolution). False if memory is short.
bool compute(const std::vector<Product> &products, int threads);

}  // namespace agn
