// Column sums without byte permutes: each product is looked up, four outputs at a time.

namespace agn {
namespace {

void add_columns(const agn_split &split, const uint8_t *x, int64_t x_stride, int64_t rows, const uint8_t *codes,
                 int64_t depth, int width, int columns, int32_t *c, int64_t stride) {
  for (int n = 0; n < columns; ++n) {
    int32_t *out = c + n * stride;
    for (int64_t m = 0; m < rows; m += 4) {
      uint32_t sums[4] = {};
      for (int64_t k = 0; k < depth; ++k) {
        const uint32_t *table = split.residual[codes[k * width + n]];
        for (int i = 0; i < 4; ++i) sums[i] += table[x[k * x_stride + m + i]];
      }
      for (int i = 0; i < 4 && m + i < rows; ++i) out[m + i] = static_cast<int32_t>(static_cast<uint32_t>(out[m + i]) + sums[i]);
    }
  }
}

}  // namespace
}  // namespace agn
