// Row tables by byte permutes: 64 weight codes look up one activation's 256 bytes, eight vectors of codes at a time.
#include <immintrin.h>

namespace agn {
namespace {

// A vector of codes is one k's (width 64), two k's (32) or four k's (16), each in the order of column_at.
template <int WIDTH>
void build_rows_of(const uint8_t (*plane)[256], const uint8_t *codes, int64_t count, uint8_t *rows) {
  constexpr int kPerVector = 64 / WIDTH, kVectors = 8;
  constexpr int64_t step = row_table_bytes(WIDTH);
  alignas(64) uint8_t order[64];
  for (int j = 0; j < 64; ++j) order[j] = static_cast<uint8_t>(j / WIDTH * WIDTH + column_at(j % WIDTH, WIDTH));
  const __m512i sorted = _mm512_load_si512(order);
  for (int64_t k = 0; k < count; k += kPerVector * kVectors) {
    __m512i index[kVectors];
    __mmask64 upper[kVectors];
    const int64_t vectors = (count - k + kPerVector - 1) / kPerVector;
    for (int v = 0; v < kVectors; ++v) {
      index[v] = v < vectors ? _mm512_loadu_si512(codes + (k + v * kPerVector) * WIDTH) : _mm512_setzero_si512();
      index[v] = _mm512_permutexvar_epi8(sorted, index[v]);
      upper[v] = _mm512_movepi8_mask(index[v]);
    }
    for (int x = 0; x < 256; ++x) {
      const Row256 row = load_row(plane[x]);
      uint8_t *out = rows + k * step + x * WIDTH;
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) {
        const __m512i bytes = look_up(row, index[v], upper[v]);
        uint8_t *at = out + v * kPerVector * step;
        if constexpr (WIDTH == 64) {
          _mm512_storeu_si512(at, bytes);
        } else if constexpr (WIDTH == 32) {
          _mm256_storeu_si256(reinterpret_cast<__m256i *>(at), _mm512_castsi512_si256(bytes));
          _mm256_storeu_si256(reinterpret_cast<__m256i *>(at + step), _mm512_extracti64x4_epi64(bytes, 1));
        } else {
          _mm_storeu_si128(reinterpret_cast<__m128i *>(at), _mm512_castsi512_si128(bytes));
          _mm_storeu_si128(reinterpret_cast<__m128i *>(at + step), _mm512_extracti32x4_epi32(bytes, 1));
          _mm_storeu_si128(reinterpret_cast<__m128i *>(at + 2 * step), _mm512_extracti32x4_epi32(bytes, 2));
          _mm_storeu_si128(reinterpret_cast<__m128i *>(at + 3 * step), _mm512_extracti32x4_epi32(bytes, 3));
        }
      }
    }
  }
}

// Writes whole groups of k's: `rows` has room for `count` rounded up to eight vectors.
void build_rows(const agn_split &split, int plane, const uint8_t *codes, int64_t count, int width, uint8_t *rows) {
  const auto *table = split.by_activation[plane];
  if (width == 64) return build_rows_of<64>(table, codes, count, rows);
  if (width == 32) return build_rows_of<32>(table, codes, count, rows);
  return build_rows_of<16>(table, codes, count, rows);
}

}  // namespace
}  // namespace agn
