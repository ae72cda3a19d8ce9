// Sums of two corners of a sample of deformable attention, without vector instructions. Everything here is in an unnamed
// namespace; see paths/path_kernels.h.
#pragma once

#include <cstdint>

namespace dino8 {
namespace {

// Sums in 32 bits of bytes times weights of 16 bits. Two corners are added at once, as the instructions want it.
template <int Count>
struct PlainPairSums {
  static constexpr int Channels = Count;
  int32_t sums[Count] = {};

  // Adds a · the lower 16 bits of `weights` + b · the upper 16 bits.
  template <class Byte>
  void add(const Byte* a, const Byte* b, int32_t weights) {
    const int16_t lower = static_cast<int16_t>(weights), upper = static_cast<int16_t>(weights >> 16);
    for (int at = 0; at < Count; at++) sums[at] += a[at] * lower + b[at] * upper;
  }
  // Adds the sums of other corners.
  void add(const PlainPairSums& other) {
    for (int at = 0; at < Count; at++) sums[at] += other.sums[at];
  }
  void store(float* out) const {
    for (int at = 0; at < Count; at++) out[at] = static_cast<float>(sums[at]);
  }
};

}  // namespace
}  // namespace dino8
