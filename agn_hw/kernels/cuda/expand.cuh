// Activations and what up to QUAD terms make of them: each byte is looked up once, in a table of words that hold the
// bytes of all those terms, and goes from there to the terms' planes in shared memory.
#pragma once

#include "windows.cuh"

#ifndef QUAD
#define QUAD 4      // terms looked up at once: 1, 2 or 4
#endif

constexpr int THREADS = 256;
constexpr int BLOCK_M = 128;                  // rows of a block
constexpr int BLOCK_K = 64;                   // depth of a slab
constexpr int PLANE = BLOCK_M * BLOCK_K;      // bytes of a term's slab
constexpr int COPIES = 32;                    // of the table: each lane has a bank of its own
constexpr int TABLE = 256 * COPIES * 4;
constexpr int ITEMS = PLANE / 16 / THREADS;   // stretches of 16 bytes that a thread has of a slab
constexpr int ITEM_ROWS = THREADS / 4;        // rows between them

// Where 16 bytes lie in a tile with rows of BLOCK_K bytes. The exclusive or brings eight rows of a matrix fragment, and
// the stretches that eight neighbouring threads write, to different banks.
__device__ __forceinline__ int tile_offset(int row, int part) { return row * BLOCK_K + ((part ^ row / 2) & 3) * 16; }

// A thread's activations, one slab after another, read ahead into registers: stretches of 16 bytes at the same k.
struct Activations {
  const u8 *row[ITEMS];
  Walk walk;
  uint4 bytes[ITEMS];

  __device__ __forceinline__ Activations(const Windows &x, i64 first_row, int group, int k)
      : walk(x, k + threadIdx.x % 4 * 16) {
#pragma unroll
    for (int i = 0; i < ITEMS; ++i) row[i] = row_start(x, first_row + threadIdx.x / 4 + i * ITEM_ROWS, group);
  }

  __device__ __forceinline__ void start_at(const Windows &x, int k) { walk = Walk(x, k + threadIdx.x % 4 * 16); }

  // Reads those of the slab that the walk has come to.
  __device__ __forceinline__ void load(const Windows &x) {
    if (x.channels % 16 == 0) {
      const i64 offset = walk.offset(x);
#pragma unroll
      for (int i = 0; i < ITEMS; ++i) bytes[i] = __ldg(reinterpret_cast<const uint4 *>(row[i] + offset));
      walk.advance(x, BLOCK_K);
      return;
    }
    i64 offset[4];  // 4 or 8 channels
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      offset[j] = walk.offset(x);
      walk.advance(x, j < 3 ? 4 : BLOCK_K - 12);
    }
#pragma unroll
    for (int i = 0; i < ITEMS; ++i)
      bytes[i] = make_uint4(word(i, offset[0]), word(i, offset[1]), word(i, offset[2]), word(i, offset[3]));
  }

  __device__ __forceinline__ u32 word(int i, i64 offset) const {
    return __ldg(reinterpret_cast<const u32 *>(row[i] + offset));
  }
};

// Copies a table of 256 words for every lane: what a thread needs of word x is word x * COPIES + lane.
__device__ __forceinline__ void copy_table(u8 *table, const u32 *words, int first_byte) {
  const int x = threadIdx.x;
  const u32 word = __ldg(words + x) >> 8 * first_byte;
#pragma unroll
  for (int i = 0; i < COPIES / 4; ++i)
    reinterpret_cast<uint4 *>(table)[(x * COPIES + (4 * (i + x)) % COPIES) / 4] = make_uint4(word, word, word, word);
}

// The word of the activation in byte BYTE of x.
template <int BYTE>
__device__ __forceinline__ u32 word_of(const u8 *table, u32 x) {
  constexpr int SHIFT = 7 - 8 * BYTE;  // 4 * COPIES bytes for each activation
  const u32 entry = (SHIFT > 0 ? x << max(SHIFT, 0) : x >> max(-SHIFT, 0)) & 255 * 4 * COPIES;
  return *reinterpret_cast<const u32 *>(table + (entry | threadIdx.x % 32 * 4));
}

// Four activations: part[t] gets their bytes of term t.
__device__ __forceinline__ void look_up(const u8 *table, u32 x, u32 (&part)[QUAD]) {
  const u32 a = word_of<0>(table, x), b = word_of<1>(table, x), c = word_of<2>(table, x), d = word_of<3>(table, x);
  const u32 ab = __byte_perm(a, b, 0x5140), cd = __byte_perm(c, d, 0x5140);  // bytes 0 and 1 of both
  part[0] = __byte_perm(ab, cd, 0x5410);
  if constexpr (QUAD > 1) part[1] = __byte_perm(ab, cd, 0x7632);
  if constexpr (QUAD > 2) {
    const u32 high_ab = __byte_perm(a, b, 0x7362), high_cd = __byte_perm(c, d, 0x7362);  // bytes 2 and 3
    part[2] = __byte_perm(high_ab, high_cd, 0x5410);
    part[3] = __byte_perm(high_ab, high_cd, 0x7632);
  }
}

// A slab's activations to the planes of `count` terms.
__device__ __forceinline__ void expand(const Activations &x, const u8 *table, u8 *planes, int count) {
  u8 *to = planes + tile_offset(threadIdx.x / 4, threadIdx.x % 4);
#pragma unroll
  for (int i = 0; i < ITEMS; ++i) {
    u32 first[QUAD], second[QUAD], third[QUAD], fourth[QUAD];
    look_up(table, x.bytes[i].x, first);
    look_up(table, x.bytes[i].y, second);
    look_up(table, x.bytes[i].z, third);
    look_up(table, x.bytes[i].w, fourth);
#pragma unroll
    for (int t = 0; t < QUAD; ++t)
      if (t == 0 || t < count)
        *reinterpret_cast<uint4 *>(to + t * PLANE + i * ITEM_ROWS * BLOCK_K) =
            make_uint4(first[t], second[t], third[t], fourth[t]);
  }
}
