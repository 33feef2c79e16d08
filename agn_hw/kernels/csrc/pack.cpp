// Packs weight codes for the kernels.
#include <vector>

#include "packed.h"
#include "transpose.h"

namespace agn {
namespace {

// codes[k][n] of one block; columns beyond the matrix repeat its last one, k's beyond it are code 0.
void pack_codes(const uint8_t *w, int64_t rows, int64_t depth, int width, uint8_t *codes) {
  transpose_bytes([&](int64_t n) { return w + std::min(n, rows - 1) * depth; }, width, depth, codes, width);
}

// factors[k / 4][n][4] of one block; a run's last four are filled up with zeros.
void pack_factors(const int8_t *factor, const uint8_t *w, int64_t rows, int64_t runs, int64_t run, int width,
                  int8_t *factors) {
  std::vector<uint8_t> row(static_cast<size_t>(runs * run));
  for (int64_t n = 0; n < rows; ++n) {
    chosen().expand(reinterpret_cast<const uint8_t *>(factor), w + n * runs * run, runs * run, row.data());
    int8_t *out = factors + n * 4;
    for (int64_t r = 0; r < runs; ++r) {
      const uint8_t *from = row.data() + r * run;
      int64_t k = 0;
      for (; k + 4 <= run; k += 4, out += width * 4) std::memcpy(out, from + k, 4);
      if (k < run) std::memcpy(out, from + k, static_cast<size_t>(run - k)), out += width * 4;
    }
  }
}

void pack_planes(const agn_split &split, const uint8_t *w, int64_t rows, int64_t depth, uint8_t *planes) {
  std::vector<uint8_t> row(static_cast<size_t>(depth));
  for (int64_t n = 0; n < rows; ++n) {
    chosen().expand(split.planes_of_weight, w + n * depth, depth, row.data());
    for (int64_t k = 0; k < depth; k += kDepthStep)
      planes[k / kDepthStep] =
          std::max(planes[k / kDepthStep], *std::max_element(&row[static_cast<size_t>(k)],
                                                             row.data() + std::min<int64_t>(k + kDepthStep, depth)));
  }
}

int32_t sum_constants(const agn_split &split, const uint8_t *w, int64_t depth) {
  uint32_t sums[4] = {};
  int64_t k = 0;
  for (; k + 4 <= depth; k += 4)
    for (int i = 0; i < 4; ++i) sums[i] += static_cast<uint32_t>(split.constants[w[k + i]]);
  for (; k < depth; ++k) sums[0] += static_cast<uint32_t>(split.constants[w[k]]);
  return static_cast<int32_t>(sums[0] + sums[1] + sums[2] + sums[3]);
}

}  // namespace
}  // namespace agn

int64_t agn_packed_bytes(const agn_split *split, int64_t columns, int64_t runs, int64_t run) {
  return agn::Packed(*split, columns, runs, run, nullptr).bytes();
}

void agn_pack(const agn_split *split, const uint8_t *w, int64_t columns, int64_t runs, int64_t run, void *memory) {
  const agn::Packed packed(*split, columns, runs, run, memory);
  const int64_t depth = packed.depth();
  std::memset(memory, 0, static_cast<size_t>(packed.bytes()));
  for (int64_t n = 0; n < columns; ++n) packed.constants()[n] = agn::sum_constants(*split, w + n * depth, depth);
  for (int64_t first = 0; first < columns; first += agn::kBlock) {
    const int width = agn::width_of_block(columns, first);
    const int64_t rows = std::min<int64_t>(width, columns - first);
    const uint8_t *block = w + first * depth;
    agn::pack_codes(block, rows, depth, width, packed.codes(first));
    agn::pack_planes(*split, block, rows, depth, packed.planes(first));
    for (int t = 0; t < split->terms; ++t)
      agn::pack_factors(split->factor[t], block, rows, packed.runs, packed.run, width, packed.factors(t, first));
  }
}
