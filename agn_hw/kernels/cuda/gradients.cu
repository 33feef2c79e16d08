// Gradients of table products by tables of derivatives in low-rank form: codes looked up in all columns of a factor at
// once, and the products of all ranks weighted by what their codes look up and added.
//
// Columns of a factor lie in shared memory, 1 KiB each. On paper bound by memory, 4 bytes for each rank and 4 or 8
// more; look-ups of random codes, about three to a bank, take half the time that the values take to memory.
#include "codes.cuh"
#include "vectors.cuh"

#ifndef VALUES
#define VALUES 4  // read and written at once; 1 where planes are no multiples of 4
#endif

constexpr int THREADS = 256;

struct expand_arguments {
  const float *codes;   // [rows][size], whole numbers -128..255
  const float *factor;  // [256][columns]
  float *y;             // [rows][ranks][size]
  i64 rows, size;
  i64 columns, first;   // of the factor; the first of the `ranks` columns to look up
  i64 ranks;
  i64 less_zero;        // code 0's entry is taken off all entries
};

struct combine_arguments {
  const float *codes;   // [rows][size]
  const float *factor;  // [256][columns]
  const float *parts;   // [rows][ranks][size]
  const float *before;  // [rows][size], or null: what to add to
  float *y;             // [rows][size]
  i64 rows, size;
  i64 columns, first;
  i64 ranks;
};

// table[rank][code]
__device__ __forceinline__ void load_columns(const float *factor, i64 columns, i64 first, int ranks, float *table) {
  for (int i = threadIdx.x; i < ranks * 256; i += THREADS)
    table[i] = factor[i % 256 * columns + first + i / 256];
}

__device__ __forceinline__ void load_values(const float *from, float (&values)[VALUES]) {
#if VALUES == 4
  read_four(from, values);
#else
  values[0] = from[0];
#endif
}

__device__ __forceinline__ void store_values(float *to, const float (&values)[VALUES]) {
#if VALUES == 4
  write_four(to, values);
#else
  to[0] = values[0];
#endif
}

__device__ __forceinline__ void load_codes(const float *from, u32 (&codes)[VALUES]) {
  float values[VALUES];
  load_values(from, values);
#pragma unroll
  for (int i = 0; i < VALUES; ++i) codes[i] = byte_of(values[i]);
}

extern "C" __global__ void __launch_bounds__(THREADS) expand(const expand_arguments a) {
  SHARED_MEMORY(memory);
  float *table = reinterpret_cast<float *>(memory);
  const int ranks = static_cast<int>(a.ranks);
  load_columns(a.factor, a.columns, a.first, ranks, table);
  __syncthreads();
  const u64 pieces = static_cast<u64>(a.size) / VALUES, count = pieces * a.rows;
  for (u64 piece = static_cast<u64>(blockIdx.x) * THREADS + threadIdx.x; piece < count;
       piece += static_cast<u64>(gridDim.x) * THREADS) {
    u32 codes[VALUES];
    load_codes(a.codes + piece * VALUES, codes);
    float *to = a.y + piece / pieces * ranks * a.size + piece % pieces * VALUES;
    for (int rank = 0; rank < ranks; ++rank, to += a.size) {
      const float *column = table + rank * 256;
      const float zero = a.less_zero ? column[0] : 0.0f;
      float values[VALUES];
#pragma unroll
      for (int i = 0; i < VALUES; ++i) values[i] = column[codes[i]] - zero;
      store_values(to, values);
    }
  }
}

extern "C" __global__ void __launch_bounds__(THREADS) combine(const combine_arguments a) {
  SHARED_MEMORY(memory);
  float *table = reinterpret_cast<float *>(memory);
  const int ranks = static_cast<int>(a.ranks);
  load_columns(a.factor, a.columns, a.first, ranks, table);
  __syncthreads();
  const u64 pieces = static_cast<u64>(a.size) / VALUES, count = pieces * a.rows;
  for (u64 piece = static_cast<u64>(blockIdx.x) * THREADS + threadIdx.x; piece < count;
       piece += static_cast<u64>(gridDim.x) * THREADS) {
    u32 codes[VALUES];
    load_codes(a.codes + piece * VALUES, codes);
    float sums[VALUES] = {};
    if (a.before) load_values(a.before + piece * VALUES, sums);
    const float *part = a.parts + piece / pieces * ranks * a.size + piece % pieces * VALUES;
    for (int rank = 0; rank < ranks; ++rank, part += a.size) {
      float values[VALUES];
      load_values(part, values);
#pragma unroll
      for (int i = 0; i < VALUES; ++i) sums[i] = __fadd_rn(sums[i], __fmul_rn(table[rank * 256 + codes[i]], values[i]));
    }
    store_values(a.y + piece * VALUES, sums);
  }
}
