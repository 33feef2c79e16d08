// Sums of a warp on their way from shared memory to y, several of a lane at once: their constants are read together.
#pragma once

#include "output.cuh"

constexpr int TILE_ROWS = 16;
constexpr int BATCH = 4;

// Sums of one lane, where they go, and the constants of their channels.
struct Batch {
  u32 sum[BATCH];
  i64 index[BATCH];
  bool inside[BATCH];
  u32 start[BATCH];
  double bias[BATCH], factor[BATCH];

  __device__ __forceinline__ void set(const Output &out, int i, u32 value, i64 at, i64 channel, bool is_inside) {
    sum[i] = value, index[i] = at, inside[i] = is_inside;
    start[i] = is_inside && out.mode == WRITE && out.start ? static_cast<u32>(__ldg(out.start + channel)) : 0;
    bias[i] = is_inside && out.bias ? __ldg(out.bias + channel) : 0;
    factor[i] = is_inside && out.bias ? __ldg(out.factor + channel) : 0;
  }

  // As output.cuh's put does it, one by one.
  __device__ __forceinline__ void put(const Output &out) {
    int *sums = static_cast<int *>(out.y);
    if (out.mode == ATOMIC) {
#pragma unroll
      for (int i = 0; i < BATCH; ++i)
        if (inside[i]) atomicAdd(sums + index[i], static_cast<int>(sum[i]));
      return;
    }
#pragma unroll
    for (int i = 0; i < BATCH; ++i)
      sum[i] += out.mode == ADD && inside[i] ? static_cast<u32>(sums[index[i]]) : start[i];
    if (out.bias) {
      float code[BATCH];
#pragma unroll
      for (int i = 0; i < BATCH; ++i)
        code[i] = requantised(static_cast<int>(sum[i]), bias[i], factor[i], out.low, out.high);
#pragma unroll
      for (int i = 0; i < BATCH; ++i)
        if (inside[i]) static_cast<float *>(out.y)[index[i]] = code[i];
    } else {
#pragma unroll
      for (int i = 0; i < BATCH; ++i)
        if (inside[i]) sums[index[i]] = static_cast<int>(sum[i]);
    }
  }
};

// TILE_ROWS rows of COLUMNS sums, STRIDE words from row to row. Neighbouring lanes take neighbours in y: columns of a
// matrix, rows of planes. All lanes of a warp have to come here.
template <int COLUMNS, int STRIDE>
__device__ __forceinline__ void put_tile(const Output &out, const Windows &x, const u32 *sums, i64 first_row,
                                         i64 first_column, int group) {
  const int lane = threadIdx.x % 32;
  const bool matrix = x.out_size == 1;
  const i64 own = output_index(out, x, first_row + lane % TILE_ROWS, group);
#pragma unroll 1
  for (int first = lane; first < TILE_ROWS * COLUMNS; first += 32 * BATCH) {
    Batch batch;
#pragma unroll
    for (int i = 0; i < BATCH; ++i) {
      const int at = first + 32 * i;
      const int row = matrix ? at / COLUMNS : at % TILE_ROWS, column = matrix ? at % COLUMNS : at / TILE_ROWS;
      const i64 n = first_column + column, channel = group * out.columns + n;
      const i64 index = matrix ? (first_row + row) * out.groups * out.columns + channel : own + n * x.out_size;
      batch.set(out, i, sums[row * STRIDE + column], index, channel, first_row + row < x.rows && n < out.columns);
    }
    batch.put(out);
  }
}
