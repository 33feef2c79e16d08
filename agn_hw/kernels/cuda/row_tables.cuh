// Tables of rows in shared memory for STEP k's: T[k][x][n] = plane[w[k][n]][x], how they are built and found.
//
// A line of 128 bytes holds the rows of one x for SETS k's side by side, in 16-byte units. Those of one k change places
// with x, but only among themselves: SETS lines of any x's, each read for another k, never meet in a bank. A table has
// HALVES such lines for each x.
#pragma once

#include "device.cuh"

#ifndef COLUMNS
#define COLUMNS 64  // of a tile: 32 or 64
#endif
#ifndef HALVES
#define HALVES 2    // 1 or 2
#endif

constexpr int LANES = COLUMNS / 16;             // lanes that read a row
constexpr int SETS = 8 / LANES;
constexpr int STEP = SETS * HALVES;
constexpr int PITCH = 128 * HALVES;
constexpr int TABLE = 256 * PITCH;
constexpr int PLANE = 257 * 256;                // bytes of a plane; row 256, of padding, is all zeros

// Builds a table for codes [STEP][COLUMNS]; done by all `warps`. A warp takes 16 columns for half of the x's at a time,
// LANES neighbouring lanes one k of SETS, and a lane four x's: it reads words of 16 rows, which fall into other banks
// than the other lanes' words, and writes four units, of which those of eight neighbouring lanes do likewise.
__device__ __forceinline__ void build_table(int warp, int warps, int lane, const u8 *plane, const u16 *codes,
                                            u8 *table) {
#pragma unroll 1
  for (int task = warp; task < 16 * HALVES; task += warps) {
    const int k = task / 2 / LANES ^ lane % 8 / LANES, part = task / 2 % LANES;
    const u32 x = (lane % 8 * 4 + lane / 8 + task % 2 * 32) * 4;
    u32 words[4][4];
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const uint2 four = *reinterpret_cast<const uint2 *>(codes + k * COLUMNS + part * 16 + i * 4);
      words[i][0] = *reinterpret_cast<const u32 *>(plane + __byte_perm(four.x, x, 0x5104));  // 256 * code + x
      words[i][1] = *reinterpret_cast<const u32 *>(plane + __byte_perm(four.x, x, 0x5324));
      words[i][2] = *reinterpret_cast<const u32 *>(plane + __byte_perm(four.y, x, 0x5104));
      words[i][3] = *reinterpret_cast<const u32 *>(plane + __byte_perm(four.y, x, 0x5324));
      transpose_bytes(words[i]);
    }
    const int unit = (k % SETS * LANES + part) ^ (x >> 4 & (LANES - 1));
    uint4 *to = reinterpret_cast<uint4 *>(table + x * PITCH + k / SETS * 128 + unit * 16);
#pragma unroll
    for (int i = 0; i < 4; ++i) to[i * (PITCH / 16)] = make_uint4(words[0][i], words[1][i], words[2][i], words[3][i]);
  }
}

// A lane's order of k's: of every SETS, the lanes of SETS output rows take each another first, so that together they
// read all 128 bytes of a line's width, from whatever lines.
struct Turns {
  u32 order, units;  // of four k's: selector of their bytes; 16 * (unit of this lane's columns) for each

  __device__ __forceinline__ explicit Turns(int lane) : order(0), units(0) {
    const u32 set = lane % 8 / LANES;
#pragma unroll
    for (u32 j = 0; j < 4; ++j) {
      order |= (j / SETS * SETS + (j % SETS ^ set)) << (4 * j);
      units |= (static_cast<u32>(lane % 8) ^ j % SETS * LANES) << (8 * j + 4);
    }
    order = __shfl_sync(0xffffffffu, order, lane);  // its own: to be kept, not computed again for every row
    units = __shfl_sync(0xffffffffu, units, lane);
  }
};

// The place of byte `j` of x's in a table, before the half is added; `units`: as in Turns, changed with x.
__device__ __forceinline__ u32 place_in_table(u32 x, u32 units, int j) {
  if constexpr (HALVES == 2)
    return j == 0   ? join_bytes<0>(units, x)
           : j == 1 ? join_bytes<1>(units, x)
           : j == 2 ? join_bytes<2>(units, x)
                    : join_bytes<3>(units, x);
  else
    return (x >> (8 * j) & 255) * PITCH + (units >> (8 * j) & 255);
}

// This lane's 16 columns of the rows of STEP k's, in its own order. `x`: their activations, STEP bytes.
__device__ __forceinline__ void read_rows(const Turns &turns, const u8 *table, const u8 *x, uint4 (&rows)[STEP]) {
  constexpr int WORDS = (STEP + 3) / 4;
  u32 words[WORDS];
  if constexpr (STEP == 2)
    words[0] = *reinterpret_cast<const u16 *>(x);
  else if constexpr (STEP == 4)
    words[0] = *reinterpret_cast<const u32 *>(x);
  else
    for (int i = 0; i < WORDS; ++i) words[i] = reinterpret_cast<const u32 *>(x)[i];
#pragma unroll
  for (int i = 0; i < WORDS; ++i) {
    const u32 turned = __byte_perm(words[i], 0, turns.order);
    const u32 units = (turned & 0x10101010u * (LANES - 1)) ^ turns.units;
#pragma unroll
    for (int j = 0; j < (STEP < 4 ? STEP : 4); ++j)
      rows[4 * i + j] = *reinterpret_cast<const uint4 *>(table + place_in_table(turned, units, j) +
                                                         (4 * i + j) / SETS * 128);
  }
}
