// Packs weights: their int8 factors in the order of the activations, their codes for the residual, and the sum of
// their constants.
//
// A block reads a tile of 64 output channels by 64 k's into shared memory once, and writes all that from there. Four
// terms are looked up at once, a byte each: on paper about 100 instructions for 64 factors, 1.9e13 factors a second,
// which is more than the 4.8e12 that an H200's memory takes.
#include "codes.cuh"

constexpr int THREADS = 256;
constexpr int TILE = 64;
constexpr int PITCH = TILE + 2;   // of the tile, in codes: an odd number of words
constexpr int NOTHING = 256;      // the code of what lies past the last channel or the last k
constexpr int ENTRIES = 257;      // of a table with an entry for NOTHING

struct pack_arguments {
  const Code *w;         // [groups][columns][channels][taps]
  const i8 *factor;      // [terms][256]
  const int *constants;  // [256]
  i8 *factors;           // [groups][terms][factor_columns][depth]
  u16 *codes;            // [groups][depth][code_columns], or null
  int *start;            // [groups * columns], zeros before
  i64 columns, channels, taps, terms;
  i64 factor_columns, code_columns;
  i64 channel_bytes;     // channels of a group, filled up: k = tap * channel_bytes + channel
  i64 depth;             // a multiple of 64
};

// words[q][w]: the factors of terms 4q..4q+3 for weight w, a byte each.
__device__ __forceinline__ void load_tables(const pack_arguments &a, u32 *words, int *constants) {
  const int terms = static_cast<int>(a.terms), quads = (terms + 3) / 4;
  for (int i = threadIdx.x; i < quads * ENTRIES; i += THREADS) {
    const int quad = i / ENTRIES, w = i % ENTRIES;
    u32 word = 0;
    for (int t = 4 * quad; t < 4 * quad + 4; ++t)
      if (w < NOTHING && t < terms) word |= static_cast<u32>(static_cast<u8>(a.factor[t * 256 + w])) << 8 * (t & 3);
    words[i] = word;
  }
  for (int i = threadIdx.x; i < ENTRIES; i += THREADS) constants[i] = i < NOTHING ? a.constants[i] : 0;
}

__device__ __forceinline__ void load_tile(const pack_arguments &a, i64 group, i64 first, i64 first_k, u16 *tile) {
  const u32 k = static_cast<u32>(first_k) + threadIdx.x % TILE, bytes = static_cast<u32>(a.channel_bytes);
  const i64 tap = k / bytes, channel = k % bytes;
  const bool inside = tap < a.taps && channel < a.channels;
#pragma unroll
  for (int i = 0; i < TILE * TILE / THREADS; ++i) {
    const int n = threadIdx.x / TILE + i * (THREADS / TILE);
    u32 code = NOTHING;
    if (inside && first + n < a.columns)
      code = byte_of(a.w[((group * a.columns + first + n) * a.channels + channel) * a.taps + tap]);
    tile[n * PITCH + threadIdx.x % TILE] = static_cast<u16>(code);
  }
}

// The factors of sixteen k's of one channel, all terms. `to`: of the first term.
__device__ __forceinline__ void put_factors(const pack_arguments &a, const u32 (&code)[16], const u32 *words, i8 *to) {
  const int terms = static_cast<int>(a.terms);
  const i64 term_bytes = a.factor_columns * a.depth;
  for (int first = 0; first < terms; first += 4, words += ENTRIES) {
    u32 part[4][4];  // [four k's][term]
#pragma unroll
    for (int i = 0; i < 4; ++i) {
#pragma unroll
      for (int j = 0; j < 4; ++j) part[i][j] = words[code[4 * i + j]];
      transpose_bytes(part[i]);
    }
#pragma unroll
    for (int t = 0; t < 4; ++t)
      if (first + t < terms)
        *reinterpret_cast<uint4 *>(to + (first + t) * term_bytes) =
            make_uint4(part[0][t], part[1][t], part[2][t], part[3][t]);
  }
}

// The codes of the tile, channels side by side. (The grid ends with code_columns.)
__device__ __forceinline__ void put_codes(const pack_arguments &a, i64 group, i64 first, i64 first_k, const u16 *tile) {
  for (int item = threadIdx.x; item < TILE * TILE / 8; item += THREADS) {
    const int n = item % (TILE / 8) * 8, k = item / (TILE / 8);
    u32 word[4];
#pragma unroll
    for (int i = 0; i < 4; ++i)
      word[i] = tile[(n + 2 * i) * PITCH + k] | static_cast<u32>(tile[(n + 2 * i + 1) * PITCH + k]) << 16;
    const i64 at = (group * a.depth + first_k + k) * a.code_columns + first + n;
    reinterpret_cast<uint4 *>(a.codes)[at / 8] = make_uint4(word[0], word[1], word[2], word[3]);
  }
}

extern "C" __global__ void __launch_bounds__(THREADS) pack(const pack_arguments a) {
  SHARED_MEMORY(memory);
  int *constants = reinterpret_cast<int *>(memory);
  u16 *tile = reinterpret_cast<u16 *>(constants + ENTRIES);
  u32 *words = reinterpret_cast<u32 *>(tile + TILE * PITCH);
  const i64 group = blockIdx.z, first = static_cast<i64>(blockIdx.y) * TILE;
  const i64 first_k = static_cast<i64>(blockIdx.x) * TILE;
  load_tables(a, words, constants);
  load_tile(a, group, first, first_k, tile);
  __syncthreads();

  const int n = threadIdx.x / 4, k = threadIdx.x % 4 * 16;
  u32 code[16];
  u32 sum = 0;
#pragma unroll
  for (int i = 0; i < 16; i += 2) {
    const u32 two = *reinterpret_cast<const u32 *>(tile + n * PITCH + k + i);
    code[i] = two & 0xffff;
    code[i + 1] = two >> 16;
    sum += static_cast<u32>(constants[code[i]]) + static_cast<u32>(constants[code[i + 1]]);
  }
  if (first + n < a.factor_columns)
    put_factors(a, code, words,
                a.factors + (group * a.terms * a.factor_columns + first + n) * a.depth + first_k + k);
  sum += __shfl_xor_sync(0xffffffffu, sum, 1);
  sum += __shfl_xor_sync(0xffffffffu, sum, 2);
  if (k == 0 && first + n < a.columns) atomicAdd(a.start + group * a.columns + first + n, static_cast<int>(sum));
  if (a.codes) put_codes(a, group, first, first_k, tile);
}
