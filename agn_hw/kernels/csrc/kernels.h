// What the translation units of this library share: the view of operands that every kernel takes, and the table of
// kernels that each instruction set fills in.
#pragma once

#include <cstdint>

#include "agn_kernels.h"

namespace agn {

constexpr int kBlock = 64;       // columns that a kernel works on at once: 64, or 32 or 16 at the right edge
constexpr int kDepthStep = 64;   // k's whose row tables are in use at once; below 257, so that 16-bit sums hold

// The activations of a task as a matrix: row m is `runs` stretches of `run` bytes, stretch r at base + row[m] + start[r].
// A plain matrix has one run; a convolution has one per kernel row (or kernel tap), with no copy of the image.
struct Windows {
  const uint8_t *base;
  const int64_t *row;
  int64_t rows;
  const int64_t *start;
  int64_t runs;
  int64_t run;
};

// Stretches of consecutive k within one run: what row-add walks along.
struct Piece {
  int64_t offset;
  int64_t length;
};

struct Kernels {
  const char *name;
  int term_cost;  // of an int8 term, in 512ths of a residual byte by row-add
  // c[m][n] = (start + sum over k of x[m][k] * factors[k][n]) * 2^shift + offset[n], where start is 0 if `fresh` and
  // c[m][n] otherwise; factors as [k / 4][n][4], runs padded to fours with zeros; offset int32 [width].
  void (*multiply)(const Windows &x, const int8_t *factors, int width, bool fresh, int shift, const int32_t *offset,
                   int32_t *c, int64_t stride);
  // rows[k][x][n] = plane[x][codes[k][n]] for `count` k's, in the column order that add_rows wants.
  void (*build_rows)(const agn_split &split, int plane, const uint8_t *codes, int64_t count, int width,
                     uint8_t *rows);
  // c[m][n] += sum over k of rows[k][x[m][k]][n] << shift, the k's being those of the pieces in order.
  void (*add_rows)(const Windows &x, const Piece *pieces, int64_t count, const uint8_t *rows, int width, int shift,
                   int32_t *c, int64_t stride);
  // c[n][m] += sum over k of residual(x[k][m], codes[k][n]); x is [k][x_stride], c [width][stride], any `rows`;
  // reads of x may run up to 63 bytes past `rows`.
  void (*add_columns)(const agn_split &split, const uint8_t *x, int64_t x_stride, int64_t rows, const uint8_t *codes,
                      int64_t depth, int width, int columns, int32_t *c, int64_t stride);
  // Sums to codes, in place: channels `column` and on, c [rows][stride].
  void (*finish_rows)(const agn_finish &finish, int64_t column, int64_t rows, int width, int32_t *c, int64_t stride);
  // One channel's sums to codes; and codes of two branches added (agn_requantize, agn_add_codes).
  void (*finish_plane)(const void *sums, bool floating, int64_t count, double bias, double factor, double low,
                       double high, float *y);
  void (*add_codes)(const float *left, const float *right, int64_t count, double first, double second, double low,
                    double high, float *y);
  // Largest less smallest of entries[i] - slope * x[i], i < 256; whole numbers below 2^24.
  float (*range_at)(const float *entries, const float *x, float slope);
  uint64_t (*fingerprint)(const void *memory, int64_t bytes);
  // y[i] = table[x[i]]
  void (*expand)(const uint8_t *table, const uint8_t *x, int64_t count, uint8_t *y);
};

constexpr int64_t row_table_bytes(int width) { return 256 * int64_t{width} + 64; }  // skewed: equal x of different
                                                                                    // k's fall into different sets

extern const Kernels kBaseline, kAvx2, kAvx512;
const Kernels &chosen();

}  // namespace agn
