// Exact int8 terms of tables that are made of few partial products.
#pragma once

#include "agn_kernels.h"

namespace agn {

// Sets terms, scaled, shift, expand and factor so that they give the table but for a constant for each weight. False,
// and nothing set, if more than AGN_MAX_TERMS were needed.
bool find_monomials(const int32_t *table, agn_split &split);

}  // namespace agn
