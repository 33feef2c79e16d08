// Kernels for processors with AVX2.
#include <cstring>

#include "kernels.h"

namespace agn {
namespace {
constexpr int V = 32;  // bytes of a vector
}
}  // namespace agn

#include "row_add.h"

#include "add_columns_direct.h"
#include "build_rows_sse2.h"
#include "expand_any.h"
#include "fingerprint.h"
#include "finish.h"
#include "range_at.h"
#include "multiply_words.h"

const agn::Kernels agn::kAvx2 = {"avx2", 670,        agn::multiply,    agn::build_rows,
                                 agn::add_rows, agn::add_columns, agn::finish_rows, agn::finish_plane, agn::add_codes, agn::range_at, agn::fingerprint, agn::expand};
