// Row-add: for each k the bytes rows[x][n] = plane[x][w[n][k]] stand ready, and an output row is a sum of such rows.
// Sums run in 16-bit lanes: `whole` adds the lanes as they are (even byte + 256 * odd byte), `odd` their upper bytes.
// Included once per instruction set, inside its own namespace; V is the widest vector in bytes.
#include <cstring>

namespace agn {
namespace {

constexpr int64_t kAhead = 8;  // rows whose activations are fetched early: each is a jump in memory, which hardware
                               // does not foresee (two to three times slower without)

template <int BYTES>
struct Lanes {
  typedef uint16_t u16 __attribute__((vector_size(BYTES)));
  typedef uint16_t half __attribute__((vector_size(BYTES / 2)));
  typedef uint32_t u32 __attribute__((vector_size(BYTES)));
};

// The column whose byte lies at position j of a row: sums of even bytes come out as columns 0 .. BYTES / 2 - 1 of a
// vector's BYTES columns, those of odd bytes as the rest.
constexpr int column_at(int j, int bytes) { return j / bytes * bytes + (j % 2) * (bytes / 2) + j % bytes / 2; }

template <int BYTES>
inline void widen_into(int32_t *c, typename Lanes<BYTES>::u16 sums, int shift) {
  typename Lanes<BYTES>::half parts[2];
  std::memcpy(parts, &sums, BYTES);
  for (int i = 0; i < 2; ++i) {
    typename Lanes<BYTES>::u32 total, wide = __builtin_convertvector(parts[i], typename Lanes<BYTES>::u32);
    std::memcpy(&total, c + i * (BYTES / 4), BYTES);
    total += wide << shift;
    std::memcpy(c + i * (BYTES / 4), &total, BYTES);
  }
}

template <int BYTES, int VECTORS>
void add_rows_of(const Windows &x, const Piece *pieces, int64_t count, const uint8_t *rows, int shift, int32_t *c,
                 int64_t stride) {
  using u16 = typename Lanes<BYTES>::u16;
  constexpr int width = BYTES * VECTORS;
  constexpr int64_t step = row_table_bytes(width);
  for (int64_t m = 0; m < x.rows; ++m) {
    u16 whole[2][VECTORS] = {}, odd[2][VECTORS] = {};  // two sets: shorter chains of additions
    const uint8_t *row = x.base + x.row[m], *table = rows;
    const uint8_t *ahead = x.base + x.row[m + kAhead < x.rows ? m + kAhead : m] + pieces[0].offset;
    __builtin_prefetch(ahead);
    __builtin_prefetch(ahead + kDepthStep - 1);
    auto add = [&](const uint8_t *at, int set) {
#pragma GCC unroll 8
      for (int v = 0; v < VECTORS; ++v) {
        u16 bytes;
        std::memcpy(&bytes, at + v * BYTES, BYTES);
        whole[set][v] += bytes;
        odd[set][v] += bytes >> 8;
      }
    };
    for (int64_t p = 0; p < count; ++p) {
      const uint8_t *codes = row + pieces[p].offset;
      int64_t k = 0;
      for (; k + 8 <= pieces[p].length; k += 8, table += 8 * step) {
        uint64_t eight;
        std::memcpy(&eight, codes + k, 8);
#pragma GCC unroll 8
        for (int i = 0; i < 8; ++i) add(table + i * step + (eight >> (8 * i) & 255) * width, i & 1);
      }
      for (; k < pieces[p].length; ++k, table += step) add(table + int64_t{codes[k]} * width, 0);
    }
    int32_t *out = c + m * stride;
#pragma GCC unroll 8
    for (int v = 0; v < VECTORS; ++v) {
      u16 high = odd[0][v] + odd[1][v], low = whole[0][v] + whole[1][v] - (high << 8);
      widen_into<BYTES>(out + v * BYTES, low, shift);
      widen_into<BYTES>(out + v * BYTES + BYTES / 2, high, shift);
    }
  }
}

void add_rows(const Windows &x, const Piece *pieces, int64_t count, const uint8_t *rows, int width, int shift,
              int32_t *c, int64_t stride) {
  if (width == 64) return add_rows_of<V, 64 / V>(x, pieces, count, rows, shift, c, stride);
  if (width == 32) return add_rows_of<(V < 32 ? V : 32), (V < 32 ? 32 / V : 1)>(x, pieces, count, rows, shift, c, stride);
  return add_rows_of<16, 1>(x, pieces, count, rows, shift, c, stride);
}

}  // namespace
}  // namespace agn
