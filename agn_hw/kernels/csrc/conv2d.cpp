// Convolutions as products: the padded image is laid out once, and a row's window is a few stretches of it.
#include <exception>

#include "expanded.h"
#include "geometry.h"
#include "planes.h"
#include "product.h"
#include "threads.h"
#include "transpose.h"

namespace agn {
namespace {

constexpr int64_t kRowsOfTask = 2048, kRowsOfPanel = 256;

// Images [B][C][H][W] -> [B][H + 2p][W + 2p][C], the border filled with the padding code.
std::vector<uint8_t> channels_last(const Geometry &g, const uint8_t *x, int threads) {
  const agn_conv &c = g.conv;
  std::vector<uint8_t> image(static_cast<size_t>(c.batch * g.image_bytes()), static_cast<uint8_t>(c.padding_code));
  parallel(threads, c.batch * c.height, [&](int64_t line) {
    const int64_t b = line / c.height, h = line % c.height;
    uint8_t *to = image.data() + ((b * g.padded_height + h + c.padding[0]) * g.padded_width + c.padding[1]) * c.channels;
    const uint8_t *from = x + (b * c.channels * c.height + h) * c.width;
    transpose_bytes([&](int64_t channel) { return from + channel * c.height * c.width; }, c.channels, c.width, to,
                    c.channels);
  });
  return image;
}

std::vector<int64_t> run_starts(const Geometry &g, int64_t group) {
  const agn_conv &c = g.conv;
  std::vector<int64_t> start;
  for (int64_t y = 0; y < c.kernel_height; ++y)
    for (int64_t x = 0; x < (g.whole_rows() ? 1 : c.kernel_width); ++x)
      start.push_back((y * c.dilation[0] * g.padded_width + x * c.dilation[1]) * c.channels +
                      group * g.group_channels());
  return start;
}

int64_t window(const Geometry &g, int64_t m) {
  const int64_t x = m % g.out_width, y = m / g.out_width % g.out_height, b = m / (g.out_width * g.out_height);
  return b * g.image_bytes() + (y * g.conv.stride[0] * g.padded_width + x * g.conv.stride[1]) * g.conv.channels;
}

// `count` codes of a line of the image, every `step`-th from x on (which may lie outside, as may the line).
void copy_line(const uint8_t *line, int64_t width, int64_t x, int64_t step, int64_t count, uint8_t border,
               uint8_t *to) {
  const int64_t first = line ? std::clamp<int64_t>((-x + step - 1) / step, 0, count) : count;
  const int64_t last = line ? std::clamp<int64_t>((width - 1 - x + step) / step, first, count) : count;
  std::memset(to, border, static_cast<size_t>(first));
  if (step == 1 && last > first)
    std::memcpy(to + first, line + (x + first), static_cast<size_t>(last - first));
  else
    for (int64_t i = first; i < last; ++i) to[i] = line[x + i * step];
  std::memset(to + last, border, static_cast<size_t>(count - last));
}

// Transposed codes of some rows, [kernel row][kernel column][channel][stride], straight from the unpadded planes.
void fill_panel(const Geometry &g, const uint8_t *planes, int64_t group, Rows part, uint8_t *panel, int64_t stride) {
  const agn_conv &c = g.conv;
  for (int64_t ky = 0; ky < c.kernel_height; ++ky)
    for (int64_t kx = 0; kx < c.kernel_width; ++kx)
      for (int64_t channel = group * g.group_channels(); channel < (group + 1) * g.group_channels(); ++channel) {
        for (int64_t m = 0; m < part.count;) {
          const int64_t at = part.first + m, ox = at % g.out_width, oy = at / g.out_width % g.out_height;
          const int64_t b = at / (g.out_width * g.out_height), count = std::min(g.out_width - ox, part.count - m);
          const int64_t y = oy * c.stride[0] + ky * c.dilation[0] - c.padding[0];
          const int64_t x = ox * c.stride[1] + kx * c.dilation[1] - c.padding[1];
          const uint8_t *plane = planes + (b * c.channels + channel) * c.height * c.width;
          copy_line(y >= 0 && y < c.height ? plane + y * c.width : nullptr, c.width, x, c.stride[1], count,
                    static_cast<uint8_t>(c.padding_code), panel + m);
          m += count;
        }
        panel += stride;
      }
}

// Words of some rows into the planes of their outputs, [B][N][H' * W'].
void write_planes(const Geometry &g, int64_t channel, int32_t *y, Rows part, int64_t columns, const int32_t *words,
                  int64_t stride) {
  const int64_t size = g.out_height * g.out_width;
  for (int64_t m = 0; m < part.count;) {
    const int64_t b = (part.first + m) / size, at = (part.first + m) % size;
    const int64_t count = std::min<int64_t>({64, size - at, part.count - m});
    transpose_words(words + m * stride, stride, count, columns, y + (b * g.conv.outputs + channel) * size + at, size);
    m += count;
  }
}

bool conv2d(const agn_split &split, const char *packed, const agn_conv &conv, const uint8_t *x,
            const agn_finish *finish, int32_t *y, int threads, int kernel) {
  const Geometry g(conv);
  const bool columns = kernel == AGN_COLUMNS;
  std::vector<Packed> weights;
  int64_t runs, run;
  agn_conv_runs(&conv, &runs, &run);
  const int64_t bytes = agn_packed_bytes(&split, g.group_outputs(), runs, run);
  for (int64_t group = 0; group < conv.groups; ++group)
    weights.emplace_back(split, g.group_outputs(), runs, run, const_cast<char *>(packed + group * bytes));
  if (columns && by_planes(g, split)) return convolve_planes(g, split, weights, x, finish, y, threads);
  std::vector<uint8_t> image;
  if (!columns || split.terms) image = channels_last(g, x, threads);
  const Expanded expanded(split, image.data(), static_cast<int64_t>(image.size()), threads);
  std::vector<Product> products(static_cast<size_t>(conv.groups));
  for (int64_t group = 0; group < conv.groups; ++group) {
    Product &product = products[static_cast<size_t>(group)];
    product.split = &split;
    product.packed = &weights[static_cast<size_t>(group)];
    product.rows = g.rows();
    product.finish = finish;
    product.first_channel = group * g.group_outputs();
    product.columns = columns;
    product.most_rows = columns ? kRowsOfPanel : kRowsOfTask;
    product.codes = image.empty() ? x : image.data();  // columns without terms need no image
    product.expanded = expanded.terms();
    product.start = run_starts(g, group);
    product.row = [&g](int64_t m) { return window(g, m); };
    product.panel = [&g, x, group](Rows part, uint8_t *panel, int64_t stride) {
      fill_panel(g, x, group, part, panel, stride);
    };
    product.write = [&g, group, y](Rows part, int64_t column, int64_t count, const int32_t *words, int64_t stride) {
      write_planes(g, group * g.group_outputs() + column, y, part, count, words, stride);
    };
  }
  return compute(products, threads);
}

}  // namespace
}  // namespace agn

void agn_conv_runs(const agn_conv *conv, int64_t *runs, int64_t *run) {
  const agn::Geometry g(*conv);
  *runs = conv->kernel_height * (g.whole_rows() ? 1 : conv->kernel_width);
  *run = (g.whole_rows() ? conv->kernel_width : 1) * g.group_channels();
}

int agn_conv2d(const agn_split *split, const void *packed, const agn_conv *conv, const uint8_t *x,
               const agn_finish *finish, void *y, int threads, int kernel) try {
  return agn::conv2d(*split, static_cast<const char *>(packed), *conv, x, finish, static_cast<int32_t *>(y), threads,
                     kernel)
             ? 0
             : -1;
} catch (const std::exception &) {  // no memory, or a size that no vector can have
  return -1;
}
