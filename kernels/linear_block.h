// One or two linear layers on bytes, and what surrounds them in a transformer.
#pragma once

#include "packed_weight.h"

namespace dino8 {

enum class Activation { kNone, kGelu };

// Computes y = layers(x) · row scale or, where there is a residual, y = LayerNormalization(residual + layers(x)). If the norm
// is before the layers, it is y = layers(LayerNormalization(x)) or, where there is a residual,
// y = residual + layers(LayerNormalization(x)).
struct LinearBlock {
  const float* x = nullptr;        // [rows, first.depth]: quantized by `input` first; or null,
  const uint8_t* bytes = nullptr;  // [rows, first.depth]: quantized already
  ByteRange input;
  PackedLayer first;
  // Between two layers: the activation function, and the quantization by `hidden`.
  bool has_second = false;
  Activation activation = Activation::kNone;
  ByteRange hidden;
  PackedLayer second;
  const float* row_scale = nullptr;  // [rows]: factors of the rows of the result of the layers, or null
  const float* residual = nullptr;   // [rows, columns of the last layer], or null
  ResidualRounding rounding;
  bool has_norm_before = false;
  const float* norm_scale = nullptr;
  const float* norm_bias = nullptr;
  float norm_epsilon = 0;
  // [rows, columns of the last layer], as floats, as bytes, or both; the floats may take the place of the residual
  float* y = nullptr;
  uint8_t* y_bytes = nullptr;
  ByteRange y_range;

  const PackedLayer& last() const { return has_second ? second : first; }
};

struct LinearBlockKernels {
  // See kIsPreferred in integer_tile.h.
  bool is_preferred;
  // So many rows go through all layers at a time.
  int64_t rows_at_a_time;
  // Computes the rows from `begin` to before `end`.
  void (*rows)(const LinearBlock&, int64_t begin, int64_t end);
  // The same for two blocks with a residual sum and a normalization: `second`, whose x and residual are null, reads the result of
  // `first`, whose results are null, and adds its own result to it.
  void (*two_blocks)(const LinearBlock& first, const LinearBlock& second, int64_t begin, int64_t end);
  // Adds a row of the residual to a row of the result of the layers, y, and normalizes the sum if the norm is behind the layers.
  void (*add_residual)(const LinearBlock&, const float* residual, float* y);
  // Quantizes `count` numbers.
  void (*quantize)(const float* from, int64_t count, ByteRange range, uint8_t* to);
  // Computes the sum of `count` numbers as bytes and, unless `sum` is null, as floats.
  void (*add_quantize)(const float* a, const float* b, int64_t count, ByteRange range, float* sum, uint8_t* to);
};

}  // namespace dino8
