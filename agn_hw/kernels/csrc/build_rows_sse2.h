// Row tables without byte permutes: transposing the residual's rows by weight, 16 x 16 bytes at a time.
#include <emmintrin.h>

#include "transpose.h"

namespace agn {
namespace {

void build_rows(const agn_split &split, int plane, const uint8_t *codes, int64_t count, int width, uint8_t *rows) {
  const int bytes = width < V ? width : V;
  for (int64_t k = 0; k < count; ++k, codes += width, rows += row_table_bytes(width))
    for (int j = 0; j < width; j += 16) {
      const uint8_t *source[16];
      for (int i = 0; i < 16; ++i) source[i] = split.by_weight[plane][codes[column_at(j + i, bytes)]];
      for (int x = 0; x < 256; x += 16) {
        __m128i r[16];
        for (int i = 0; i < 16; ++i) r[i] = _mm_loadu_si128(reinterpret_cast<const __m128i *>(source[i] + x));
        transpose_16x16(r);
        for (int i = 0; i < 16; ++i)
          _mm_storeu_si128(reinterpret_cast<__m128i *>(rows + (x + i) * width + j), r[i]);
      }
    }
}

}  // namespace
}  // namespace agn
