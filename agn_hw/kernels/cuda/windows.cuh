// Activations as a matrix: row m holds what the window of output m sees, for one group of channels. Nothing is copied:
// the image lies padded, channels last, and a row is a few stretches of it. A plain matrix is an image of one pixel.
#pragma once

#include "device.cuh"

// Fields as in images.py: Windows. Sizes in bytes where they are steps.
struct Windows {
  const u8 *image;     // [batch][height][width][groups * channels]
  i64 rows;            // M: batch * out_size
  i64 out_size;        // outputs of one image and channel
  i64 out_width;
  i64 image_step;      // from an image to the next
  i64 step_down;       // from an output to the one below
  i64 step_right;
  i64 tap_down;        // from a kernel tap to the one below
  i64 tap_right;
  i64 kernel_width;
  i64 taps;
  i64 channels;        // of one group, with padding: a multiple of 16, or 4, 8
  i64 depth;           // taps * channels, rounded up to a multiple of 64; k = tap * channels + channel
};

// Where row `row` of a group starts; rows past the last one start where the last one does.
__device__ __forceinline__ const u8 *row_start(const Windows &x, i64 row, int group) {
  const u32 at = static_cast<u32>(row < x.rows ? row : x.rows - 1);
  const u32 size = static_cast<u32>(x.out_size), width = static_cast<u32>(x.out_width);
  const u32 batch = at / size, place = at % size;
  return x.image + batch * x.image_step + (place / width) * x.step_down + (place % width) * x.step_right +
         group * x.channels;
}

// Walks along k: where k lies from the start of its row. Past the last tap it stays at 0, a place that may be read.
struct Walk {
  int channel, column, row, tap;

  __device__ __forceinline__ Walk(const Windows &x, int k) : channel(k), column(0), row(0), tap(0) { settle(x); }

  __device__ __forceinline__ void advance(const Windows &x, int by) {
    channel += by;
    settle(x);
  }

  __device__ __forceinline__ i64 offset(const Windows &x) const {
    return tap < x.taps ? row * x.tap_down + column * x.tap_right + channel : 0;
  }

 private:
  __device__ __forceinline__ void settle(const Windows &x) {
    const int channels = static_cast<int>(x.channels), width = static_cast<int>(x.kernel_width);
    while (channel >= channels && tap < x.taps) {
      channel -= channels;
      ++tap;
      if (++column == width) column = 0, ++row;
    }
  }
};
