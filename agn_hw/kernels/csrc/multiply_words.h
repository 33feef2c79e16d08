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

// ROWS rows by kVectors * kColumnsOfWords columns.
template <int ROWS>
void multiply_tile(const Windows &x, int64_t m, const int8_t *factors, int width, int column, bool fresh, int shift,
                   const int32_t *offset, int32_t *c, int64_t stride) {
  Words sums[ROWS][kVectors] = {};
  const int8_t *b = factors + column * 4;
  for (int64_t r = 0; r < x.runs; ++r) {
    const uint8_t *row[ROWS];
    for (int j = 0; j < ROWS; ++j) row[j] = x.base + x.row[m + j] + x.start[r];
    auto step = [&](int64_t k, size_t valid) {
      Words f[kVectors];
      for (int i = 0; i < kVectors; ++i) f[i] = factors_of(b + i * kColumnsOfWords * 4);
      for (int j = 0; j < ROWS; ++j) {
        uint32_t four = 0;
        std::memcpy(&four, row[j] + k, valid);
        Words codes = codes_of(four);
        for (int i = 0; i < kVectors; ++i) sums[j][i] = add_products(sums[j][i], codes, f[i]);
      }
      b += width * 4;
    };
    int64_t k = 0;
    for (; k + 4 <= x.run; k += 4) step(k, 4);
    if (k < x.run) step(k, static_cast<size_t>(x.run - k));
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
    for (; m + 2 <= x.rows; m += 2) multiply_tile<2>(x, m, factors, width, column, fresh, shift, offset, c, stride);
    for (; m < x.rows; ++m) multiply_tile<1>(x, m, factors, width, column, fresh, shift, offset, c, stride);
  }
}

}  // namespace
}  // namespace agn
