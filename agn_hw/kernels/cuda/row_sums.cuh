// Sums of rows of bytes: in 16-bit lanes while they fit, then in the int32 sums of the output.
#pragma once

#include "output.cuh"
#include "row_tables.cuh"

#ifndef ROWS
#define ROWS 12     // output rows of a thread, a multiple of 4
#endif
#ifndef ADDENDS
#define ADDENDS 1   // words that can be added before a byte overflows: 1, 2 or 4
#endif

constexpr int ACROSS = 32 / LANES;              // output rows side by side in a warp
constexpr int WARP_ROWS = ACROSS * ROWS;
constexpr int PASS = 4 * ACROSS;                // output rows that a warp flushes at once
constexpr int COLUMN_PITCH = 2 * PASS + 8;      // bytes that a column of them takes on the way
constexpr int SCRATCH = COLUMNS * COLUMN_PITCH; // of a warp
static_assert(ADDENDS <= STEP && ROWS % 4 == 0, "not a variant");

// Of four columns a word: `whole` is the sum of words of four bytes, `odd` that of bytes 1 and 3.
struct Sums {
  u32 whole[ROWS][4], odd[ROWS][4];
};

// The output row, of those of a warp, that a lane's row `i` is: four rows of a lane are neighbours.
__device__ __forceinline__ int row_in_warp(int across, int i) { return i / 4 * PASS + across * 4 + i % 4; }

__device__ __forceinline__ u32 part_of(const uint4 &row, int part) {
  return part == 0 ? row.x : part == 1 ? row.y : part == 2 ? row.z : row.w;
}

// `one`: the number 1, unknown to the compiler: multiplications go where otherwise nothing would, beside additions.
__device__ __forceinline__ void add_rows(const uint4 (&rows)[STEP], u32 one, u32 (&whole)[4], u32 (&odd)[4]) {
#pragma unroll
  for (int part = 0; part < 4; ++part) {
    u32 upper = 0;
#pragma unroll
    for (int j = 0; j < STEP; j += ADDENDS) {
      u32 packed = part_of(rows[j], part);
#pragma unroll
      for (int i = 1; i < ADDENDS; ++i) packed += part_of(rows[j + i], part);
      whole[part] += ADDENDS == 1 ? packed * one : packed;
      upper += __byte_perm(packed, 0, 0x4341);
    }
    odd[part] += upper;
  }
}

// How sums are flushed: shifted; `fresh`: no sums are there yet; `last`: none come after, codes may be made.
struct Ending {
  int shift;
  bool fresh, last;
};

// A line of outputs with their sums: one of a lane's rows (along columns) or columns (along rows).
struct Line {
  const u8 *sums;    // 16 bits each
  i64 index;         // of the first in y
  i64 step;          // in y
  int channel;       // of the first, of all groups
  int count;         // those after are nobody's
};

template <bool ALONG_COLUMNS, int LENGTH>
__device__ __forceinline__ void flush_line(const Output &out, const Line &line, const Ending &how) {
  constexpr int BATCH = 8;  // loads in flight
  int *sums = static_cast<int *>(out.y);
  const bool codes = how.last && out.bias, atomic = out.mode == ATOMIC;
  for (int first = 0; first < LENGTH && first < line.count; first += BATCH) {
    u32 before[BATCH] = {};
#pragma unroll
    for (int i = 0; i < BATCH; ++i)
      if (first + i < line.count && !atomic) {
        if (!how.fresh)
          before[i] = sums[line.index + (first + i) * line.step];
        else if (out.start)
          before[i] = out.start[line.channel + (ALONG_COLUMNS ? first + i : 0)];
      }
#pragma unroll
    for (int i = 0; i < BATCH; ++i)
      if (first + i < line.count) {
        const int at = first + i, channel = line.channel + (ALONG_COLUMNS ? at : 0);
        const u32 sum = *reinterpret_cast<const u16 *>(line.sums + at * (ALONG_COLUMNS ? COLUMN_PITCH : 2));
        const int total = static_cast<int>(before[i] + (sum << how.shift));
        const i64 index = line.index + at * line.step;
        if (atomic)
          atomicAdd(sums + index, total);
        else if (codes)
          static_cast<float *>(out.y)[index] =
              requantised(total, out.bias[channel], out.factor[channel], out.low, out.high);
        else
          sums[index] = total;
      }
  }
}

// Flushes PASS rows of a warp from its scratch, [column][row] in 16 bits. Lanes are neighbours in y.
__device__ __forceinline__ void flush_pass(const Output &out, const Windows &x, int lane, int group, i64 first_row,
                                           int first_column, const u8 *scratch, const Ending &how) {
  const int rows = static_cast<int>(min(static_cast<i64>(PASS), x.rows - first_row));
  const int columns = static_cast<int>(min(static_cast<i64>(COLUMNS), out.columns - first_column));
  const int channel = group * static_cast<int>(out.columns) + first_column;
  if (x.out_size == 1) {
    const i64 step = out.groups * out.columns;
    for (int column = lane; column < columns; column += 32)
      flush_line<false, PASS>(out, {scratch + column * COLUMN_PITCH, first_row * step + channel + column, step,
                                    channel + column, rows}, how);
  } else {
    for (int row = lane; row < rows; row += 32)
      flush_line<true, COLUMNS>(out, {scratch + row * 2,
                                      output_index(out, x, first_row + row, group) + first_column * x.out_size,
                                      x.out_size, channel, columns}, how);
  }
}

// Four rows of each lane, in 16 bits, to where they lie in the scratch of its warp.
__device__ __forceinline__ void write_scratch(const Sums &sums, int first, u8 *to) {
#pragma unroll
  for (int part = 0; part < 4; ++part) {
    u32 even[4], odd[4];  // of four rows: columns 0 and 2, 1 and 3
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      odd[i] = sums.odd[first + i][part];
      even[i] = sums.whole[first + i][part] - (odd[i] << 8);
    }
#pragma unroll
    for (int column = 0; column < 4; ++column) {
      const u32(&from)[4] = column % 2 ? odd : even;
      const u32 half = column < 2 ? 0x5410 : 0x7632;
      *reinterpret_cast<uint2 *>(to + (part * 4 + column) * COLUMN_PITCH) =
          make_uint2(__byte_perm(from[0], from[1], half), __byte_perm(from[2], from[3], half));
    }
  }
}

// Flushes a warp's rows from `first_row` on; other warps do the same elsewhere.
__device__ __forceinline__ void flush(const Output &out, const Windows &x, int lane, int group, i64 first_row,
                                      int first_column, u8 *scratch, const Sums &sums, const Ending &how) {
  u8 *to = scratch + lane % LANES * 16 * COLUMN_PITCH + lane / LANES * 8;
#pragma unroll
  for (int pass = 0; pass < ROWS / 4; ++pass) {
    __syncwarp();
    write_scratch(sums, 4 * pass, to);
    __syncwarp();
    if (first_row + pass * PASS < x.rows)
      flush_pass(out, x, lane, group, first_row + pass * PASS, first_column, scratch, how);
  }
}
