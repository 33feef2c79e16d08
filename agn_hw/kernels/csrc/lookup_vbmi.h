// Looking bytes up in 256 bytes that four vectors hold.
#include <immintrin.h>

namespace agn {
namespace {

struct Row256 {
  __m512i quarter[4];
};

inline Row256 load_row(const uint8_t *bytes) {
  Row256 row;
  for (int i = 0; i < 4; ++i) row.quarter[i] = _mm512_loadu_si512(bytes + 64 * i);
  return row;
}

inline __m512i look_up(const Row256 &row, __m512i index, __mmask64 upper) {
  __m512i low = _mm512_permutex2var_epi8(row.quarter[0], index, row.quarter[1]);
  __m512i high = _mm512_permutex2var_epi8(row.quarter[2], index, row.quarter[3]);
  return _mm512_mask_blend_epi8(upper, low, high);
}

void expand(const uint8_t *table, const uint8_t *x, int64_t count, uint8_t *y) {
  const Row256 row = load_row(table);
  int64_t i = 0;
  for (; i + 64 <= count; i += 64) {
    const __m512i index = _mm512_loadu_si512(x + i);
    _mm512_storeu_si512(y + i, look_up(row, index, _mm512_movepi8_mask(index)));
  }
  for (; i < count; ++i) y[i] = table[x[i]];
}

}  // namespace
}  // namespace agn
