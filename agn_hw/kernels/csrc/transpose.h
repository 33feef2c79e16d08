// Small transposes that several layouts need.
#pragma once

#include <emmintrin.h>

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace agn {

// Sixteen rows of sixteen bytes, by interleaving rows i and i + 8 four times.
inline void transpose_16x16(__m128i *rows) {
  for (int stage = 0; stage < 4; ++stage) {
    __m128i next[16];
    for (int i = 0; i < 8; ++i) {
      next[2 * i] = _mm_unpacklo_epi8(rows[i], rows[i + 8]);
      next[2 * i + 1] = _mm_unpackhi_epi8(rows[i], rows[i + 8]);
    }
    for (int i = 0; i < 16; ++i) rows[i] = next[i];
  }
}

// to[j][i] = from(i)[j] for i < rows, j < columns; `from` gives the address of a row, `stride` is that of `to`.
template <class From>
void transpose_bytes(const From &from, int64_t rows, int64_t columns, uint8_t *to, int64_t stride) {
  for (int64_t i = 0; i < rows; i += 16)
    for (int64_t j = 0; j < columns; j += 16) {
      const auto height = static_cast<int>(std::min<int64_t>(16, rows - i));
      const auto width = static_cast<int>(std::min<int64_t>(16, columns - j));
      __m128i square[16] = {};
      if (height == 16 && width == 16) {  // copies of a known size are single moves
        for (int r = 0; r < 16; ++r) std::memcpy(&square[r], from(i + r) + j, 16);
        transpose_16x16(square);
        for (int r = 0; r < 16; ++r) std::memcpy(to + (j + r) * stride + i, &square[r], 16);
        continue;
      }
      for (int r = 0; r < height; ++r) std::memcpy(&square[r], from(i + r) + j, static_cast<size_t>(width));
      transpose_16x16(square);
      for (int r = 0; r < width; ++r) std::memcpy(to + (j + r) * stride + i, &square[r], static_cast<size_t>(height));
    }
}

// to[n][m] = from[m][n] for words of 32 bits, m < rows, n < columns.
inline void transpose_words(const int32_t *from, int64_t from_stride, int64_t rows, int64_t columns, int32_t *to,
                            int64_t to_stride) {
  for (int64_t m = 0; m < rows; m += 4)
    for (int64_t n = 0; n < columns; n += 4) {
      const int32_t *at = from + m * from_stride + n;
      int32_t *out = to + n * to_stride + m;
      if (rows - m < 4 || columns - n < 4) {
        for (int64_t i = 0; i < std::min<int64_t>(4, rows - m); ++i)
          for (int64_t j = 0; j < std::min<int64_t>(4, columns - n); ++j)
            out[j * to_stride + i] = at[i * from_stride + j];
        continue;
      }
      __m128 square[4];
      for (int i = 0; i < 4; ++i) square[i] = _mm_loadu_ps(reinterpret_cast<const float *>(at + i * from_stride));
      _MM_TRANSPOSE4_PS(square[0], square[1], square[2], square[3]);
      for (int j = 0; j < 4; ++j) _mm_storeu_ps(reinterpret_cast<float *>(out + j * to_stride), square[j]);
    }
}

}  // namespace agn
