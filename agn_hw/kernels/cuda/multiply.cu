// Terms of a table by tensor cores: y = 2^shift * (256 * sum of scaled terms + sum of the others), where a term is
// sum_k expand[t][x[row, k]] * factor[t][w[column, k]].
//
// A block has BLOCK_M rows and BLOCK_N columns and goes over the depth once for each QUAD terms. While it multiplies
// one slab, it expands the next one's activations (expand.cuh) and copies its weights: one barrier a slab. Half of the
// warps expand before they multiply, half after, so that the tensor cores and the look-ups are busy at once.
//
// On paper, for 128 x 256 x 64 on an H200 (132 multiprocessors, 1.755 GHz): shared memory is busy for 256 cycles with
// 8192 look-ups without bank conflicts, and for each term 64 with planes written, 128 with weights that arrive and 512
// with fragments read; the tensor cores for 826 cycles a term at 62 % of their peak, as mma.sync has it. Bounds: 960
// cycles for one term (5e14 look-ups a second), 1664 for two (2.9e14), 3304 for four (1.5e14), 4264 for five (1.1e14).
// With four terms a warp issues about 850 instructions a slab (sm_90): 256 IMMA, 64 LDSM, 32 LDS, 8 STS, 16 LDGSTS,
// 64 PRMT and 64 others to look up; 1700 issue slots of each scheduler, half of its cycles. Nothing is measured yet.
#include "expand.cuh"
#include "tile_output.cuh"

#ifndef BLOCK_N
#define BLOCK_N 128     // 64, 128 or 256
#endif

constexpr int WARP_M = BLOCK_N > 64 ? 64 : 32;              // rows and columns of a warp
constexpr int WARP_N = BLOCK_N > 128 ? 64 : 32;
constexpr int ACROSS = BLOCK_N / WARP_N;                    // warps
#if __CUDA_ARCH__ >= 900
constexpr bool SHARES = BLOCK_N == 64 || (BLOCK_N == 128 && QUAD < 4);  // a multiprocessor with another block
#else
constexpr bool SHARES = BLOCK_N == 64;
#endif
#if __CUDA_ARCH__ >= 800
constexpr bool AHEAD = BLOCK_N != 128 || !SHARES;           // whether there are registers to read fragments ahead
#else
constexpr bool AHEAD = false;
#endif
constexpr int WEIGHTS = BLOCK_N * BLOCK_K;                  // bytes of a term's weights for a slab
constexpr int HALF = 32;                                    // of the depth: a fragment's
constexpr int STRIDE = WARP_N + 9;                          // words of a row on its way out
static_assert(BLOCK_M / WARP_M * ACROSS * 32 == THREADS, "not a variant");
static_assert(THREADS / 32 * TILE_ROWS * STRIDE * 4 <= TABLE + 2 * QUAD * (PLANE + WEIGHTS), "no room for sums");

struct multiply_arguments {
  Windows x;
  const u32 *expand;       // [words][256]: byte i of a word is term 4 * word + i; scaled terms have their own words
  const i8 *factors;       // [groups][terms][padded_columns][depth]
  Output out;
  i64 terms, scaled, shift;
  i64 padded_columns;      // a multiple of 64
  i64 splits;              // of the depth, over blocks
};

// What a warp reads of both operands at once, for 32 of the depth, and its sums.
struct Fragments {
  u32 a[WARP_M / 16][4], b[WARP_N / 16][4];

  __device__ __forceinline__ void load(const u8 *left, const u8 *right) {
#pragma unroll
    for (int i = 0; i < WARP_M / 16; ++i) load_matrices(a[i], left + i * 16 * BLOCK_K);
#pragma unroll
    for (int i = 0; i < WARP_N / 16; ++i) load_matrices(b[i], right + i * 16 * BLOCK_K);
  }
};

struct Sums {
  int part[WARP_M / 16][WARP_N / 8][4];

  __device__ __forceinline__ void add(const Fragments &by) {
#pragma unroll
    for (int i = 0; i < WARP_M / 16; ++i)
#pragma unroll
      for (int n = 0; n < WARP_N / 8; ++n)
        multiply_add(part[i][n], by.a[i], by.b[n / 2][n % 2 * 2], by.b[n / 2][n % 2 * 2 + 1]);
  }

  __device__ __forceinline__ void scale() {
#pragma unroll
    for (int i = 0; i < WARP_M * WARP_N / 32; ++i) {
      int &sum = part[i / (WARP_N / 2)][i / 4 % (WARP_N / 8)][i % 4];
      sum = static_cast<int>(static_cast<u32>(sum) << 8);
    }
  }
};

// What a block works on, and a warp and a lane in it.
struct Block {
  const multiply_arguments &a;
  u8 *table;               // of activations
  u8 *planes, *weights;    // two of each
  int left, right;         // of the lane, in a plane and in weights; for the second half of a slab: ^ HALF
  int slabs;
  int parts;               // of ITEM_ROWS columns that have weights
  const i8 *from;          // of the thread: weights of the first term and slab

  __device__ __forceinline__ Block(const multiply_arguments &arguments, u8 *memory)
      : a(arguments), table(memory), planes(memory + TABLE), weights(planes + 2 * QUAD * PLANE) {
    const int lane = threadIdx.x % 32;
    left = tile_offset(warp_row() + lane % 16, lane / 16);
    right = tile_offset(warp_column() + lane / 16 * 8 + lane % 8, lane / 8 % 2);
    slabs = slab_at(blockIdx.z + 1) - slab_at(blockIdx.z);
    parts = (static_cast<int>(a.padded_columns) - first_column()) / ITEM_ROWS;
    from = a.factors + (blockIdx.y * a.terms * a.padded_columns + first_column() + threadIdx.x / 4) * a.x.depth +
           slab_at(blockIdx.z) * BLOCK_K + threadIdx.x % 4 * 16;
  }

  __device__ __forceinline__ u32 across() const { return (static_cast<u32>(a.out.columns) + BLOCK_N - 1) / BLOCK_N; }
  __device__ __forceinline__ int first_row() const { return blockIdx.x / across() * BLOCK_M; }
  __device__ __forceinline__ int first_column() const { return blockIdx.x % across() * BLOCK_N; }
  __device__ __forceinline__ static int warp_row() { return threadIdx.x / 32 / ACROSS * WARP_M; }
  __device__ __forceinline__ static int warp_column() { return threadIdx.x / 32 % ACROSS * WARP_N; }

  // Where a split of the depth begins.
  __device__ __forceinline__ int slab_at(u32 split) const {
    return static_cast<u32>(a.x.depth / BLOCK_K) * split / static_cast<u32>(a.splits);
  }

  // Starts to copy the weights of a slab for terms first..first + count - 1. Columns past the last are left out.
  __device__ __forceinline__ void copy_weights(int slab, int first, int count) const {
    const i64 rows = ITEM_ROWS * a.x.depth, term = a.padded_columns * a.x.depth;
    u8 *to = weights + slab % 2 * QUAD * WEIGHTS + tile_offset(threadIdx.x / 4, threadIdx.x % 4);
    const i8 *w = from + first * term + slab * BLOCK_K;
#pragma unroll
    for (int t = 0; t < QUAD; ++t, w += term)
      if (t < count)
#pragma unroll
        for (int i = 0; i < BLOCK_N / ITEM_ROWS; ++i)
          if (i < parts) copy_async<16>(to + t * WEIGHTS + i * ITEM_ROWS * BLOCK_K, w + i * rows);
    commit_copies();
  }

  __device__ __forceinline__ u8 *planes_of(int slab) const { return planes + slab % 2 * QUAD * PLANE; }

  __device__ __forceinline__ void multiply(int slab, int count, Sums &sums) const {
    const u8 *x = planes_of(slab), *w = weights + slab % 2 * QUAD * WEIGHTS;
    if constexpr (AHEAD) {
      Fragments even, odd;
      even.load(x + left, w + right);
#pragma unroll 1
      for (int t = 0; t < count; ++t) {
        odd.load(x + (left ^ HALF), w + (right ^ HALF));
        sums.add(even);
        x += PLANE;
        w += WEIGHTS;
        if (t + 1 < count) even.load(x + left, w + right);
        sums.add(odd);
      }
    } else {
#pragma unroll 1
      for (int i = 0; i < 2 * count; ++i) {
        Fragments both;
        both.load(x + i / 2 * PLANE + (left ^ i % 2 * HALF), w + i / 2 * WEIGHTS + (right ^ i % 2 * HALF));
        sums.add(both);
      }
    }
  }

  // Adds `count` terms: those of bytes first_byte.. of the words.
  __device__ __forceinline__ void add(int first, int count, const u32 *words, int first_byte, Activations &x,
                                      Sums &sums) const {
    __syncthreads();
    x.start_at(a.x, slab_at(blockIdx.z) * BLOCK_K);
    x.load(a.x);
    copy_weights(0, first, count);
    copy_table(table, words, first_byte);
    __syncthreads();
    expand(x, table, planes_of(0), count);
    if (slabs > 1) x.load(a.x);
    const int late = threadIdx.x / 128;  // warps that share a scheduler are four apart
#pragma unroll 1
    for (int slab = 0; slab < slabs; ++slab) {
      wait_copies<0>();
      __syncthreads();
      if (slab + 1 < slabs) copy_weights(slab + 1, first, count);
#pragma unroll 1
      for (int phase = 0; phase < 2; ++phase)
        if (phase != late) {
          multiply(slab, count, sums);
        } else if (slab + 1 < slabs) {
          expand(x, table, planes_of(slab + 1), count);
          if (slab + 2 < slabs) x.load(a.x);
        }
    }
  }

  // Sums to y, TILE_ROWS rows of a warp at a time.
  __device__ __forceinline__ void put(const Sums &sums, int shift) const {
    const int lane = threadIdx.x % 32;
    const i64 row = static_cast<i64>(first_row()) + warp_row();
    const i64 column = static_cast<i64>(first_column()) + warp_column();
    u32 *tile = reinterpret_cast<u32 *>(table) + threadIdx.x / 32 * TILE_ROWS * STRIDE;
#pragma unroll
    for (int i = 0; i < WARP_M / TILE_ROWS; ++i) {
      __syncwarp();
#pragma unroll
      for (int n = 0; n < WARP_N / 8; ++n)
#pragma unroll
        for (int j = 0; j < 4; ++j)
          tile[(lane / 4 + j / 2 * 8) * STRIDE + n * 8 + lane % 4 * 2 + j % 2] =
              static_cast<u32>(sums.part[i][n][j]) << shift;
      __syncwarp();
      put_tile<WARP_N, STRIDE>(a.out, a.x, tile, row + i * TILE_ROWS, column, blockIdx.y);
    }
  }
};

extern "C" __global__ void __launch_bounds__(THREADS, SHARES ? 2 : 1) multiply(const multiply_arguments a) {
  SHARED_MEMORY(memory);
  const Block block(a, memory);
  if (block.slabs == 0) return;  // more splits than slabs
  const int terms = static_cast<int>(a.terms), scaled = static_cast<int>(a.scaled);
  Activations x(a.x, block.first_row(), blockIdx.y, 0);
  Sums sums = {};
  int count;
#pragma unroll 1
  for (int first = 0; first < terms; first += count) {
    const bool is_scaled = first < scaled;
    if (first == scaled && first > 0) sums.scale();
    count = min((is_scaled ? scaled : terms) - first, QUAD);
    const int among = is_scaled ? first : first - scaled, words = is_scaled ? 0 : (scaled + 3) / 4;
    block.add(first, count, a.expand + (words + among / 4) * 256, among % 4, x, sums);
  }
  __syncthreads();
  block.put(sums, static_cast<int>(a.shift) + (scaled == terms ? 8 : 0));
}
