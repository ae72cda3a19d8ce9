// Bidirectional attention between an image and a text: one matrix of scores of all positions and tokens, along whose
// rows the image reads the text, and along whose columns the text reads the image.
//
//     scores = x · to_scores        image = softmax(scores + token_bias) · to_image + image_bias
//                                   text  = softmax(scoresᵀ + position_bias) · x
//
// The softmax of the image is over the tokens of each head, that of the text over all positions. The kernels take a
// block of positions at a time through all of it, so that the scores never exist as a whole. The softmax over positions
// is put together from parts, as in FlashAttention (Dao et al., 2022): weights are exp(score − maximum of the block),
// which 8 bits represent well however many positions there are, and the sums of parts with different maxima are brought
// to the larger one.
#pragma once

#include "packed_weight.h"

namespace dino8 {

// A block's maxima, scores and weights stay in the second-level cache, and the sums of 255 · 255 · 256 of a block are
// below 2^24, so that floats represent them exactly.
constexpr int64_t kFusionBlock = 256;

// The positions are split into at most so many parts, whatever the number of threads is, so that results do not depend
// on it.
constexpr int64_t kFusionParts = 16;

// An int8 matrix q that stands for (q − zero_point) · scale.
struct ByteMatrix {
  const int8_t* data = nullptr;
  float scale = 1;
  int32_t zero_point = 0;
};

// What a layer does around its attention: x = bytes of LayerNormalization(rows), image = LayerNormalization(rows) + image.
struct FusionNorm {
  const float* rows = nullptr;  // [positions, width]; null if the attention is alone
  const float* scale = nullptr;
  const float* bias = nullptr;
  float epsilon = 0;
};

// The bytes of image + addend, for what reads the image with a value of each position added to it.
struct FusionSum {
  const float* addend = nullptr;  // [positions, width], or a table [rows, size]; null if nothing reads such a sum
  uint8_t* bytes = nullptr;       // [positions, width]
  ByteRange range;
  // [positions, width / size]: the rows of the table that a position's numbers are, one after the other, from its end on if
  // negative; null without a table
  const int64_t* places = nullptr;
  int64_t rows = 0, size = 0;

  const float* row(int64_t place) const { return addend + (place < 0 ? place + rows : place) * size; }
};

struct FusionAttention {
  int64_t positions = 0, width = 0, heads = 0, tokens = 0;
  FusionNorm norm;
  const uint8_t* x = nullptr;  // [positions, width], if there is no norm
  ByteRange x_range;
  ByteMatrix to_scores;                  // [width, heads · tokens]
  const float* token_bias = nullptr;     // [heads, tokens]
  const float* position_bias = nullptr;  // [positions], or one number for all if the stride is 0
  int64_t position_bias_stride = 1;
  ByteRange weights;                  // of the image's weights of tokens
  ByteMatrix to_image;                // [heads · tokens, width]
  const float* image_bias = nullptr;  // [width]
  // [positions, width], as floats, as bytes, or both; bytes and no floats only if there is a norm. The floats may take the place of
  // the rows of the norm
  float* image = nullptr;
  uint8_t* image_bytes = nullptr;
  ByteRange image_range;
  FusionSum sum;
  float* text = nullptr;  // [heads · tokens, width]

  // The integer products take whole panels of columns, and a depth of whole steps of the largest tiles.
  static constexpr int64_t kWholeDepth = 64;
  int64_t depth() const { return round_up(width, kWholeDepth); }
  int64_t columns() const { return round_up(tokens, kPanelColumns); }  // of one head
  int64_t image_depth() const { return round_up(heads * columns(), kWholeDepth); }
  int64_t image_columns() const { return round_up(width, kPanelColumns); }
  // True if rows of x lie elsewhere than the products of integers read them.
  bool has_own_x() const { return norm.rows != nullptr || depth() != width; }

  int64_t blocks() const { return (positions + kFusionBlock - 1) / kFusionBlock; }
  int64_t parts() const { return blocks() < kFusionParts ? blocks() : kFusionParts; }
  // The first position of a part.
  int64_t begin(int64_t part) const {
    const int64_t position = blocks() * part / parts() * kFusionBlock;
    return position < positions ? position : positions;
  }
};

// Hands out parts of one piece of memory, each at the start of a cache line. Without memory it only counts.
class Arena {
 public:
  explicit Arena(char* memory) : memory_(memory) {}

  template <class Element>
  Element* take(int64_t count) {
    char* const part = memory_ == nullptr ? nullptr : memory_ + size_;
    size_ += round_up(count * static_cast<int64_t>(sizeof(Element)), 64);
    return reinterpret_cast<Element*>(part);
  }
  int64_t size() const { return size_; }

 private:
  char* memory_;
  int64_t size_ = 0;
};

// The operands that are made of the text once, for all positions. Tokens are filled up to whole panels in each head.
struct FusionOperands {
  int8_t* to_scores;    // for each head, in panels
  int32_t* score_sums;  // [heads, columns]
  float* score_scale;   // [columns]
  float* score_bias;    // [columns]: 0, and a very low number where there is no token
  float* token_bias;    // [heads, columns], −∞ where there is no token
  float* token_factor;  // [heads, columns]: exponentials of the bias, see fusion_weights.h
  int8_t* to_image;     // in panels
  int32_t* image_sums;  // [image columns], as the two below
  float* image_scale;
  float* image_bias;
  float* zeros;  // [columns]

  FusionOperands(const FusionAttention& a, Arena& arena) {
    to_scores = arena.take<int8_t>(a.heads * a.columns() * a.depth());
    score_sums = arena.take<int32_t>(a.heads * a.columns());
    score_scale = arena.take<float>(a.columns());
    score_bias = arena.take<float>(a.columns());
    token_bias = arena.take<float>(a.heads * a.columns());
    token_factor = arena.take<float>(a.heads * a.columns());
    to_image = arena.take<int8_t>(a.image_columns() * a.image_depth());
    image_sums = arena.take<int32_t>(a.image_columns());
    image_scale = arena.take<float>(a.image_columns());
    image_bias = arena.take<float>(a.image_columns());
    zeros = arena.take<float>(a.columns());
  }
};

// The sums over a part of the positions, for the result of the text. Weights are relative to the exponential of `maximum`.
struct FusionSums {
  float* maximum;  // [heads, columns]
  float* total;    // [heads, columns]: the sum of the weights
  float* sums;     // [heads, width, columns]: the sums of weighted x, without the scale of x

  FusionSums() = default;
  FusionSums(const FusionAttention& a, Arena& arena) {
    maximum = arena.take<float>(a.heads * a.columns());
    total = arena.take<float>(a.heads * a.columns());
    sums = arena.take<float>(a.heads * a.width * a.columns());
  }
};

// The values of one block of positions.
struct FusionBlock {
  uint8_t* x;             // [block, depth], if a.has_own_x()
  float* image;           // [block, width], if there are no floats of the image in the result
  uint8_t* x_transposed;  // [width, block]
  int32_t* x_sums;        // [width]: 128 · the sums of x without its zero point
  float* score_rest;      // [block]: what the zero point of to_scores takes from the scores of a position
  float* position_bias;   // [block]
  float* scores;          // [block, columns]
  float* powers;          // [4, columns]: exponentials of the scores of four positions, see fusion_weights.h
  float* row_maximum;     // [block], without the position's bias
  float* row_factor;      // [block]
  float highest = 0;      // of all scores of a head with the position's bias
  float* maximum;         // [columns], with the position's bias; as those below
  float* column_factor;
  float* old_factor;
  float* new_factor;
  uint8_t* image_weights;  // [block, image depth]
  int8_t* text_weights;    // [block, columns] in panels, 128 subtracted
  int32_t* text_sums;      // [columns]

  FusionBlock(const FusionAttention& a, Arena& arena) {
    x = arena.take<uint8_t>(a.has_own_x() ? kFusionBlock * a.depth() : 0);
    image = arena.take<float>(a.image == nullptr ? kFusionBlock * a.width : 0);
    x_transposed = arena.take<uint8_t>(a.width * kFusionBlock);
    x_sums = arena.take<int32_t>(a.width);
    score_rest = arena.take<float>(kFusionBlock);
    position_bias = arena.take<float>(kFusionBlock);
    scores = arena.take<float>(kFusionBlock * a.columns());
    powers = arena.take<float>(kStepDepth * a.columns());
    row_maximum = arena.take<float>(kFusionBlock);
    row_factor = arena.take<float>(kFusionBlock);
    maximum = arena.take<float>(a.columns());
    column_factor = arena.take<float>(a.columns());
    old_factor = arena.take<float>(a.columns());
    new_factor = arena.take<float>(a.columns());
    image_weights = arena.take<uint8_t>(kFusionBlock * a.image_depth());
    text_weights = arena.take<int8_t>(kFusionBlock * a.columns());
    text_sums = arena.take<int32_t>(a.columns());
  }
};

struct FusionKernels {
  // Packs what is made of the text.
  void (*prepare)(const FusionAttention&, FusionOperands&);
  // Computes the image's positions from `begin` to before `end`, and their sums for the text.
  void (*part)(const FusionAttention&, const FusionOperands&, int64_t begin, int64_t end, FusionSums&, FusionBlock&);
  // Computes the text's results of one head from the sums of all parts, which it overwrites.
  void (*merge)(const FusionAttention&, int64_t head, const FusionSums* parts, int64_t count);
};

}  // namespace dino8
