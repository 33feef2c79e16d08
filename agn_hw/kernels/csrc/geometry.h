// The sizes of a convolution.
#pragma once

#include "kernels.h"

namespace agn {

inline int64_t output_size(int64_t size, int64_t kernel, int64_t stride, int64_t padding, int64_t dilation) {
  return (size + 2 * padding - dilation * (kernel - 1) - 1) / stride + 1;
}

struct Geometry {
  agn_conv conv;
  int64_t padded_height, padded_width, out_height, out_width;

  explicit Geometry(const agn_conv &c)
      : conv(c),
        padded_height(c.height + 2 * c.padding[0]),
        padded_width(c.width + 2 * c.padding[1]),
        out_height(output_size(c.height, c.kernel_height, c.stride[0], c.padding[0], c.dilation[0])),
        out_width(output_size(c.width, c.kernel_width, c.stride[1], c.padding[1], c.dilation[1])) {}

  int64_t image_bytes() const { return padded_height * padded_width * conv.channels; }
  int64_t rows() const { return conv.batch * out_height * out_width; }
  int64_t group_channels() const { return conv.channels / conv.groups; }
  int64_t group_outputs() const { return conv.outputs / conv.groups; }
  bool whole_rows() const { return conv.groups == 1 && conv.dilation[1] == 1; }  // one run a kernel row
};

}  // namespace agn
