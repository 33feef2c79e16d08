// The exact part without VNNI: products of 16-bit words (pmaddwd), because pmaddubsw saturates. Bytes of four k's
// are widened on the fly; a lane holds half a column's sum until the end.
#include <immintrin.h>

namespace agn {
namespace {

#ifdef __AVX2__
using Words = __m256i;
inline Words factors_of(const int8_t *b) {
  return _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i *>(b)));
}
inline Words codes_of(uint32_t four) {
  return _mm256_broadcastq_epi64(_mm_cvtepu8_epi16(_mm_cvtsi32_si128(static_cast<int>(four))));
}
inline Words add_products(Words sum, Words a, Words b) { return _mm256_add_epi32(sum, _mm256_madd_epi16(a, b)); }
#else
using Words = __m128i;
inline Words factors_of(const int8_t *b) {
  __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i *>(b));
  return _mm_srai_epi16(_mm_unpacklo_epi8(bytes, bytes), 8);
}
inline Words codes_of(uint32_t four) {
  __m128i words = _mm_unpacklo_epi8(_mm_cvtsi32_si128(static_cast<int>(four)), _mm_setzero_si128());
  return _mm_unpacklo_epi64(words, words);
}
inline Words add_products(Words sum, Words a, Words b) { return _mm_add_epi32(sum, _mm_madd_epi16(a, b)); }
#endif

constexpr int kColumnsOfWords = sizeof(Words) / 8;
constexpr int kVectors = 4;

// sums += codes * factors for `count` k's, a multiple of four.
template <int ROWS>
inline void add_stretch(Words (&sums)[ROWS][kVectors], const uint8_t *const (&row)[ROWS], int64_t count,
                        const int8_t *factors, int width) {
  for (int64_t k = 0; k < count; k += 4, factors += width * 4) {
    Words codes[ROWS];
#pragma GCC unroll 4
    for (int j = 0; j < ROWS; ++j) {
      uint32_t four;
      std::memcpy(&four, row[j] + k, 4);
      codes[j] = codes_of(four);
    }
#pragma GCC unroll 4
    for (int i = 0; i < kVectors; ++i) {
      const Words f = factors_of(factors + i * kColumnsOfWords * 4);
#pragma GCC unroll 4
      for (int j = 0; j < ROWS; ++j) sums[j][i] = add_products(sums[j][i], codes[j], f);
    }
  }
}

// ROWS rows by kVectors * kColumnsOfWords columns.
template <int ROWS>
void multiply_tile(const Windows &x, int64_t m, const int8_t *factors, int width, int column, bool fresh, int shift,
                   const int32_t *offset, int32_t *c, int64_t stride) {
  Words sums[ROWS][kVectors] = {};
  const int8_t *b = factors + column * 4;
  const int64_t rest = x.run % 4, whole = x.run - rest;
  for (int64_t r = 0; r < 2 * x.runs; ++r) {  // each run's fours, then what is left of it
    uint8_t last[ROWS][4] = {};
    const uint8_t *row[ROWS];
    if (r % 2 && !rest) continue;
    for (int j = 0; j < ROWS; ++j) {
      row[j] = x.base + x.row[m + j] + x.start[r / 2];
      if (r % 2) row[j] = static_cast<uint8_t *>(std::memcpy(last[j], row[j] + whole, static_cast<size_t>(rest)));
    }
    const int64_t count = r % 2 ? 4 : whole;
    add_stretch<ROWS>(sums, row, count, b, width);
    b += count * width;
  }
  for (int j = 0; j < ROWS; ++j) {
    uint32_t lanes[2 * kVectors * kColumnsOfWords];
    std::memcpy(lanes, sums[j], sizeof(lanes));
    int32_t *out = c + (m + j) * stride + column;
    for (int i = 0; i < kVectors * kColumnsOfWords; ++i) {
      const uint32_t start = fresh ? 0 : static_cast<uint32_t>(out[i]);
      out[i] = static_cast<int32_t>(((start + lanes[2 * i] + lanes[2 * i + 1]) << shift) +
                                    static_cast<uint32_t>(offset[column + i]));
    }
  }
}

void multiply(const Windows &x, const int8_t *factors, int width, bool fresh, int shift, const int32_t *offset,
              int32_t *c, int64_t stride) {
  for (int column = 0; column < width; column += kVectors * kColumnsOfWords) {
    int64_t m = 0;
    for (; m + 3 <= x.rows; m += 3) multiply_tile<3>(x, m, factors, width, column, fresh, shift, offset, c, stride);
    for (; m < x.rows; ++m) multiply_tile<1>(x, m, factors, width, column, fresh, shift, offset, c, stride);
  }
}

}  // namespace
}  // namespace agn
