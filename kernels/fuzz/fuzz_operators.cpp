// Runs every operator of the library on hostile inputs: shapes that contradict each other, empty tensors with dimensions
// whose product overflows, inputs and outputs that are left out, constants that are none, and numbers that are infinite, not
// numbers, negative, denormal or very large. Each case starts from inputs that fit the operator, and spoils some of them, so
// that cases get past the first check. An operator may refuse a case; it must not touch memory that is not its own, throw, or
// leave a part of a result unwritten. kernels/fuzz.mjs builds this program with sanitizers and runs it.
//   fuzz_operators CASES SECONDS SEED [OPERATOR]
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <string>

#include "../cpu_path.h"
#include "../operator_names.h"
#include "../packed_weight.h"
#include "choices.h"
#include "stand_in_runtime.h"

using namespace dino8;

namespace {

// An input before it becomes a tensor.
struct Input {
  std::vector<int64_t> dims;
  std::vector<int64_t> integers = {};  // the numbers of an input of integers of 64 bits
  bool is_scale = false;               // positive numbers, unless they are spoiled
  bool is_left_out = false;
  bool is_constant = true;
};

using Inputs = std::vector<Input>;

Input one_number(bool is_scale) { return {{}, {}, is_scale}; }

// Scale and zero point.
void add_range(Inputs& inputs) {
  inputs.push_back(one_number(true));
  inputs.push_back(one_number(false));
}

// A weight in panels, its scale and a bias.
void add_weight(Choices& choices, int64_t depth, int64_t columns, Inputs& inputs) {
  inputs.push_back({{(columns + kPanelColumns - 1) / kPanelColumns, depth / kStepDepth, kPanelColumns, kStepDepth}});
  inputs.push_back(choices.once_in(2) ? Input{{columns}, {}, true} : one_number(true));
  inputs.push_back({{columns}});
}

// The inputs of a layer, see prepared_layer.h.
void add_layer(Choices& choices, int64_t depth, int64_t columns, Inputs& inputs) {
  add_range(inputs);
  add_weight(choices, depth, columns, inputs);
}

std::vector<int64_t> some_rows(Choices& choices, int64_t columns) {
  std::vector<int64_t> dims;
  for (int64_t axes = choices.whole(0, 3); axes > 0; axes--) dims.push_back(choices.whole(axes == 3 ? 0 : 1, 4));
  dims.push_back(columns);
  return dims;
}

// A shape that broadcasts with `dims`, often the same one. The last dimension stays.
std::vector<int64_t> broadcastable(Choices& choices, std::vector<int64_t> dims) {
  if (!choices.once_in(3)) return dims;
  for (size_t axis = 0; axis + 1 < dims.size(); axis++)
    if (choices.once_in(2)) dims[axis] = 1;
  if (choices.once_in(3)) dims.insert(dims.begin(), choices.whole(1, 3));
  else if (dims.size() > 1 && choices.once_in(3)) dims.erase(dims.begin());
  return dims;
}

// The inputs of deformable attention, with or without those that are behind the offsets and the logits.
Inputs deformable_attention(Choices& choices, const std::string& name) {
  const auto has = [&](const char* part) { return name.find(part) != std::string::npos; };
  const int64_t batch = choices.whole(1, 2), heads = choices.whole(1, 3), size = choices.whole(0, 36);
  const int64_t queries = choices.whole(0, 6), levels = choices.whole(1, 3), points = choices.whole(1, 5);
  int64_t positions = 0;
  std::vector<int64_t> shapes;
  for (int64_t level = 0; level < levels; level++) {
    shapes.push_back(choices.whole(1, 5)), shapes.push_back(choices.whole(1, 5));
    positions += shapes[shapes.size() - 2] * shapes.back();
  }
  Inputs inputs = {{{batch, positions, heads, size}}};
  add_range(inputs);
  inputs.push_back({{levels, 2}, shapes});
  inputs.push_back({{batch, queries, levels, 2}});
  inputs.push_back({{choices.once_in(2) ? 1 : batch, choices.once_in(2) ? 1 : queries, levels, 2}});
  if (has(kProjectedDeformableAttention)) {
    const int64_t depth = 4 * choices.whole(1, 20), samples = heads * levels * points;
    inputs.push_back({{batch, queries, depth}});
    add_range(inputs);
    add_weight(choices, depth, 2 * samples, inputs), add_weight(choices, depth, samples, inputs);
  } else {
    inputs.push_back({{batch, queries, heads, levels, points, 2}});
    inputs.push_back({{batch, queries, heads, levels * points}});
  }
  if (has("Gradient")) inputs.push_back({{batch, queries, heads * size}});
  if (has(kQuantized)) add_range(inputs);
  return inputs;
}

Inputs add_quantized(Choices& choices) {
  const auto dims = some_rows(choices, choices.whole(0, 40));
  Inputs inputs = {{broadcastable(choices, dims)}, {broadcastable(choices, dims)}};
  add_range(inputs);
  return inputs;
}

// The variants of linear_block_op.cpp, by their names.
Inputs linear_block(Choices& choices, const std::string& name) {
  const auto has = [&](const char* part) { return name.find(part) != std::string::npos; };
  const bool has_norm_before = has("Norm") && !has("AddNorm");
  const int64_t depth = 4 * choices.whole(1, 20), hidden = 4 * choices.whole(1, 12);
  const bool has_second = has("FeedForward");
  const int64_t columns = has_norm_before && has_second ? depth : choices.whole(1, 70);
  const auto rows = some_rows(choices, depth);
  Inputs inputs = {{rows}};
  add_layer(choices, depth, has_second ? hidden : columns, inputs);
  if (has_second) add_layer(choices, hidden, columns, inputs);
  auto result = rows;
  result.back() = columns;
  if (has("AddNorm")) inputs.push_back({broadcastable(choices, result)});
  const int64_t normed = has_norm_before ? depth : columns;
  if (has("Norm")) inputs.push_back({{normed}}), inputs.push_back({{normed}});
  if (has("Scaled")) {
    auto factors = broadcastable(choices, result);
    factors.back() = 1;
    inputs.push_back({factors});
  }
  for (int range = 0; range < (has(kRounded) ? 3 : 0); range++) add_range(inputs);
  if (has(kQuantized)) add_range(inputs);
  return inputs;
}

Inputs projection_feed_forward(Choices& choices, bool is_quantized) {
  const int64_t depth = 4 * choices.whole(1, 12), columns = 4 * choices.whole(1, 20), hidden = 4 * choices.whole(1, 12);
  const auto add_norm = [&](Inputs& inputs) { inputs.insert(inputs.end(), 2, {{columns}}); };
  Inputs inputs = {{some_rows(choices, depth)}};
  add_layer(choices, depth, columns, inputs);
  auto result = inputs[0].dims;
  result.back() = columns;
  inputs.push_back({broadcastable(choices, result)});
  add_norm(inputs);
  add_layer(choices, columns, hidden, inputs);
  add_layer(choices, hidden, columns, inputs);
  add_norm(inputs);
  if (is_quantized) add_range(inputs);
  return inputs;
}

Inputs window_attention(Choices& choices, bool has_byte_products, bool is_rounded) {
  const int64_t heads = choices.whole(1, 3), channels = 4 * heads * choices.whole(1, 6), window = choices.whole(1, 6);
  const int64_t tokens = window * window;
  Inputs inputs = {{{choices.whole(0, 2), choices.whole(0, 9), choices.whole(1, 9), channels}}, {{channels}}, {{channels}}};
  add_layer(choices, channels, 3 * channels, inputs);
  inputs.push_back({{heads, tokens, tokens}});
  add_layer(choices, channels, channels, inputs);
  inputs.push_back(one_number(true));
  inputs.push_back({{}, {window}});
  inputs.push_back({{}, {choices.whole(0, window - 1)}});
  for (int range = 0; range < (has_byte_products ? 3 : 0) + (is_rounded ? 3 : 0); range++) add_range(inputs);
  return inputs;
}

Inputs fusion_attention(Choices& choices, bool has_norm, bool is_quantized, bool has_sum, bool has_table) {
  const int64_t size = choices.whole(1, 40), parts = choices.whole(1, 2), width = size * parts;
  const int64_t batch = choices.whole(1, 2), heads = choices.whole(1, 3);
  const int64_t tokens = choices.whole(1, 20), positions = choices.once_in(6) ? choices.whole(250, 530) : choices.whole(0, 20);
  const auto images = [&] { return choices.once_in(3) ? 1 : batch; };
  Inputs inputs = {{{images(), positions, width}}};
  add_range(inputs);
  inputs.push_back({{images(), width, heads * tokens}});
  add_range(inputs);
  inputs.push_back({{images(), 1, heads, tokens}});
  inputs.push_back({{images(), 1, choices.once_in(2) ? 1 : positions}});
  add_range(inputs);
  inputs.push_back({{images(), heads * tokens, width}});
  add_range(inputs);
  for (int vector = 0; vector < (has_norm ? 3 : 1); vector++) inputs.push_back({{width}});
  if (is_quantized) add_range(inputs);
  if (has_sum) inputs.push_back({{images(), positions, width}}), add_range(inputs);
  if (!has_table) return inputs;
  const int64_t rows = choices.whole(1, 30);
  inputs.push_back({{batch, rows, size}}), add_range(inputs);
  inputs.push_back({{batch, positions * parts, 1}});
  for (int64_t at = 0; at < batch * positions * parts; at++) inputs.back().integers.push_back(choices.whole(-rows, rows - 1));
  return inputs;
}

Inputs multi_head_attention(Choices& choices, bool is_integer, bool is_quantized) {
  const int64_t batch = choices.whole(1, 2), heads = choices.whole(1, 3), size = choices.whole(0, 40);
  const int64_t queries = choices.whole(0, 40), keys = choices.whole(0, 40);
  const auto one_or = [&](int64_t count) { return choices.once_in(2) ? 1 : count; };
  Inputs inputs;
  for (const int64_t rows : {queries, keys, keys}) {
    inputs.push_back({{batch, rows, heads * size}});
    if (is_integer) add_range(inputs);
  }
  inputs.push_back({{one_or(batch), one_or(heads), one_or(queries), one_or(keys)}});
  inputs.push_back(one_number(true));
  inputs.push_back({{1}, {heads}});
  if (is_quantized) add_range(inputs);
  return inputs;
}

Inputs group_norm_levels(Choices& choices) {
  const int64_t images = choices.whole(1, 2), groups = choices.whole(1, 4), channels = groups * choices.whole(1, 20);
  Inputs inputs;
  for (int level = 0; level < 4; level++) {
    inputs.push_back({{images, choices.whole(1, 6), choices.once_in(8) ? choices.whole(200, 400) : choices.whole(1, 6), channels}});
    add_range(inputs);
    for (int vector = 0; vector < 2; vector++) inputs.push_back({{channels}});
  }
  inputs.push_back({{1}, {groups}});
  return inputs;
}

Inputs patch_embedding(Choices& choices) {
  const int64_t patch = 2 * choices.whole(1, 3), colours = choices.whole(1, 3), columns = choices.whole(1, 70);
  Inputs inputs = {{{choices.whole(0, 2), colours, choices.whole(0, 20), choices.whole(0, 40)}}};
  add_layer(choices, colours * patch * patch, columns, inputs);
  for (int vector = 0; vector < 2; vector++) inputs.push_back({{columns}});
  inputs.push_back({{}, {patch}});
  return inputs;
}

Inputs patch_merging(Choices& choices) {
  const int64_t channels = choices.whole(1, 20), depth = 4 * channels;
  Inputs inputs = {{{choices.whole(0, 2), choices.whole(0, 9), choices.whole(0, 9), channels}}};
  add_layer(choices, depth, choices.whole(1, 70), inputs);
  for (int vector = 0; vector < 2; vector++) inputs.push_back({{depth}});
  return inputs;
}

Inputs sine_embedding(Choices& choices, bool is_quantized) {
  Inputs inputs = {{some_rows(choices, 1)}, {{choices.whole(0, 40)}, {}, true}};
  if (is_quantized) add_range(inputs);
  return inputs;
}

Inputs proposal_scores(Choices& choices) {
  const int64_t batch = choices.whole(1, 3), positions = choices.whole(0, 110), depth = 4 * choices.whole(1, 20);
  const int64_t width = choices.whole(1, 70), tokens = choices.whole(0, 150);
  const auto one_or_batch = [&] { return choices.once_in(3) ? 1 : batch; };
  Inputs inputs = {{{one_or_batch(), positions, depth}}, {{one_or_batch(), positions, 1}}};
  add_layer(choices, depth, width, inputs);
  for (int norm = 0; norm < 2; norm++) inputs.push_back({{width}});
  inputs.push_back({{one_or_batch(), width, tokens}});
  inputs.push_back({{one_or_batch(), 1, tokens}});
  return inputs;
}

Inputs observe(Choices& choices) {
  auto dims = some_rows(choices, choices.whole(0, 70));
  if (choices.once_in(50)) dims.insert(dims.begin(), choices.whole(500, 2000));
  std::vector<int64_t> flags(dims.begin(), dims.end() - 1);
  if (choices.once_in(2)) flags.resize(std::min<size_t>(flags.size(), 1));
  return {{dims}, {flags}, one_number(true)};
}

Inputs fake_quantize(Choices& choices, bool is_gradient) {
  const auto dims = some_rows(choices, choices.whole(0, 40));
  std::vector<int64_t> scales(dims.size(), 1);
  if (choices.once_in(2)) {
    const auto axis = static_cast<size_t>(choices.whole(0, static_cast<int64_t>(dims.size()) - 1));
    scales[axis] = dims[axis];
  }
  Inputs inputs = {{dims}, {scales, {}, true}, {choices.once_in(2) ? scales : std::vector<int64_t>{}}};
  for (int scalar = 0; scalar < 4; scalar++) inputs.push_back(one_number(true));
  if (is_gradient) inputs.push_back({dims});
  return inputs;
}

Inputs row_gradient(Choices& choices, bool is_normalization) {
  const int64_t channels = choices.whole(0, 70);
  const auto dims = some_rows(choices, channels);
  if (!is_normalization) return {{dims}, {dims}};
  return {{dims}, {{channels}}, one_number(true), {dims}};
}

// Inputs that fit the operator. Every operator of the library must be named here.
Inputs fitting_inputs(Choices& choices, const std::string& name) {
  const auto has = [&](const char* part) { return name.find(part) != std::string::npos; };
  if (has(kDeformableAttention) || has(kProjectedDeformableAttention)) return deformable_attention(choices, name);
  if (has(kProjectionFeedForward)) return projection_feed_forward(choices, has(kQuantized));
  if (has("FeedForward") || has(kIntegerLinear)) return linear_block(choices, name);
  if (has(kWindowAttention)) return window_attention(choices, has(kIntegerWindowAttention), has(kRounded));
  if (has(kFusionAttention)) return fusion_attention(choices, has("Norm"), has(kQuantized), has(kAndSum), has(kAndGatheredSum));
  if (has(kMultiHeadAttention)) return multi_head_attention(choices, has(kIntegerMultiHeadAttention), has(kQuantized));
  if (has(kGroupNormLevels)) return group_norm_levels(choices);
  if (has(kPatchEmbedding)) return patch_embedding(choices);
  if (has(kPatchMerging)) return patch_merging(choices);
  if (has(kSineEmbedding)) return sine_embedding(choices, has(kQuantized));
  if (has(kProposalScores)) return proposal_scores(choices);
  if (has(kObserve)) return observe(choices);
  if (has(kFakeQuantize)) return fake_quantize(choices, has("Gradient"));
  if (name == kLayerNormalizationGradient || name == kSoftmaxGradient)
    return row_gradient(choices, name == kLayerNormalizationGradient);
  if (name == std::string(kAdd) + kQuantized) return add_quantized(choices);
  std::printf("There are no fitting inputs for the operator %s; add them to fuzz_operators.cpp.\n", name.c_str());
  std::exit(1);
}

// Sizes that programs forget.
int64_t odd_size(Choices& choices) {
  return choices.one_of<int64_t>({0, 0, 1, 2, 3, 15, 16, 17, int64_t{1} << 31, int64_t{1} << 33, int64_t{1} << 40,
                                  (int64_t{1} << 62) + 1, std::numeric_limits<int64_t>::max()});
}

int64_t odd_integer(Choices& choices) {
  return choices.one_of<int64_t>({0, 1, -1, 2, 32768, 46341, 65536, 2147483647, 2147483648, 3037000500,
                                  std::numeric_limits<int64_t>::max(), std::numeric_limits<int64_t>::min()});
}

void spoil(Choices& choices, Input& input) {
  auto& dims = input.dims;
  const auto axis = static_cast<size_t>(choices.whole(0, std::max<int64_t>(static_cast<int64_t>(dims.size()) - 1, 0)));
  switch (choices.whole(0, 8)) {
    case 0:
    case 1:
      if (!dims.empty()) dims[axis] = odd_size(choices);
      break;
    case 2:
      if (!dims.empty() && dims[axis] <= kMostBytes) dims[axis] += choices.whole(0, 1) * 2 - 1;
      break;
    case 3:
      dims.insert(dims.begin() + static_cast<std::ptrdiff_t>(axis), odd_size(choices));
      break;
    case 4:
      if (!dims.empty()) dims.erase(dims.begin() + static_cast<std::ptrdiff_t>(axis));
      break;
    case 5:
      if (choices.once_in(4)) input.is_left_out = true;
      break;
    case 6:
      if (choices.once_in(4)) input.is_constant = false;
      break;
    case 7:
      if (choices.once_in(4)) dims.resize(static_cast<size_t>(choices.whole(0, 10)), 1);
      break;
    default:
      if (!input.integers.empty())
        input.integers[static_cast<size_t>(choices.whole(0, static_cast<int64_t>(input.integers.size()) - 1))] =
            odd_integer(choices);
  }
  for (int64_t& size : dims) size = std::max<int64_t>(size, 0);
}

float odd_float(Choices& choices) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  return choices.one_of<float>({kInfinity, -kInfinity, std::nanf(""), 0, -0.0f, 1e-42f, -1e-42f, 3.4e38f, -3.4e38f, 1e-30f,
                                -1, 2147483648.0f, -2147483904.0f, 9.3e18f});
}

void fill(Choices& choices, const Input& input, bool is_hostile, OrtValue& value) {
  Choices numbers(choices.number());
  const int64_t count = value.bytes / element_bytes(value.element_type);
  char* const memory = value.memory.get();
  if (value.element_type == kFloatElement) {
    auto* const floats = reinterpret_cast<float*>(memory);
    const float most = is_hostile && choices.once_in(4) ? 1e20f : input.is_scale ? 0.25f : 3.0f;
    const int64_t rate = !is_hostile ? 0 : choices.one_of<int64_t>({0, 1, 2, 20});
    for (int64_t at = 0; at < count; at++) {
      const float number = static_cast<float>(numbers.whole(1, 1 << 20)) / (1 << 20) * most;
      floats[at] = rate > 0 && numbers.once_in(rate) ? odd_float(numbers)
                   : input.is_scale || numbers.once_in(2) ? number
                                                          : -number;
    }
  } else if (value.element_type == kInt64Element) {
    auto* const integers = reinterpret_cast<int64_t*>(memory);
    for (int64_t at = 0; at < count; at++)
      integers[at] = at < static_cast<int64_t>(input.integers.size()) ? input.integers[static_cast<size_t>(at)]
                                                                       : odd_integer(numbers);
  } else {
    // A boolean of ONNX Runtime may have any byte.
    const bool is_extreme = is_hostile && choices.once_in(4);
    for (int64_t at = 0; at < value.bytes; at++)
      memory[at] = static_cast<char>(is_extreme ? numbers.one_of<int64_t>({0, 255, 128, 127}) : numbers.whole(0, 255));
  }
}

// The numbers of cases that were computed, and of those that were refused.
struct Outcome {
  int64_t computed = 0, refused = 0;
};

void release(OrtStatus* status, Outcome& outcome) {
  (status == nullptr ? outcome.computed : outcome.refused)++;
  delete status;
}

void run_case(Choices& choices, const OrtCustomOp& op, Outcome& outcome) {
  const auto& paths = cpu_paths();
  const auto path = static_cast<size_t>(choices.whole(0, static_cast<int64_t>(paths.size()) - 1));
  setenv(kPathVariable, paths[path].name, 1);
  const std::string name = op.GetName(&op);
  Inputs inputs = fitting_inputs(choices, name);
  if (inputs.size() != op.GetInputTypeCount(&op)) {
    std::printf("The fitting inputs of %s are %zu, but the operator has %zu.\n", name.c_str(), inputs.size(),
                op.GetInputTypeCount(&op));
    std::exit(1);
  }
  const bool is_hostile = !choices.once_in(4);
  if (choices.once_in(2))
    for (int64_t times = choices.whole(1, 3); times > 0; times--)
      spoil(choices, inputs[static_cast<size_t>(choices.whole(0, static_cast<int64_t>(inputs.size()) - 1))]);

  OrtKernelInfo node;
  if (!choices.once_in(30)) node.attributes["epsilon"] = choices.once_in(8) ? odd_float(choices) : 1e-5f;
  OrtKernelContext context;
  std::vector<std::unique_ptr<OrtValue>> tensors;
  for (size_t index = 0; index < inputs.size(); index++) {
    Input& input = inputs[index];
    const int type = op.GetInputType(&op, index);
    // A tensor that does not fit into memory is made empty, as only an empty tensor can have such dimensions.
    if (!tensor_bytes(input.dims, type)) input.dims[static_cast<size_t>(choices.whole(0, static_cast<int64_t>(input.dims.size()) - 1))] = 0;
    tensors.push_back(make_tensor(type, input.dims, 0));
    fill(choices, input, is_hostile, *tensors.back());
    const OrtValue* value = input.is_left_out ? nullptr : tensors.back().get();
    context.inputs.push_back(value);
    node.constants.push_back(input.is_constant ? value : nullptr);
  }
  for (size_t index = 0; index < op.GetOutputTypeCount(&op); index++) {
    context.output_types.push_back(op.GetOutputType(&op, index));
    context.is_output_wanted.push_back(!choices.once_in(40));
  }

  void* kernel = nullptr;
  if (OrtStatus* status = op.CreateKernelV2(&op, stand_in_table(), &node, &kernel)) return release(status, outcome);
  // Bytes that an operator leaves unwritten differ between two runs whose outputs begin with different bytes. In the second run, a
  // result that may take the place of an input does, unless that is a constant.
  std::vector<std::unique_ptr<OrtValue>> before;
  bool is_computed = true;
  for (const int filling : {0x5a, 0xa5}) {
    context.filling = filling;
    context.outputs.clear();
    context.outputs.resize(context.output_types.size());
    if (filling == 0xa5 && op.GetMayInplace != nullptr) {
      int *overwritten, *output;
      op.GetMayInplace(&overwritten, &output);
      const auto index = static_cast<size_t>(*overwritten);
      if (context.inputs[index] != nullptr && node.constants[index] == nullptr) context.overwritten = tensors[index].get();
      context.overwriting_output = static_cast<size_t>(*output);
      op.ReleaseMayInplace(overwritten, output);
    }
    OrtStatus* const status = op.KernelComputeV2(kernel, &context);
    is_computed = is_computed && status == nullptr;
    if (filling == 0x5a) {
      release(status, outcome);
      before = std::move(context.outputs);
      if (!is_computed || !choices.once_in(4)) break;
      continue;
    }
    delete status;
    for (size_t index = 0; is_computed && index < before.size(); index++) {
      const OrtValue* const first = before[index].get();
      const OrtValue* second = context.outputs[index].get();
      if (first != nullptr && second == nullptr && index == context.overwriting_output) second = context.overwritten;
      if ((first == nullptr) != (second == nullptr) ||
          (first != nullptr && first->bytes > 0 &&
           (first->dims != second->dims ||
            std::memcmp(first->memory.get(), second->memory.get(), static_cast<size_t>(first->bytes)) != 0))) {
        std::printf("%s left a part of output %zu unwritten, or computed it differently a second time.\n", name.c_str(), index);
        std::abort();
      }
    }
  }
  op.KernelDestroy(kernel);
}

// The operators whose names are `wanted`; all if it is empty.
std::vector<const OrtCustomOp*> operators_named(const std::string& wanted) {
  setenv(kPathVariable, "scalar", 1);  // the operators of linear layers are registered where an instruction set is named
  std::vector<const OrtCustomOp*> named;
  for (const OrtCustomOp* op : registered_operators(true))
    if (wanted.empty() || wanted == op->GetName(op)) named.push_back(op);
  if (named.empty()) {
    std::printf("There is no operator %s.\n", wanted.c_str());
    std::exit(1);
  }
  return named;
}

}  // namespace

#ifdef DINO8_LIBFUZZER

// With DINO8_FUZZ_LIST it only prints the names of the operators, each of which is a target of its own.
extern "C" int LLVMFuzzerInitialize(int*, char***) {
  if (std::getenv("DINO8_FUZZ_LIST") == nullptr) return 0;
  for (const OrtCustomOp* op : operators_named("")) std::puts(op->GetName(op));
  std::exit(0);
}

// DINO8_FUZZ_OPERATOR names the operator of this target; without it each case chooses one.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t count) {
  const char* wanted = std::getenv("DINO8_FUZZ_OPERATOR");
  static const std::vector<const OrtCustomOp*> ops = operators_named(wanted == nullptr ? "" : wanted);
  static Outcome outcome;
  Choices choices(count, bytes, count);
  run_case(choices, *ops[static_cast<size_t>(choices.whole(0, static_cast<int64_t>(ops.size()) - 1))], outcome);
  return 0;
}

#else

int main(int count, char** arguments) {
  if (count < 4) return 2;
  const int64_t cases = std::atoll(arguments[1]);
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(std::atoll(arguments[2]));
  const auto seed = static_cast<uint64_t>(std::atoll(arguments[3]));
  const std::vector<const OrtCustomOp*> ops = operators_named(count > 4 ? arguments[4] : "");
  const auto without_training = registered_operators(false);
  for (const OrtCustomOp* op : without_training)
    for (const char* name : {kObserve, kFakeQuantize, kFakeQuantizeGradient, kLayerNormalizationGradient, kSoftmaxGradient,
                             kDeformableAttentionGradient})
      if (std::strcmp(op->GetName(op), name) == 0) {
        std::printf("%s is registered in sessions that do not ask for it.\n", name);
        return 1;
      }
  std::vector<Outcome> outcomes(ops.size());
  int64_t done = 0;
  for (; done < cases && (done % 64 != 0 || std::chrono::steady_clock::now() < end); done++) {
    const uint64_t number = seed + static_cast<uint64_t>(done);
    Choices choices(number * 0x2545f4914f6cdd1d + 1);
    const size_t index = number % ops.size();
    run_case(choices, *ops[index], outcomes[index]);
  }
  int64_t never = 0;
  for (size_t index = 0; index < ops.size(); index++) {
    const auto [computed, refused] = outcomes[index];
    std::printf("  %-72s %8lld computed, %8lld refused\n", ops[index]->GetName(ops[index]),
                static_cast<long long>(computed), static_cast<long long>(refused));
    if (computed == 0 && done >= 100 * static_cast<int64_t>(ops.size())) never++;
  }
  std::printf("%lld cases of %zu operators: no fault\n", static_cast<long long>(done), ops.size());
  if (never > 0) std::printf("%lld operators refused every case, so that their computation was not tested\n", static_cast<long long>(never));
  return never > 0 ? 1 : 0;
}

#endif
