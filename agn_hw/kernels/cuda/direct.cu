// Convolutions with few outputs a group (depthwise): whole table entries, output by output, straight from the images.
//
// A block has one output channel. Its weights are fixed, so 256 entries table[k][x] = lut[x][w[k]] a tap are all it
// needs: they are built in shared memory, for up to TABLES k's at a time, and each thread looks up OUTPUTS outputs at
// once. With no more k's than tables, these are built once for all outputs of the block.
//
// On paper (instructions of sm_90; not measured): 32 lookups are 13 instructions of a warp and one load of activations;
// random ones fall 3.5 deep into a bank, so that shared memory is busy for 4.5 cycles: 1.6e12 lookups a second on an
// H200, or 1.8e11 outputs of 3 x 3 depthwise kernels, a fifth of what memory could take. Equal activations are faster.
#include "codes.cuh"
#include "output.cuh"

constexpr int THREADS = 256;
constexpr int OUTPUTS = 8;   // of a thread
constexpr int TABLES = 32;
constexpr int NOWHERE = -(1 << 30);

struct direct_arguments {
  const Code *x;             // [batch][groups * channels][height][width]
  const u8 *w;               // [groups * columns][channels][kernel_height][kernel_width]
  const int *lut;            // [256][256]
  Output out;                // y: [batch][groups * columns][out_height][out_width]
  i64 channels, height, width;              // of a group; of an image
  i64 kernel_height, kernel_width;
  i64 out_height, out_width;
  i64 down, right, above, left, tap_down, tap_right;  // stride, padding, dilation
  i64 padding_code;
  i64 outputs;               // of one channel, of all images
  i64 blocks, span;          // of a channel, and how many outputs each has
};

// Where a tap lies from an output's first one: in memory, in rows and in columns.
struct alignas(16) Tap {
  i64 offset;
  int down, right;
};

struct Shared {
  int *tables;               // [count][256]
  Tap *taps;
  int *codes;                // weights

  __device__ __forceinline__ Shared(unsigned char *memory, int count)
      : tables(reinterpret_cast<int *>(memory)),
        taps(reinterpret_cast<Tap *>(tables + count * 256)),
        codes(reinterpret_cast<int *>(taps + count)) {}
};

// Tables of `count` k's of a channel, from k `first` on. A thread takes one k's place, then one activation of all k's.
__device__ __forceinline__ void build_tables(const direct_arguments &a, i64 channel, int first, int count,
                                             const Shared &shared) {
  const u32 thread = threadIdx.x;
  __syncthreads();
  if (static_cast<int>(thread) < count) {
    const u32 size = static_cast<u32>(a.kernel_height * a.kernel_width), width = static_cast<u32>(a.kernel_width);
    const u32 k = first + thread, tap = k % size;
    const int down = static_cast<int>(tap / width * a.tap_down), right = static_cast<int>(tap % width * a.tap_right);
    shared.taps[thread] = {(k / size * a.height + down) * a.width + right, down, right};
    shared.codes[thread] = a.w[channel * a.channels * size + k];
  }
  __syncthreads();
#pragma unroll 8
  for (int k = 0; k < count; ++k) shared.tables[k * 256 + thread] = a.lut[thread * 256 + shared.codes[k]];
  __syncthreads();
}

// A thread's outputs: where their windows start, in memory and in the image, and their sums.
struct Outputs {
  const Code *corner[OUTPUTS];  // may lie outside
  int row[OUTPUTS], column[OUTPUTS];
  u32 sums[OUTPUTS];
};

struct Block {
  const direct_arguments &a;
  i64 channel, group;

  // The outputs THREADS apart from `first` on; those past `end` see nothing.
  __device__ __forceinline__ void place(i64 first, i64 end, Outputs &to) const {
    const u32 width = static_cast<u32>(a.out_width), size = static_cast<u32>(a.out_height) * width;
#pragma unroll
    for (int i = 0; i < OUTPUTS; ++i) {
      const u32 at = static_cast<u32>(first + i * THREADS), image = at / size, place = at % size;
      to.sums[i] = 0;
      to.row[i] = first + i * THREADS < end ? static_cast<int>(place / width * a.down - a.above) : NOWHERE;
      to.column[i] = static_cast<int>(place % width * a.right - a.left);
      to.corner[i] =
          a.x + ((image * a.out.groups + group) * a.channels * a.height + to.row[i]) * a.width + to.column[i];
    }
  }

  __device__ __forceinline__ void look_up(const Shared &shared, int count, Outputs &to) const {
    const u32 height = static_cast<u32>(a.height), width = static_cast<u32>(a.width);
    for (int k = 0; k < count; ++k) {
      const Tap tap = shared.taps[k];
      u32 codes[OUTPUTS];
#pragma unroll
      for (int i = 0; i < OUTPUTS; ++i) {
        const bool inside =
            static_cast<u32>(to.row[i] + tap.down) < height && static_cast<u32>(to.column[i] + tap.right) < width;
        codes[i] = static_cast<u32>(a.padding_code);
        if (inside) codes[i] = byte_of(to.corner[i][tap.offset]);
      }
#pragma unroll
      for (int i = 0; i < OUTPUTS; ++i) to.sums[i] += static_cast<u32>(shared.tables[k * 256 + codes[i]]);
    }
  }

  __device__ __forceinline__ void write(i64 first, i64 end, const Outputs &from) const {
    const u32 size = static_cast<u32>(a.out_height * a.out_width);
#pragma unroll
    for (int i = 0; i < OUTPUTS; ++i) {
      const u32 at = static_cast<u32>(first + i * THREADS);
      if (first + i * THREADS < end)
        put(a.out, (at / size * a.out.groups * a.out.columns + channel) * size + at % size, static_cast<int>(channel),
            from.sums[i]);
    }
  }
};

extern "C" __global__ void __launch_bounds__(THREADS, 2) direct(const direct_arguments a) {
  SHARED_MEMORY(memory);
  const int depth = static_cast<int>(a.channels * a.kernel_height * a.kernel_width), tables = min(depth, TABLES);
  const u32 blocks = static_cast<u32>(a.blocks), channel = blockIdx.x / blocks;
  const Block block{a, channel, channel / static_cast<u32>(a.out.columns)};
  const Shared shared(memory, tables);
  const i64 begin = blockIdx.x % blocks * a.span, end = min(begin + a.span, a.outputs);
  for (i64 first = begin; first < end; first += THREADS * OUTPUTS) {
    Outputs outputs;
    block.place(first + threadIdx.x, end, outputs);
    for (int k = 0; k < depth; k += TABLES) {
      const int count = min(TABLES, depth - k);
      if (depth > TABLES || first == begin) build_tables(a, channel, k, count, shared);
      block.look_up(shared, count, outputs);
    }
    block.write(first + threadIdx.x, end, outputs);
  }
}
