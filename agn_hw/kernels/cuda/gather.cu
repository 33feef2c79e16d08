// Residual bytes gathered one by one, for few rows: a warp's lanes are columns, and for one activation x all of them
// read from the same 256 bytes plane[x][..], which fall into a bank at most two by two.
//
// A block holds a plane in shared memory for ROWS rows, COLUMNS columns and a stretch of the depth, of which its warps
// take four k's in turn; their sums meet in shared memory at the end. The depth is split over blocks too.
//
// On paper (instructions of sm_90; not measured): a lookup is PRMT, LDS.U8 and IADD, of which the second is the
// slowest: two cycles for 32 random codes, 16 lookups a cycle and multiprocessor, 3.7e12 a second on an H200. With one
// row, codes are read once for each lookup: two bytes, at most 2.4e12.
#include "output.cuh"

#ifndef ROWS
#define ROWS 16  // of a block: 1, 4 or 16
#endif

constexpr int THREADS = 256;
constexpr int WARPS = THREADS / 32;
constexpr int COLUMNS = 64;  // two of a lane, neighbours
constexpr int PLANE = 256 * 256;
constexpr int PART = 4;      // k's

struct gather_arguments {
  Windows x;
  const u16 *codes;          // [groups][depth][padded_columns]
  const u8 *by_activation;   // [planes][256][256]
  Output out;
  i64 planes, padded_columns;
  i64 splits;                // of the depth, over blocks
};

// Walks over a warp's parts of the depth, and has what the next one needs in registers.
struct Parts {
  const gather_arguments &a;
  const u8 *row;             // activations of this lane's row, if it has one
  const u16 *columns;        // codes of this lane's columns
  int part, end;
  Walk walk;
  u32 x;                     // four activations of this lane's row
  u32 codes[PART];           // two columns each

  __device__ __forceinline__ Parts(const gather_arguments &arguments, const u8 *from, const u16 *packed, int first,
                                   int last)
      : a(arguments), row(from), columns(packed), part(first), end(last), walk(arguments.x, first * PART) {
    load();
  }

  __device__ __forceinline__ bool done() const { return part >= end; }

  __device__ __forceinline__ void advance() {
    part += WARPS;
    walk.advance(a.x, WARPS * PART);
    load();
  }

 private:
  __device__ __forceinline__ void load() {
    if (done()) return;
    x = *reinterpret_cast<const u32 *>(row + walk.offset(a.x));
#pragma unroll
    for (int j = 0; j < PART; ++j)
      codes[j] = *reinterpret_cast<const u32 *>(columns + (part * PART + j) * a.padded_columns);
  }
};

// Adds this warp's share of the depth, one plane's bytes. All lanes go through the same parts.
__device__ __forceinline__ void add_plane(Parts parts, const u8 *plane, u32 (&sums)[ROWS][2]) {
  while (!parts.done()) {
    u32 x[ROWS], codes[PART];
#pragma unroll
    for (int m = 0; m < ROWS; ++m) x[m] = __shfl_sync(0xffffffffu, parts.x, m);
#pragma unroll
    for (int j = 0; j < PART; ++j) codes[j] = parts.codes[j];
    parts.advance();
#pragma unroll
    for (int j = 0; j < PART; ++j) {
      if ((codes[j] & 256) != 0) continue;  // padding: of k, or of both columns; that of the second alone is not used
      const u32 first = codes[j] & 255, second = codes[j] >> 16 & 255, selector = 0x5504 + (j << 4);
#pragma unroll
      for (int m = 0; m < ROWS; ++m) {
        sums[m][0] += plane[__byte_perm(x[m], first, selector)];  // 256 * x + code
        sums[m][1] += plane[__byte_perm(x[m], second, selector)];
      }
    }
  }
}

extern "C" __global__ void __launch_bounds__(THREADS, 2) gather(const gather_arguments a) {
  SHARED_MEMORY(memory);
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int tiles = static_cast<int>((a.out.columns + COLUMNS - 1) / COLUMNS);
  const int group = static_cast<int>(blockIdx.x) / tiles, first_column = static_cast<int>(blockIdx.x) % tiles * COLUMNS;
  const i64 first_row = static_cast<i64>(blockIdx.y) * ROWS;
  const u32 parts = static_cast<u32>(a.x.depth / PART), splits = static_cast<u32>(a.splits);
  const int begin = parts * blockIdx.z / splits, end = parts * (blockIdx.z + 1) / splits;
  const Parts start(a, row_start(a.x, first_row + lane % ROWS, group),
                    a.codes + group * a.x.depth * a.padded_columns + first_column + 2 * lane, begin + warp, end);
  u32 sums[ROWS][2] = {};
  for (int p = static_cast<int>(a.planes) - 1; p >= 0; --p) {
    __syncthreads();
    for (int i = threadIdx.x; i < PLANE / 16; i += THREADS)
      copy_async<16>(memory + i * 16, a.by_activation + p * PLANE + i * 16);
    commit_copies();
    wait_copies<0>();
    __syncthreads();
#pragma unroll
    for (int m = 0; m < ROWS; ++m) sums[m][0] <<= 8, sums[m][1] <<= 8;
    add_plane(start, memory, sums);
  }
  __syncthreads();
  u32 *shares = reinterpret_cast<u32 *>(memory);  // [WARPS][ROWS][COLUMNS]
#pragma unroll
  for (int m = 0; m < ROWS; ++m)
    *reinterpret_cast<uint2 *>(shares + (warp * ROWS + m) * COLUMNS + 2 * lane) = make_uint2(sums[m][0], sums[m][1]);
  __syncthreads();
  for (int i = threadIdx.x; i < ROWS * COLUMNS; i += THREADS) {
    u32 sum = 0;
#pragma unroll
    for (int w = 0; w < WARPS; ++w) sum += shares[w * ROWS * COLUMNS + i];
    const i64 row = first_row + i / COLUMNS, column = first_column + i % COLUMNS;
    if (row < a.x.rows && column < a.out.columns)
      put(a.out, output_index(a.out, a.x, row, group) + column * a.x.out_size,
          static_cast<int>(group * a.out.columns + column), sum);
  }
}
