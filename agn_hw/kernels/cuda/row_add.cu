// Adds rows of tables: for each k and residual plane, rows T[x][n] = plane[w[k][n]][x] of COLUMNS columns are built in
// shared memory (row_tables.cuh), and an output row is a sum of the rows T[x[m][k]] (row_sums.cuh). Any table, many
// rows; no bank conflicts. A block has a tile of output for a stretch of the depth, and goes over it once a plane.
//
// On paper (instructions of sm_90, one plane; not measured): for 2048 lookups - four k's, eight rows, 64 columns - a
// warp keeps shared memory busy for 17 cycles (4 LDS.128, 1 LDS), the integer units for 15 (21 PRMT, 8 IADD3, 1 LOP3),
// the multipliers for 10 (20 IMAD), and issues in 14. To build the tables of four k's takes shared memory 1408 cycles
// (32 KiB of the plane read, 64 KiB written: 16 LDS, 4 STS.128 and 4 LDS.64 for each of 32 tasks), to copy activations
// perhaps 300, next to 2176 for adding 1024 rows: 67 lookups a cycle and multiprocessor, 16e12 a second on an H200 (132
// at 1.755 GHz); 4096^3 makes 256 blocks, so 15e12. 12 and 8 warps are all that hides latency.
#include "row_sums.cuh"

#ifndef THREADS
#define THREADS 384
#endif
#ifndef BUFFERS
#define BUFFERS 2   // tables: one is built while the other is read, or one for both
#endif
#ifndef NEAR
#define NEAR 1      // whether the plane is kept in shared memory
#endif

constexpr int STAGE = 8;                        // k's whose operands are copied at once
constexpr int STEPS = STAGE / STEP;
constexpr int WARPS = THREADS / 32;
constexpr int TILE = WARPS * WARP_ROWS;
constexpr int CODES = STAGE * COLUMNS;
static_assert(BUFFERS == 1 || WARPS * SCRATCH <= TABLE, "not a variant");
constexpr int TABLES = BUFFERS * TABLE > WARPS * SCRATCH ? BUFFERS * TABLE : WARPS * SCRATCH;

struct row_add_arguments {
  Windows x;
  const u16 *codes;        // [groups][depth][padded_columns]
  const u8 *by_weight;     // [planes][257][256]
  Output out;
  i64 planes, padded_columns;
  i64 limit;               // k's whose sums fit 16 bits
  i64 splits;              // of the depth, over blocks
  i64 one;                 // 1: see row_sums.cuh
};

struct Shared {
  u8 *tables, *plane, *x;
  u16 *codes;
  u32 *offsets;            // of the rows' windows from the first one's, in words
  const u8 **first;        // that one's

  __device__ __forceinline__ explicit Shared(u8 *memory)
      : tables(memory),
        plane(tables + TABLES),
        x(plane + (NEAR ? PLANE : 0)),
        codes(reinterpret_cast<u16 *>(x + 2 * TILE * STAGE)),
        offsets(reinterpret_cast<u32 *>(codes + 3 * CODES)),
        first(reinterpret_cast<const u8 **>(offsets + TILE)) {}
};

// Where k lies from the start of a row; past the last tap, a place that may be read.
__device__ __forceinline__ i64 offset_of(const Windows &x, int k) {
  const u32 channels = static_cast<u32>(x.channels), width = static_cast<u32>(x.kernel_width);
  const u32 tap = k / channels;
  return tap < x.taps ? tap / width * x.tap_down + tap % width * x.tap_right + k % channels : 0;
}

// What a block works on, and where in shared memory.
struct Block {
  const row_add_arguments &a;
  Shared shared;
  int warp, lane, group, first_column;
  i64 first_row;
  int begin, stages;       // of the depth

  __device__ __forceinline__ Block(const row_add_arguments &arguments, u8 *memory)
      : a(arguments), shared(memory), warp(threadIdx.x / 32), lane(threadIdx.x % 32) {
    const int tiles = static_cast<int>((a.out.columns + COLUMNS - 1) / COLUMNS);
    group = blockIdx.y / tiles;
    first_column = blockIdx.y % tiles * COLUMNS;
    first_row = static_cast<i64>(blockIdx.x) * TILE;
    const u8 *first = row_start(a.x, first_row, group);
    if (threadIdx.x == 0) *shared.first = first;
    const u32 all = static_cast<u32>(a.x.depth / STAGE), splits = static_cast<u32>(a.splits);
    begin = all * blockIdx.z / splits;
    stages = all * (blockIdx.z + 1) / splits - begin;
    for (int slot = threadIdx.x; slot < TILE; slot += THREADS) {
      const int row = slot / WARP_ROWS * WARP_ROWS + row_in_warp(slot % ACROSS, slot % WARP_ROWS / ACROSS);
      shared.offsets[slot] = static_cast<u32>((row_start(a.x, first_row + row, group) - first) / 4);
    }
  }

  // Slots are output rows in the order (warp, row of a lane, row across the warp).
  __device__ __forceinline__ u8 *activations(int stage) const { return shared.x + stage % 2 * TILE * STAGE; }
  __device__ __forceinline__ u16 *codes(int stage) const { return shared.codes + stage % 3 * CODES; }

  __device__ __forceinline__ void copy_plane(const u8 *plane) const {
    for (int i = threadIdx.x; i < PLANE / 16; i += THREADS) copy_async<16>(shared.plane + i * 16, plane + i * 16);
  }

  __device__ __forceinline__ void copy_activations(int stage) const {
    if (stage >= stages) return;
    const int k = (begin + stage) * STAGE;
    if (a.x.channels % STAGE == 0) {
      copy_bytes<STAGE>(k, activations(stage));
    } else {  // 4 channels: two taps
      copy_bytes<4>(k, activations(stage));
      copy_bytes<4>(k + 4, activations(stage) + 4);
    }
  }

  template <int BYTES>
  __device__ __forceinline__ void copy_bytes(int k, u8 *to) const {
    const u8 *from = *shared.first + offset_of(a.x, k);
    for (int slot = threadIdx.x; slot < TILE; slot += THREADS)
      copy_async<BYTES>(to + slot * STAGE, from + static_cast<i64>(shared.offsets[slot]) * 4);
  }

  __device__ __forceinline__ void copy_codes(int stage) const {
    const int k = threadIdx.x / (COLUMNS / 8), column = threadIdx.x % (COLUMNS / 8) * 8;
    if (stage >= stages || k >= STAGE) return;
    const i64 row = group * a.x.depth + (begin + stage) * STAGE + k;
    copy_async<16>(codes(stage) + k * COLUMNS + column, a.codes + row * a.padded_columns + first_column + column);
  }

  __device__ __forceinline__ void build(int step, const u8 *plane, u8 *table) const {
    build_table(warp, WARPS, lane, plane, codes(step / STEPS) + step % STEPS * STEP * COLUMNS, table);
  }

  __device__ __forceinline__ void add(int step, const Turns &turns, const u8 *table, Sums &sums) const {
    const u8 *x = activations(step / STEPS) + (warp * WARP_ROWS + lane / LANES) * STAGE + step % STEPS * STEP;
#pragma unroll
    for (int i = 0; i < ROWS; ++i) {
      uint4 rows[STEP];
      read_rows(turns, table, x + i * ACROSS * STAGE, rows);
      add_rows(rows, static_cast<u32>(a.one), sums.whole[i], sums.odd[i]);
    }
  }
};

extern "C" __global__ void __launch_bounds__(THREADS, 1) row_add(const row_add_arguments a) {
  SHARED_MEMORY(memory);
  const Block block(a, memory);
  if (block.stages == 0) return;
  const Turns turns(block.lane);
  const int steps = block.stages * STEPS;
  bool fresh = a.out.mode == WRITE;
  for (int p = 0; p < a.planes; ++p) {
    __syncthreads();
    const u8 *plane = NEAR ? block.shared.plane : a.by_weight + p * PLANE;
    if constexpr (NEAR) block.copy_plane(a.by_weight + p * PLANE);
    block.copy_activations(0);
    block.copy_codes(0);
    block.copy_codes(1);
    commit_copies();
    wait_copies<0>();
    __syncthreads();
    u8 *table = block.shared.tables, *other = table + (BUFFERS - 1) * TABLE;
    if constexpr (BUFFERS == 2) block.build(0, plane, table);
    Sums sums = {};
    int added = 0;
    for (int step = 0; step < steps; ++step) {
      __syncthreads();
      if (step % STEPS == 0) {
        block.copy_activations(step / STEPS + 1);
        block.copy_codes(step / STEPS + 2);
        commit_copies();
      }
      if (BUFFERS == 1 || step + 1 < steps) block.build(step + BUFFERS - 1, plane, other);
      if constexpr (BUFFERS == 1) __syncthreads();
      block.add(step, turns, table, sums);
      if (step % STEPS == STEPS - 1) wait_copies<0>();
      added += STEP;
      u8 *scratch = table + block.warp * SCRATCH;
      table = other;
      other = scratch - block.warp * SCRATCH;
      if (added + STEP <= a.limit && step + 1 < steps) continue;
      __syncthreads();
      flush(a.out, a.x, block.lane, block.group, block.first_row + block.warp * WARP_ROWS, block.first_column,
            scratch, sums, {p * 8, fresh, p + 1 == a.planes && step + 1 == steps});
      sums = {};
      fresh = false;
      added = 0;
    }
  }
}
