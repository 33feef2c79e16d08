// How far a line leaves a weight's entries apart: what the search for slopes asks for again and again.

namespace agn {
namespace {

float range_at(const float *entries, const float *x, float slope) {
  typedef float Floats __attribute__((vector_size(V)));
  constexpr int kFloats = V / 4;
  Floats low, high;
  for (int i = 0; i < 256; i += kFloats) {
    Floats entry, at;
    std::memcpy(&entry, entries + i, V);
    std::memcpy(&at, x + i, V);
    const Floats rest = entry - slope * at;
    if (i == 0) low = high = rest;
    low = rest < low ? rest : low;
    high = rest > high ? rest : high;
  }
  float least = low[0], most = high[0];
  for (int i = 1; i < kFloats; ++i) {
    least = low[i] < least ? low[i] : least;
    most = high[i] > most ? high[i] : most;
  }
  return most - least;
}

}  // namespace
}  // namespace agn
