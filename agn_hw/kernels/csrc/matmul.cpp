// Products of plain matrices.
#include <exception>

#include "product.h"
#include "transpose.h"

namespace agn {
namespace {

constexpr int64_t kRowsOfTask = 8192, kRowsOfPanel = 256;

bool matmul(const agn_split &split, const Packed &packed, const uint8_t *x, int64_t rows, const agn_finish *finish,
            int32_t *y, int threads, int kernel) {
  Product product{};
  product.split = &split;
  product.packed = &packed;
  product.rows = rows;
  product.finish = finish;
  product.columns = kernel == AGN_COLUMNS;
  product.most_rows = product.columns ? kRowsOfPanel : kRowsOfTask;
  product.codes = x;
  product.start = {0};
  product.row = [&packed](int64_t m) { return m * packed.depth(); };
  product.panel = [=, &packed](Rows part, uint8_t *panel, int64_t stride) {
    transpose_bytes([&](int64_t m) { return x + (part.first + m) * packed.depth(); }, part.count, packed.depth(), panel,
                    stride);
  };
  product.direct = [=, &packed](Rows part, int64_t column) { return y + part.first * packed.columns + column; };
  product.direct_stride = packed.columns;
  product.write = [=, &packed](Rows part, int64_t column, int64_t columns, const int32_t *words, int64_t stride) {
    for (int64_t m = 0; m < part.count; ++m)
      std::memcpy(y + (part.first + m) * packed.columns + column, words + m * stride,
                  static_cast<size_t>(columns) * sizeof(int32_t));
  };
  return compute({product}, threads);
}

}  // namespace
}  // namespace agn

int agn_matmul(const agn_split *split, const void *packed, int64_t columns, const uint8_t *x, int64_t rows,
               int64_t depth, const agn_finish *finish, void *y, int threads, int kernel) try {
  const agn::Packed weights(*split, columns, 1, depth, const_cast<void *>(packed));
  return agn::matmul(*split, weights, x, rows, finish, static_cast<int32_t *>(y), threads, kernel) ? 0 : -1;
} catch (const std::exception &) {  // no memory, or a size that no vector can have
  return -1;
}
