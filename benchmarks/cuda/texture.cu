// A table product as the literature computes it on a GPU: operands in tiles in shared memory, every entry fetched from a
// table behind the texture units (Vaverka et al., "TFApprox", DATE 2020), here with 4 x 4 sums a thread in place of one.
// FETCH 0: the same through the read-only cache, without a texture. One block: 64 x 64 sums.

#ifndef FETCH
#define FETCH 1
#endif
#ifndef ENTRY
#define ENTRY short
#endif

constexpr int TILE = 64, DEPTH = 16, SIDE = 16, SUMS = TILE / SIDE;

#if FETCH
__device__ __forceinline__ int fetch(unsigned long long table, int at) { return tex1Dfetch<ENTRY>(table, at); }
#else
__device__ __forceinline__ int fetch(unsigned long long table, int at) {
  return __ldg(reinterpret_cast<const ENTRY *>(table) + at);
}
#endif

// Bytes of rows first .. first + 63 and of k .. k + 15, past the edge those of the last row and of the last k.
__device__ __forceinline__ void load(unsigned char (&tile)[DEPTH][TILE], const unsigned char *from, int first, int rows,
                                     int k, int depth, int thread) {
#pragma unroll
  for (int i = 0; i < TILE * DEPTH / (SIDE * SIDE); ++i) {
    const int at = thread + i * SIDE * SIDE, row = min(first + at / DEPTH, rows - 1);
    tile[at % DEPTH][at / DEPTH] = from[static_cast<long long>(row) * depth + min(k + at % DEPTH, depth - 1)];
  }
}

// y[m, n] = sum_k table[x[m, k] * 256 + w[n, k]]: x [rows, depth], w [columns, depth]. table: a texture object, or a
// pointer.
extern "C" __global__ void __launch_bounds__(256)
    texture_gather(const unsigned char *x, const unsigned char *w, unsigned long long table, int *y, int rows,
                   int columns, int depth) {
  __shared__ unsigned char of_x[DEPTH][TILE], of_w[DEPTH][TILE];
  const int thread = threadIdx.x, across = thread % SIDE, down = thread / SIDE;
  const int row = blockIdx.x * TILE, column = blockIdx.y * TILE;
  int sums[SUMS][SUMS] = {};
  for (int k = 0; k < depth; k += DEPTH) {
    load(of_x, x, row, rows, k, depth, thread);
    load(of_w, w, column, columns, k, depth, thread);
    __syncthreads();
    const int steps = min(DEPTH, depth - k);
#pragma unroll 4
    for (int step = 0; step < steps; ++step) {
#pragma unroll
      for (int i = 0; i < SUMS; ++i) {
        const int start = of_x[step][down + i * SIDE] * 256;
#pragma unroll
        for (int j = 0; j < SUMS; ++j) sums[i][j] += fetch(table, start + of_w[step][across + j * SIDE]);
      }
    }
    __syncthreads();
  }
#pragma unroll
  for (int i = 0; i < SUMS; ++i) {
#pragma unroll
    for (int j = 0; j < SUMS; ++j) {
      const int m = row + down + i * SIDE, n = column + across + j * SIDE;
      if (m < rows && n < columns) y[static_cast<long long>(m) * columns + n] = sums[i][j];
    }
  }
}
