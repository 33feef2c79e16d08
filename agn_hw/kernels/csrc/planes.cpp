// Convolutions of few outputs a group, plane by plane: a tap's activations for all outputs are one stretch of memory.
//
// Each padded plane of the image is cut into phases, one for each row and column modulo the stride. In a phase, the next
// output is the next byte; outputs are counted with the phase's pitch, so a few at the end of each line are nobody's.
#include "planes.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <new>

#include "threads.h"

namespace agn {
namespace {

constexpr int64_t kMostStride = 8;                       // beyond, most phases would be of no use
constexpr int64_t kTile = 1024, kPanelBytes = 1 << 16;   // outputs at once, and codes of all taps for them

struct Memory {  // of one thread, kept from call to call
  std::vector<uint8_t> phases, panel;
  std::vector<int32_t> sums;
};

struct Layout {
  const Geometry &g;
  int64_t pitch, phase, plane;  // bytes: of a phase's line, of a phase, of all phases of a channel

  explicit Layout(const Geometry &geometry) : g(geometry) {
    const int64_t *stride = g.conv.stride;
    pitch = (g.padded_width + stride[1] - 1) / stride[1];
    phase = (g.padded_height + stride[0] - 1) / stride[0] * pitch;
    plane = phase * stride[0] * stride[1];
  }

  // Where row y and column x of a padded plane lie.
  int64_t place(int64_t y, int64_t x) const {
    const int64_t *stride = g.conv.stride;
    return (y % stride[0] * stride[1] + x % stride[1]) * phase + y / stride[0] * pitch + x / stride[1];
  }

  int64_t outputs() const { return (g.out_height - 1) * pitch + g.out_width; }  // nobody's included
};

// One channel of one image into its phases; the border is there already.
void cut_plane(const Layout &layout, const uint8_t *from, uint8_t *to) {
  const agn_conv &c = layout.g.conv;
  for (int64_t y = 0; y < c.height; ++y, from += c.width)
    for (int64_t first = 0; first < std::min(c.stride[1], c.width); ++first) {
      uint8_t *line = to + layout.place(y + c.padding[0], first + c.padding[1]);
      if (c.stride[1] == 1)
        std::memcpy(line, from, static_cast<size_t>(c.width));
      else
        for (int64_t x = first; x < c.width; x += c.stride[1]) *line++ = from[x];
    }
}

// Offsets of the taps in the phases, in the order of packed weights: [kernel row][kernel column][channel].
std::vector<int64_t> taps(const Layout &layout) {
  const agn_conv &c = layout.g.conv;
  std::vector<int64_t> found;
  for (int64_t ky = 0; ky < c.kernel_height; ++ky)
    for (int64_t kx = 0; kx < c.kernel_width; ++kx)
      for (int64_t channel = 0; channel < layout.g.group_channels(); ++channel)
        found.push_back(channel * layout.plane + layout.place(ky * c.dilation[0], kx * c.dilation[1]));
  return found;
}

// Sums of `count` outputs from `first` on, less those that are nobody's, to their lines of y.
void write_lines(const Layout &layout, const int32_t *sums, int64_t first, int64_t count, const agn_finish *finish,
                 int64_t channel, int32_t *y) {
  const int64_t width = layout.g.out_width;
  for (int64_t line = first / layout.pitch; line * layout.pitch < first + count; ++line) {
    const int64_t begin = std::max(first, line * layout.pitch);
    const int64_t end = std::min(first + count, line * layout.pitch + width);
    if (begin >= end) continue;
    int32_t *to = y + line * width + (begin - line * layout.pitch);
    if (finish)
      chosen().finish_plane(sums + (begin - first), false, end - begin, finish->bias[channel], finish->factor[channel],
                            finish->low, finish->high, reinterpret_cast<float *>(to));
    else
      std::memcpy(to, sums + (begin - first), static_cast<size_t>(end - begin) * sizeof(int32_t));
  }
}

// All outputs of one group of one image.
void convolve_group(const Layout &layout, const agn_split &split, const Packed &weights,
                    const std::vector<int64_t> &offsets, const uint8_t *x, const agn_finish *finish, int64_t channel,
                    int32_t *y, Memory &memory) {
  const Geometry &g = layout.g;
  const int64_t depth = weights.depth(), columns = weights.columns, size = g.out_height * g.out_width;
  const int64_t tile = std::clamp<int64_t>(kPanelBytes / depth / 128 * 128, 128, kTile);
  memory.phases.assign(static_cast<size_t>(layout.plane * g.group_channels()),
                       static_cast<uint8_t>(g.conv.padding_code));
  memory.panel.resize(static_cast<size_t>(depth * tile));
  memory.sums.resize(static_cast<size_t>(columns * tile));
  for (int64_t i = 0; i < g.group_channels(); ++i)
    cut_plane(layout, x + i * g.conv.height * g.conv.width, memory.phases.data() + i * layout.plane);
  for (int64_t first = 0; first < layout.outputs(); first += tile) {
    const int64_t count = std::min(tile, layout.outputs() - first);
    for (int64_t k = 0; k < depth; ++k)
      std::memcpy(memory.panel.data() + k * tile, memory.phases.data() + offsets[static_cast<size_t>(k)] + first,
                  static_cast<size_t>(count));
    for (int64_t n = 0; n < columns; ++n) std::fill_n(memory.sums.data() + n * tile, count, weights.constants()[n]);
    chosen().add_columns(split, memory.panel.data(), tile, count, weights.codes(0), depth, width_of_block(columns, 0),
                         static_cast<int>(columns), memory.sums.data(), tile);
    for (int64_t n = 0; n < columns; ++n)
      write_lines(layout, memory.sums.data() + n * tile, first, count, finish, channel + n, y + n * size);
  }
}

}  // namespace

bool by_planes(const Geometry &g, const agn_split &split) {
  return split.terms == 0 && g.group_outputs() < 16 && std::max(g.conv.stride[0], g.conv.stride[1]) <= kMostStride;
}

bool convolve_planes(const Geometry &g, const agn_split &split, const std::vector<Packed> &weights, const uint8_t *x,
                     const agn_finish *finish, int32_t *y, int threads) {
  const Layout layout(g);
  const std::vector<int64_t> offsets = taps(layout);
  std::atomic<bool> complete{true};
  parallel(threads, g.conv.batch * g.conv.groups, [&](int64_t task) {
    thread_local Memory memory;
    const int64_t group = task % g.conv.groups, channel = group * g.group_outputs();
    try {  // nothing may be thrown out of another library's thread
      convolve_group(layout, split, weights[static_cast<size_t>(group)], offsets,
                     x + task * g.group_channels() * g.conv.height * g.conv.width, finish, channel,
                     y + task * g.group_outputs() * g.out_height * g.out_width, memory);
    } catch (const std::exception &) {
      complete = false;
    }
  });
  return complete;
}

}  // namespace agn
