// The exact part with VNNI: vpdpbusd adds four products of an unsigned by a signed byte to each 32-bit lane. A tile
// of rows keeps its sums in registers over the whole depth.
#include <immintrin.h>

namespace agn {
namespace {

// _mm512_dpbusd_epi32, written out: gcc 12 copies the intrinsic's sums through the stack.
inline void add_products(__m512i &sums, __m512i codes, __m512i factors) {
  __asm__("vpdpbusd %2, %1, %0" : "+v"(sums) : "v"(codes), "v"(factors));
}

// sums += codes * factors for `count` k's, a multiple of four.
template <int ROWS, int VECTORS>
inline void add_stretch(__m512i (&sums)[ROWS][VECTORS], const uint8_t *const (&row)[ROWS], int64_t count,
                        const int8_t *factors) {
  for (int64_t k = 0; k < count; k += 4, factors += VECTORS * 64) {
    __m512i f[VECTORS];
#pragma GCC unroll 4
    for (int i = 0; i < VECTORS; ++i) f[i] = _mm512_loadu_si512(factors + i * 64);
#pragma GCC unroll 16
    for (int j = 0; j < ROWS; ++j) {
      int32_t four;
      std::memcpy(&four, row[j] + k, 4);
      const __m512i codes = _mm512_set1_epi32(four);
#pragma GCC unroll 4
      for (int i = 0; i < VECTORS; ++i) add_products(sums[j][i], codes, f[i]);
    }
  }
}

// Where a tile's sums start and what becomes of them (see Kernels::multiply).
struct Ending {
  bool fresh;
  int shift;
  const int32_t *offset;
};

// ROWS rows by VECTORS * 16 columns.
template <int ROWS, int VECTORS>
void multiply_tile(const Windows &x, int64_t m, const int8_t *factors, const Ending &ending, int32_t *c,
                   int64_t stride) {
  __m512i sums[ROWS][VECTORS];
#pragma GCC unroll 16
  for (int j = 0; j < ROWS; ++j)
#pragma GCC unroll 4
    for (int i = 0; i < VECTORS; ++i)
      sums[j][i] = ending.fresh ? _mm512_setzero_si512() : _mm512_loadu_si512(c + (m + j) * stride + i * 16);
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
    add_stretch<ROWS, VECTORS>(sums, row, count, factors);
    factors += count * VECTORS * 16;
  }
  const __m128i shift = _mm_cvtsi32_si128(ending.shift);
#pragma GCC unroll 16
  for (int j = 0; j < ROWS; ++j)
#pragma GCC unroll 4
    for (int i = 0; i < VECTORS; ++i)
      _mm512_storeu_si512(c + (m + j) * stride + i * 16,
                          _mm512_add_epi32(_mm512_sll_epi32(sums[j][i], shift),
                                           _mm512_loadu_si512(ending.offset + i * 16)));
}

template <int ROWS, int VECTORS>
void multiply_tiles(const Windows &x, const int8_t *factors, const Ending &ending, int32_t *c, int64_t stride) {
  int64_t m = 0;
  for (; m + ROWS <= x.rows; m += ROWS) multiply_tile<ROWS, VECTORS>(x, m, factors, ending, c, stride);
  for (; m < x.rows; ++m) multiply_tile<1, VECTORS>(x, m, factors, ending, c, stride);
}

void multiply(const Windows &x, const int8_t *factors, int width, bool fresh, int shift, const int32_t *offset,
              int32_t *c, int64_t stride) {
  const Ending ending{fresh, shift, offset};
  if (width == 64) return multiply_tiles<6, 4>(x, factors, ending, c, stride);
  if (width == 32) return multiply_tiles<12, 2>(x, factors, ending, c, stride);
  return multiply_tiles<12, 1>(x, factors, ending, c, stride);
}

}  // namespace
}  // namespace agn
