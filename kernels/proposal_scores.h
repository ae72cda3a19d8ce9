// The score of each position of an encoded image as a proposal of a box: the highest similarity of its features with a token
// of the text.
#pragma once

#include "packed_weight.h"

namespace dino8 {

// The columns of a panel of a text: as many as a tile of the widest vectors takes.
constexpr int64_t kTextColumns = 64;

// Computes y = max over tokens of (LayerNormalization(layer(x)) · text + mask), where a row of x that is not valid counts as
// zeros, and where x becomes bytes first.
struct ProposalScores {
  // One image. The rows of x [positions, layer.depth] are not read where they are not valid.
  const float* x = nullptr;
  const uint8_t* valid = nullptr;  // [positions], 0 for no
  ByteRange input;
  PackedLayer layer;
  const float* norm_scale = nullptr;
  const float* norm_bias = nullptr;
  float norm_epsilon = 0;
  // The text of the image, in panels [layer.columns, 64], of which the last one may be narrower.
  const float* text = nullptr;
  const float* mask = nullptr;  // of the tokens, then minus infinity
  int64_t tokens = 0;           // filled up with columns of zeros to a multiple of 16
  // Products are sums of so many terms, which are added then.
  int64_t terms = 0;
  float score_of_zeros = 0;  // of each position that is not valid
  float* y = nullptr;        // [positions]
};

struct ProposalScoresKernels {
  // So many rows go through all of it together.
  int64_t rows_at_a_time;
  // The score of a row of zeros.
  float (*of_zeros)(const ProposalScores&);
  // Computes the scores from `begin` to before `end`.
  void (*rows)(const ProposalScores&, int64_t begin, int64_t end);
};

}  // namespace dino8
