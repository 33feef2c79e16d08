// Register tables: the 256 residual bytes of one weight stay in four vectors and are looked up by 64 activations at
// a time. Sums run in 16-bit lanes as in row_add.h: the lanes as they are, and their upper bytes.

namespace agn {
namespace {

// Where the 32 sums of either half of 64 outputs come from: even outputs from the first vector, odd ones from the
// second.
struct Interleave {
  alignas(64) uint16_t lanes[2][32] = {};
  constexpr Interleave() {
    for (int half = 0; half < 2; ++half)
      for (int j = 0; j < 32; ++j) lanes[half][j] = static_cast<uint16_t>(half * 16 + j / 2 + j % 2 * 32);
  }
};
constexpr Interleave kInterleave;

inline void widen_columns(int32_t *c, __m512i whole, __m512i odd, int shift) {
  const __m512i even = _mm512_sub_epi16(whole, _mm512_slli_epi16(odd, 8));
  const __m128i places = _mm_cvtsi32_si128(shift);
  for (int half = 0; half < 2; ++half) {
    const __m512i words = _mm512_permutex2var_epi16(even, _mm512_load_si512(kInterleave.lanes[half]), odd);
    const __m512i parts[2] = {_mm512_cvtepu16_epi32(_mm512_castsi512_si256(words)),
                              _mm512_cvtepu16_epi32(_mm512_extracti64x4_epi64(words, 1))};
    for (int i = 0; i < 2; ++i) {
      int32_t *at = c + half * 32 + i * 16;
      _mm512_storeu_si512(at, _mm512_add_epi32(_mm512_loadu_si512(at), _mm512_sll_epi32(parts[i], places)));
    }
  }
}

// COLUMNS columns by VECTORS * 64 outputs, up to 256 k's, one plane. SMALL: all activations are below 128. Several
// columns share the activations and the masks of their upper bits.
template <int COLUMNS, int VECTORS, bool SMALL>
void add_tile(const uint8_t (*plane)[256], const uint8_t *x, int64_t x_stride, const uint8_t *codes, int width,
              int64_t depth, int shift, int32_t *c, int64_t stride) {
  __m512i whole[COLUMNS][VECTORS], odd[COLUMNS][VECTORS];
  for (int n = 0; n < COLUMNS; ++n)
    for (int v = 0; v < VECTORS; ++v) whole[n][v] = odd[n][v] = _mm512_setzero_si512();
  for (int64_t k = 0; k < depth; ++k, codes += width, x += x_stride) {
    __m512i index[VECTORS];
    __mmask64 upper[VECTORS];
#pragma GCC unroll 4
    for (int v = 0; v < VECTORS; ++v) {
      index[v] = _mm512_loadu_si512(x + v * 64);
      upper[v] = SMALL ? 0 : _mm512_movepi8_mask(index[v]);
    }
#pragma GCC unroll 4
    for (int n = 0; n < COLUMNS; ++n) {
      const Row256 row = load_row(plane[codes[n]]);
#pragma GCC unroll 4
      for (int v = 0; v < VECTORS; ++v) {
        const __m512i bytes = SMALL ? _mm512_permutex2var_epi8(row.quarter[0], index[v], row.quarter[1])
                                    : look_up(row, index[v], upper[v]);
        whole[n][v] = _mm512_add_epi16(whole[n][v], bytes);
        odd[n][v] = _mm512_add_epi16(odd[n][v], _mm512_srli_epi16(bytes, 8));
      }
    }
  }
#pragma GCC unroll 4
  for (int n = 0; n < COLUMNS; ++n)
#pragma GCC unroll 4
    for (int v = 0; v < VECTORS; ++v) widen_columns(c + n * stride + v * 64, whole[n][v], odd[n][v], shift);
}

inline bool all_small(const uint8_t *x, int64_t x_stride, int64_t rows, int64_t depth) {
  __mmask64 large = 0;
  for (int64_t k = 0; k < depth; ++k)
    for (int64_t m = 0; m < rows; m += 64) large |= _mm512_movepi8_mask(_mm512_loadu_si512(x + k * x_stride + m));
  return large == 0;
}

// VECTORS * 64 outputs of every column.
template <int VECTORS, bool SMALL>
void add_columns_at(const agn_split &split, const uint8_t *x, int64_t x_stride, const uint8_t *codes, int64_t depth,
                    int width, int columns, int32_t *c, int64_t stride) {
  constexpr int64_t kMost = 256;  // sums of 256 bytes fit 16 bits
  for (int64_t k = 0; k < depth; k += kMost)
    for (int p = 0; p < split.planes; ++p) {
      const uint8_t *at = x + k * x_stride, *weights = codes + k * width;
      const int64_t count = depth - k < kMost ? depth - k : kMost;
      int n = 0;
      for (; n + 2 <= columns; n += 2)
        add_tile<2, VECTORS, SMALL>(split.by_weight[p], at, x_stride, weights + n, width, count, 8 * p,
                                    c + n * stride, stride);
      if (n < columns)
        add_tile<1, VECTORS, SMALL>(split.by_weight[p], at, x_stride, weights + n, width, count, 8 * p,
                                    c + n * stride, stride);
    }
}

template <bool SMALL>
void add_columns_of(const agn_split &split, const uint8_t *x, int64_t x_stride, int64_t rows, const uint8_t *codes,
                    int64_t depth, int width, int columns, int32_t *c, int64_t stride) {
  for (int64_t m = 0; m < rows; m += 128)
    (rows - m > 64 ? add_columns_at<2, SMALL> : add_columns_at<1, SMALL>)(split, x + m, x_stride, codes, depth, width,
                                                                          columns, c + m, stride);
}

void add_columns(const agn_split &split, const uint8_t *x, int64_t x_stride, int64_t rows, const uint8_t *codes,
                 int64_t depth, int width, int columns, int32_t *c, int64_t stride) {
  if (all_small(x, x_stride, rows, depth))
    return add_columns_of<true>(split, x, x_stride, rows, codes, depth, width, columns, c, stride);
  add_columns_of<false>(split, x, x_stride, rows, codes, depth, width, columns, c, stride);
}

}  // namespace
}  // namespace agn
