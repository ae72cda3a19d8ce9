// The computation of sine embeddings. Everything here is in an unnamed namespace; see paths/path_kernels.h.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>

#include "exponential.h"
#include "float_vector.h"
#include "quantize_rows.h"
#include "sine_embedding.h"

namespace dino8 {
namespace {

inline FloatVector floats_of(IntVector bits) {
  FloatVector value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

// A product that is rounded on its own, also where the compiler would fuse it with a sum behind it.
inline FloatVector rounded_product(FloatVector a, FloatVector b) {
  FloatVector product = a * b;
#if defined(__AVX512F__)
  asm("" : "+v"(product));
#elif defined(__SSE2__)
  asm("" : "+x"(product));
#elif defined(__aarch64__)
  asm("" : "+w"(product));
#endif
  return product;
}

inline FloatVector add_product(FloatVector a, FloatVector b, float c) { return rounded_product(a, b) + c; }

// The sine of each angle of at most kMostAngle in magnitude, or its cosine where `is_cosine` is 1 and not 0. With
// n = round(|x| / (π / 2)) and the rest r, |r| ≤ π / 4, it is the sine or the cosine of r, by the parity of n, up to the sign.
// Both are polynomials. Coefficients and roundings are those of Eigen's `sin` and `cos` for x86-64
// (https://gitlab.com/libeigen/eigen, GenericPacketMathFunctions.h), which ONNX Runtime computes with: the results are the same
// to the bit.
inline FloatVector sine_of(FloatVector x, IntVector is_cosine) {
  constexpr float kTwoByPi = 0.636619746685028076171875f;
  // −π / 2 in parts, the first of which have so few bits that their products by n are exact.
  constexpr float kParts[] = {-1.5703125f, -0.000483989715576171875f, 1.62865035235881805419921875e-07f,
                              5.5644315544167710640977020375430583953857421875e-11f};
  constexpr float kCosine[] = {-0.00138865201734006404876708984375f, 0.041666619479656219482421875f, -0.5f, 1.0f};
  constexpr int32_t kAllButSign = 0x7fffffff;
  FloatVector r = floats_of(bits_of(x) & kAllButSign);
  const FloatVector shifted = add_product(r, all_floats(kTwoByPi), kRounding), whole = shifted - kRounding;
  for (const float part : kParts) r = rounded_product(whole, all_floats(part)) + r;
  const FloatVector square = r * r;
  FloatVector cosine = all_floats(2.4372266125283204019069671630859375e-05f);
  for (const float coefficient : kCosine) cosine = add_product(cosine, square, coefficient);
  FloatVector sine = all_floats(-0.0001959234114083702898469196984621021329076029360294342041015625f);
  sine = add_product(sine, square, 0.00833268736556168516937947998712843400426208972930908203125f);
  sine = add_product(sine, square, -0.166666620398229825550373561782180331647396087646484375f);
  sine = rounded_product(rounded_product(sine, square), r) + r;
  const IntVector turn = bits_of(shifted) + is_cosine;
  const IntVector takes_cosine = -(turn & 1), sign = (turn << 30) ^ (bits_of(x) & (is_cosine - 1));
  const IntVector chosen = (bits_of(cosine) & takes_cosine) | (bits_of(sine) & ~takes_cosine);
  return floats_of(chosen ^ (sign & ~kAllButSign));
}

// See `SineEmbeddingRows`.
void sine_embedding_rows(const SineEmbedding& e, int64_t begin, int64_t end) {
  const int64_t padded = round_up(e.size, kFloatLanes);
  const std::unique_ptr<float[]> row(new float[static_cast<size_t>(padded)]);
  IntVector is_cosine;
  for (int lane = 0; lane < kFloatLanes; lane++) is_cosine[lane] = lane % 2;
  for (int64_t at = begin; at < end; at++) {
    const float position = e.positions[at];
    if (std::fabs(position) <= e.most) {
      for (int64_t column = 0; column < padded; column += kFloatLanes)
        store_floats(row.get() + column, sine_of(position / load_floats(e.wavelengths + column), is_cosine));
    } else {
      for (int64_t column = 0; column < e.size; column++) {
        const float angle = position / e.wavelengths[column];
        row[static_cast<size_t>(column)] = column % 2 == 0 ? std::sin(angle) : std::cos(angle);
      }
    }
    if (e.y) std::copy_n(row.get(), e.size, e.y + at * e.size);
    if (!e.y_bytes) continue;
    // By a division, as QuantizeLinear does.
    for (int64_t column = 0; column < padded; column += kFloatLanes)
      store_floats(row.get() + column, load_floats(row.get() + column) / e.y_range.scale);
    quantize_row(row.get(), e.size, {1, e.y_range.zero_point}, e.y_bytes + at * e.size);
  }
}

}  // namespace
}  // namespace dino8
