// Small transposes that several layouts need.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace agn {

// Eight rows of eight bytes, each in a word, by swapping ever smaller squares across the diagonal.
inline void transpose_8x8(uint64_t *rows) {
  constexpr uint64_t kMasks[3] = {0x00000000ffffffff, 0x0000ffff0000ffff, 0x00ff00ff00ff00ff};
  for (int level = 0, distance = 4; level < 3; ++level, distance /= 2)
    for (int i = 0; i < 8; ++i) {
      if (i & distance) continue;
      const uint64_t swap = ((rows[i] >> (8 * distance)) ^ rows[i + distance]) & kMasks[level];
      rows[i] ^= swap << (8 * distance);
      rows[i + distance] ^= swap;
    }
}

// to[j][i] = from(i)[j] for i < rows, j < columns; `from` gives the address of a row, `stride` is that of `to`.
template <class From>
void transpose_bytes(const From &from, int64_t rows, int64_t columns, uint8_t *to, int64_t stride) {
  for (int64_t i = 0; i < rows; i += 8)
    for (int64_t j = 0; j < columns; j += 8) {
      const int64_t height = std::min<int64_t>(8, rows - i), width = std::min<int64_t>(8, columns - j);
      uint64_t square[8] = {};
      for (int64_t r = 0; r < height; ++r) std::memcpy(&square[r], from(i + r) + j, static_cast<size_t>(width));
      transpose_8x8(square);
      for (int64_t r = 0; r < width; ++r) std::memcpy(to + (j + r) * stride + i, &square[r], static_cast<size_t>(height));
    }
}

}  // namespace agn
