// Convolutions of few outputs a group (depthwise), plane by plane.
#pragma once

#include <vector>

#include "geometry.h"
#include "packed.h"

namespace agn {

// Whether this way is there for a convolution, and pays: residual bytes alone, less than a block of outputs.
bool by_planes(const Geometry &g, const agn_split &split);

// x NCHW codes -> y NCHW, sums or with `finish` codes; one packed group after another. False if memory is short.
bool convolve_planes(const Geometry &g, const agn_split &split, const std::vector<Packed> &weights, const uint8_t *x,
                     const agn_finish *finish, int32_t *y, int threads);

}  // namespace agn
