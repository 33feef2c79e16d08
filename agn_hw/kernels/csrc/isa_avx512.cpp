// Kernels for processors with AVX-512 VBMI (byte permutes) and VNNI (int8 dot products).
#include <cstring>

#include "kernels.h"

namespace agn {
namespace {
constexpr int V = 64;  // bytes of a vector
}
}  // namespace agn

#include "row_add.h"

#include "lookup_vbmi.h"

#include "add_columns_vbmi.h"
#include "build_rows_vbmi.h"
#include "fingerprint.h"
#include "finish.h"
#include "range_at.h"
#include "multiply_vnni.h"

const agn::Kernels agn::kAvx512 = {"avx512", 140,      agn::multiply,    agn::build_rows,
                                   agn::add_rows, agn::add_columns, agn::finish_rows, agn::finish_plane, agn::add_codes, agn::range_at, agn::fingerprint, agn::expand};
