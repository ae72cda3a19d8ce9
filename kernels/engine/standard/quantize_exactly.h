// Quantization as the standard and ONNX Runtime compute it, to the bit: by a division, where quantize_rows.h multiplies
// by the inverse of the scale. Everything here is in an unnamed namespace; see ../../paths/path_kernels.h.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "../../exponential.h"
#include "../../float_vector.h"

namespace dino8 {
namespace {

// The type of the bytes: what is added to make bytes from 0 of them.
template <class Byte>
constexpr int32_t kToUnsigned = static_cast<Byte>(-1) < 0 ? 128 : 0;

// The bytes of a vector, as integers from 0 to 255; NaN becomes the smallest one. `lowest` is the smallest byte less
// the zero point.
inline IntVector quantize_vector(FloatVector value, FloatVector scale, FloatVector lowest) {
  const FloatVector limited = smaller(larger(value / scale, lowest), lowest + 255.0f);
  // The first byte is 0, so the difference to the lowest number is the byte. Both are integers, and small.
  const FloatVector rounded = (limited + kRounding) - kRounding;
  return __builtin_convertvector(rounded - lowest, IntVector);
}

// Calls `bytes(at)` for the vectors of 16 numbers.
template <class Byte, class Bytes>
void store_sixteen(int64_t at, Byte* to, const Bytes& bytes) {
  typedef uint8_t Sixteen __attribute__((vector_size(16)));
  IntVector values[16 / kFloatLanes];
  for (int64_t part = 0; part < 16 / kFloatLanes; part++) values[part] = bytes(at + part * kFloatLanes);
  Sixteen stored;
  store_bytes(reinterpret_cast<uint8_t*>(&stored), values);
  stored ^= static_cast<uint8_t>(kToUnsigned<Byte>);  // 128 less, if the bytes have a sign
  std::memcpy(to, &stored, sizeof stored);
}

// Numbers of one scale and zero point.
template <class Byte>
void quantize_exactly(const float* from, int64_t count, float scale, int32_t zero_point, Byte* to) {
  const FloatVector scales = all_floats(scale);
  const FloatVector lowest = all_floats(static_cast<float>(-kToUnsigned<Byte> - zero_point));
  const auto bytes = [&](int64_t at) { return quantize_vector(load_floats(from + at), scales, lowest); };
  int64_t at = 0;
  for (; at + 16 <= count; at += 16) store_sixteen(at, to + at, bytes);
  if (at == count) return;
  float last[16] = {};
  Byte stored[16];
  std::copy(from + at, from + count, last);
  store_sixteen(0, stored, [&](int64_t part) { return quantize_vector(load_floats(last + part), scales, lowest); });
  std::copy(stored, stored + (count - at), to + at);
}

// Numbers that have a scale and a zero point each. `lowest` is as above.
template <class Byte>
void quantize_exactly(const float* from, int64_t count, const float* scales, const float* lowest, Byte* to) {
  int64_t at = 0;
  for (; at + 16 <= count; at += 16)
    store_sixteen(at, to + at, [&](int64_t part) {
      return quantize_vector(load_floats(from + part), load_floats(scales + part), load_floats(lowest + part));
    });
  for (; at < count; at++)
    quantize_exactly(from + at, 1, scales[at], static_cast<int32_t>(-lowest[at]) - kToUnsigned<Byte>, to + at);
}

}  // namespace
}  // namespace dino8
