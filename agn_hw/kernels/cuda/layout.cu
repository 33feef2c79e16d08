// Codes of images or of a matrix as the products read them: bytes, channels last, with the padding around them.
//
// A block turns a tile of output pixels by channels through shared memory: read along the pixels (or the channels,
// where those lie side by side), written along the channels. Pixels of the padding are pixels like all others.
//
// On paper, for an H200 (4.8 TB/s): float codes are bound by memory, 5 bytes each, 0.96e12 a second; bytes by the 24
// instructions that a code takes, 1.2e12 a second, half of what memory would allow.
#include "codes.cuh"

#ifndef LAST
#define LAST 0      // pixels lie side by side in the source; 1: channels do; 2: and may be read four at a time
#endif
#ifndef CHANNELS
#define CHANNELS 64 // bytes of a pixel that a block writes: 64, 16 or 4
#endif

constexpr int THREADS = 256;
constexpr int PIXELS = 4096 / CHANNELS;
constexpr int WORDS = CHANNELS / 4;
constexpr int PITCH = WORDS | 1;  // odd: words of one column lie in different banks
constexpr int ITEMS = PIXELS * WORDS / THREADS;

struct layout_arguments {
  const Code *x;       // [batch][channels][height][width], or channels last; four at least
  u8 *y;               // [batch][height + 2 above][width + 2 left][pixel_bytes]
  i64 batch, channels, height, width;
  i64 above, left;     // padding
  i64 group_channels;  // of one group
  i64 group_bytes;     // of one group in a pixel of y: a multiple of 4
  i64 pixel_bytes;     // of all groups
  i64 padding_code;
};

// Where four bytes of every pixel come from.
struct Word {
  i64 from[4];  // elements from channel 0; one that is there where there is no such channel
  u32 mask;     // the bytes that are channels; the others are 0
  u32 padding;  // what lies around the image
};

// Where each output pixel from `first` on comes from: its element of channel 0, or -1 for the padding.
__device__ __forceinline__ void find_sources(const layout_arguments &a, i64 first, i64 pixels, i64 *sources) {
  const u32 width = static_cast<u32>(a.width + 2 * a.left);
  const u32 plane = static_cast<u32>(a.height + 2 * a.above) * width;
  const i64 image = first / plane;
  const u32 start = static_cast<u32>(first % plane);
  for (int i = threadIdx.x; i < PIXELS; i += THREADS) {
    const u32 at = start + i, place = at % plane;
    const i64 row = static_cast<i64>(place / width) - a.above, column = static_cast<i64>(place % width) - a.left;
    const bool inside = row >= 0 && row < a.height && column >= 0 && column < a.width && first + i < pixels;
    const i64 of_image = (image + at / plane) * a.channels * a.height * a.width;
    sources[i] = inside ? of_image + (row * a.width + column) * (LAST ? a.channels : 1) : -1;
  }
}

__device__ __forceinline__ void find_words(const layout_arguments &a, u32 first_byte, Word *words) {
  if (threadIdx.x >= WORDS) return;
  const u32 byte = first_byte + 4 * threadIdx.x, group_bytes = static_cast<u32>(a.group_bytes);
  const i64 channel = byte % group_bytes, first = byte / group_bytes * a.group_channels + channel;
  Word &word = words[threadIdx.x];
  word.mask = 0;
  for (int i = 0; i < 4; ++i) {
    const bool there = byte < a.pixel_bytes && channel + i < a.group_channels;
    word.from[i] = there ? (first + i) * (LAST ? 1 : a.height * a.width) : 0;
    if (there) word.mask |= 255u << 8 * i;
  }
  word.padding = static_cast<u32>(a.padding_code) * 0x01010101u & word.mask;
}

// Four codes as they lie in memory.
struct Four {
#if LAST == 2
  u32 packed;

  __device__ __forceinline__ void load(const Code *x, i64 source, const Word &word) {
    packed = four_bytes(x + source + word.from[0]);
  }

  __device__ __forceinline__ u32 bytes() const { return packed; }
#else
  Code code[4];

  __device__ __forceinline__ void load(const Code *x, i64 source, const Word &word) {
#pragma unroll
    for (int i = 0; i < 4; ++i) code[i] = x[source + word.from[i]];
  }

  __device__ __forceinline__ u32 bytes() const {
    return pack_bytes(byte_of(code[0]), byte_of(code[1]), byte_of(code[2]), byte_of(code[3]));
  }
#endif
};

// Writes the tile, BYTES at once.
template <int BYTES>
__device__ __forceinline__ void write(
    const layout_arguments &a, i64 first, i64 pixels, u32 first_byte, const u32 *tile) {
  constexpr int PARTS = CHANNELS / BYTES;
#pragma unroll
  for (int i = 0; i < PIXELS * PARTS / THREADS; ++i) {
    const int item = threadIdx.x + i * THREADS, pixel = item / PARTS, byte = item % PARTS * BYTES;
    if (first + pixel >= pixels || first_byte + byte >= a.pixel_bytes) continue;
    const u32 *from = tile + pixel * PITCH + byte / 4;
    u8 *to = a.y + (first + pixel) * a.pixel_bytes + first_byte + byte;
    if constexpr (BYTES == 16)
      *reinterpret_cast<uint4 *>(to) = make_uint4(from[0], from[1], from[2], from[3]);
    else
      *reinterpret_cast<u32 *>(to) = from[0];
  }
}

extern "C" __global__ void __launch_bounds__(THREADS) layout(const layout_arguments a) {
  SHARED_MEMORY(memory);
  i64 *sources = reinterpret_cast<i64 *>(memory);           // [PIXELS]
  Word *words = reinterpret_cast<Word *>(sources + PIXELS);  // [WORDS]
  u32 *tile = reinterpret_cast<u32 *>(words + WORDS);        // [PIXELS][PITCH]
  const i64 pixels = a.batch * (a.height + 2 * a.above) * (a.width + 2 * a.left);
  const i64 first = static_cast<i64>(blockIdx.x) * PIXELS;
  const u32 first_byte = blockIdx.y * CHANNELS;
  find_sources(a, first, pixels, sources);
  find_words(a, first_byte, words);
  __syncthreads();

  Four four[ITEMS];  // all loads before the first use
#pragma unroll
  for (int i = 0; i < ITEMS; ++i) {
    const int item = threadIdx.x + i * THREADS;
    const i64 source = sources[LAST ? item / WORDS : item % PIXELS];
    four[i].load(a.x, source < 0 ? 0 : source, words[LAST ? item % WORDS : item / PIXELS]);
  }
#pragma unroll
  for (int i = 0; i < ITEMS; ++i) {
    const int item = threadIdx.x + i * THREADS;
    const int pixel = LAST ? item / WORDS : item % PIXELS, word = LAST ? item % WORDS : item / PIXELS;
    tile[pixel * PITCH + word] = sources[pixel] < 0 ? words[word].padding : four[i].bytes() & words[word].mask;
  }
  __syncthreads();

  if (CHANNELS >= 16 && a.pixel_bytes % 16 == 0)
    write<CHANNELS >= 16 ? 16 : 4>(a, first, pixels, first_byte, tile);
  else
    write<4>(a, first, pixels, first_byte, tile);
}
