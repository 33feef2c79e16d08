// Activations as the int8 terms see them.
#pragma once

#include <vector>

#include "kernels.h"

namespace agn {

// The first term with the same table as term t; -1 if that leaves the codes as they are.
int source_of(const agn_split &split, int t);

class Expanded {
 public:
  // `count` codes through each term's table; terms with the same table share it, and the identity costs nothing.
  Expanded(const agn_split &split, const uint8_t *codes, int64_t count, int threads);
  const std::vector<const uint8_t *> &terms() const { return terms_; }

 private:
  std::vector<std::vector<uint8_t>> memory_;
  std::vector<const uint8_t *> terms_;
};

}  // namespace agn
