// Runs every standard operator of the engine (../engine/) on hostile nodes: any number of inputs of any types and dimensions, indices and sizes that
// are out of range, attributes of any values. Most nodes begin as one that fits its operator (fitting_inputs.h), of which something is then
// changed. An operator may refuse a node; it must not touch memory that is not its own, overflow, or leave a result out. kernels/fuzz.mjs builds this program with sanitizers and runs it.
//   fuzz_engine CASES SECONDS SEED [OPERATOR]
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "../engine/graph.h"
#include "../engine/operators.h"
#include "choices.h"
#include "fitting_inputs.h"

// The operators of the library have a program of their own (fuzz_operators.cpp).
dino8::engine::MakeOperator dino8::engine::find_library_operator(const std::string&) { return nullptr; }

using namespace dino8;
using namespace dino8::engine;

namespace {

constexpr int64_t kLargest = std::numeric_limits<int64_t>::max(), kLeast = std::numeric_limits<int64_t>::min();

// The most bytes of an input, so that a case is quick.
constexpr int64_t kMostBytes = 1 << 12;

Element any_element(Choices& choices) {
  return choices.one_of({Element::kFloat, Element::kFloat, Element::kFloat, Element::kInt64, Element::kInt64,
                         Element::kUint8, Element::kInt8, Element::kInt32, Element::kBool});
}

Shape any_shape(Choices& choices) {
  Shape shape;
  shape.rank = static_cast<size_t>(choices.once_in(12) ? choices.whole(0, 8) : choices.whole(0, 4));
  int64_t bytes = 8;
  for (size_t axis = 0; axis < shape.rank; axis++) {
    int64_t size = choices.one_of<int64_t>({1, 1, 2, 2, 3, 4, 5, 8, 17});
    if (choices.once_in(25)) size = 0;
    if (bytes * size > kMostBytes) size = 1;
    shape.dims[axis] = size;
    bytes *= size > 0 ? size : 1;
  }
  return shape;
}

int64_t any_integer(Choices& choices) {
  if (choices.once_in(20)) return choices.one_of<int64_t>({kLargest, kLeast, kLargest - 1, kLeast + 1, int64_t{1} << 31,
                                                           int64_t{1} << 32, -(int64_t{1} << 31), 1 << 20});
  return choices.once_in(4) ? choices.whole(-9, 9) : choices.whole(-1, 3);
}

float any_float(Choices& choices) {
  if (choices.once_in(8))
    return choices.one_of({0.0f, -0.0f, 1e-42f, 3e38f, -3e38f, std::numeric_limits<float>::infinity(),
                           -std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()});
  return static_cast<float>(choices.whole(-1000, 1000)) / 100;
}

void fill(Choices& choices, Element element, int64_t count, char* data) {
  for (int64_t at = 0; at < count; at++) switch (element) {
      case Element::kFloat:
        reinterpret_cast<float*>(data)[at] = any_float(choices);
        break;
      case Element::kInt32:
        reinterpret_cast<int32_t*>(data)[at] = static_cast<int32_t>(any_integer(choices));
        break;
      case Element::kInt64:
        reinterpret_cast<int64_t*>(data)[at] = any_integer(choices);
        break;
      case Element::kBool:
        data[at] = static_cast<char>(choices.whole(0, 1));
        break;
      default:
        data[at] = static_cast<char>(choices.whole(0, 255));
    }
}

// The names of attributes of the standard's operators.
const char* const kNames[] = {"axis",     "axes",     "keepdims", "noop_with_empty_axes", "perm",      "to",
                              "fmod",     "epsilon",  "mode",     "allowzero",            "start",     "end",
                              "largest",  "sorted",   "exclusive", "reverse",             "approximate", "group",
                              "strides",  "pads",     "dilations", "kernel_shape",        "auto_pad",  "num_outputs",
                              "batch_dims", "block_size", "stash_type", "align_corners",  "padding_mode", "transA",
                              "transB",   "alpha",    "beta",     "split",                "min",       "max",
                              "saturate", "output_dtype", "select_last_index", "value"};

Attribute any_attribute(Choices& choices) {
  Attribute attribute;
  attribute.name = kNames[choices.whole(0, static_cast<int64_t>(sizeof kNames / sizeof *kNames) - 1)];
  const int64_t count = choices.once_in(2) ? 1 : choices.whole(0, 6);
  switch (choices.whole(0, 4)) {
    case 0:
      for (int64_t at = 0; at < count; at++) attribute.floats.push_back(any_float(choices));
      break;
    case 1:
      attribute.text = choices.one_of({"", "tanh", "none", "constant", "reflect", "linear", "NOTSET", "SAME_UPPER", "zeros"});
      break;
    default:
      for (int64_t at = 0; at < count; at++) attribute.integers.push_back(any_integer(choices));
  }
  return attribute;
}

FuzzedNode any_node(Choices& choices) {
  FuzzedNode node;
  const bool is_alike = choices.once_in(2), has_one_type = choices.once_in(2);
  const Shape common = any_shape(choices);
  const Element common_type = any_element(choices);
  for (int64_t left = choices.whole(0, 6); left > 0; left--) {
    FuzzedInput input{has_one_type ? common_type : any_element(choices), is_alike ? common : any_shape(choices), {}, choices.once_in(15)};
    if (input.element == Element::kInt64 && choices.once_in(2)) input.shape = Shape{1, {choices.whole(0, 5)}};
    node.inputs.push_back(input);
  }
  for (int64_t left = choices.whole(0, 4); left > 0; left--) node.attributes.push_back(any_attribute(choices));
  return node;
}

// Changes something of a node that fits.
void change(FuzzedNode& node, Choices& choices) {
  const int64_t kind = choices.whole(0, 7);
  if (kind == 0 || node.inputs.empty()) return node.attributes.push_back(any_attribute(choices));
  const size_t index = static_cast<size_t>(choices.whole(0, static_cast<int64_t>(node.inputs.size()) - 1));
  FuzzedInput& input = node.inputs[index];
  if (kind == 1) input.is_left_out = true;
  if (kind == 2) input.element = any_element(choices);
  if (kind == 3) input.shape = any_shape(choices), input.integers.clear();
  if (kind == 4) node.inputs.pop_back();
  if (kind == 5) node.inputs.push_back(FuzzedInput(input));
  if (kind == 6) input.integers.clear();
  if (kind != 7) return;
  if (!input.integers.empty() && choices.once_in(2))
    input.integers[static_cast<size_t>(choices.whole(0, static_cast<int64_t>(input.integers.size()) - 1))] = any_integer(choices);
  else if (!node.attributes.empty() && !node.attributes.back().integers.empty() && choices.once_in(2))
    node.attributes.back().integers[0] = any_integer(choices);
  else if (input.shape.rank > 0)
    input.shape.dims[choices.whole(0, static_cast<int64_t>(input.shape.rank) - 1)] = choices.whole(0, 5);
}

FuzzedNode node_for(const OperatorEntry& entry, Choices& choices) {
  if (choices.once_in(4)) return any_node(choices);
  FuzzedNode node = FittingInputs(choices).of(entry.type);
  for (int64_t left = choices.once_in(2) ? choices.whole(1, 2) : 0; left > 0; left--) change(node, choices);
  return node;
}

void fill(Choices& choices, const FuzzedInput& input, char* data) {
  const int64_t count = input.shape.count();
  fill(choices, input.element, count, data);
  for (int64_t at = 0; at < std::min(count, static_cast<int64_t>(input.integers.size())); at++) {
    const int64_t number = input.integers[static_cast<size_t>(at)];
    if (input.element == Element::kInt64) reinterpret_cast<int64_t*>(data)[at] = number;
    if (input.element == Element::kInt32) reinterpret_cast<int32_t*>(data)[at] = static_cast<int32_t>(number);
    if (input.element == Element::kFloat) reinterpret_cast<float*>(data)[at] = static_cast<float>(number);
  }
}

// Runs one node. Returns true if it was not refused.
bool run_case(const OperatorEntry& entry, Choices& choices) {
  FuzzedNode chosen = node_for(entry, choices);
  const auto inputs = static_cast<int32_t>(chosen.inputs.size()), outputs = static_cast<int32_t>(choices.whole(1, 3));
  Graph graph(inputs + outputs);
  Node node;
  node.domain = entry.domain, node.type = entry.type, node.name = "fuzzed";
  node.opset = choices.one_of<int64_t>({21, 21, 17, 13, 11, 1});
  node.attributes = std::move(chosen.attributes);

  std::vector<ValueNumber> read, written, fed;
  for (int32_t index = 0; index < inputs; index++) {
    const FuzzedInput& input = chosen.inputs[static_cast<size_t>(index)];
    if (input.is_left_out) {
      read.push_back(kNoValue);
      continue;
    }
    read.push_back(index);
    if (choices.once_in(2)) {
      char* data = graph.add_constant(index, input.element, input.shape);
      if (data == nullptr) return false;
      fill(choices, input, data);
    } else if (graph.add_input(index, choices.once_in(3))) {
      fed.push_back(index);
    }
  }
  for (int32_t index = 0; index < outputs; index++) written.push_back(inputs + index);
  if (!graph.add_node(std::move(node), read, written, choices.once_in(3))) return false;
  for (const ValueNumber output : written)
    if (!choices.once_in(3) && !graph.add_output(output)) return false;
  if (!graph.finish()) return false;
  bool has_run = false;
  const int64_t runs = choices.whole(1, 3);
  const bool repeats = choices.once_in(2);  // the same numbers in each run, so that what is kept is used
  const Choices before = choices;
  for (int64_t run = 0; run < runs; run++) {
    if (repeats) choices = before;
    for (const ValueNumber value : fed) {
      const FuzzedInput& input = chosen.inputs[static_cast<size_t>(value)];
      char* data = graph.set_input(value, input.element, input.shape);
      if (data == nullptr) return false;
      fill(choices, input, data);
    }
    has_run = graph.run(0, graph.nodes());
    // Every byte of a result is read, so that the sanitizer sees one that is not there.
    unsigned sum = 0;
    for (const ValueNumber output : written)
      if (const Tensor* tensor = graph.value(output))
        for (int64_t at = 0; at < tensor->shape.count() * static_cast<int64_t>(bytes_of(tensor->element)); at++)
          sum += static_cast<unsigned char>(tensor->memory.get()[at]);
    volatile unsigned seen = sum;
    static_cast<void>(seen);
    graph.end_run();
  }
  return has_run;
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 4) return 2;
  const auto cases = std::strtoll(arguments[1], nullptr, 10), seconds = std::strtoll(arguments[2], nullptr, 10);
  const auto seed = static_cast<uint64_t>(std::strtoll(arguments[3], nullptr, 10));
  const std::string wanted = count > 4 ? arguments[4] : "";
  std::vector<OperatorEntry> entries;
  for (const OperatorTable& table : standard_operators())
    for (size_t index = 0; index < table.count; index++)
      if (wanted.empty() || wanted == table.entries[index].type) entries.push_back(table.entries[index]);
  if (entries.empty()) return std::fprintf(stderr, "There is no operator %s.\n", wanted.c_str()), 2;
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
  std::map<std::string, int64_t> accepted;
  int64_t done = 0;
  for (; done < cases && std::chrono::steady_clock::now() < end; done++) {
    Choices choices(seed * 1000003 + static_cast<uint64_t>(done));
    const OperatorEntry& entry = entries[static_cast<size_t>(done) % entries.size()];
    accepted[entry.type] += run_case(entry, choices) ? 1 : 0;
  }
  int64_t all = 0;
  for (const auto& [type, times] : accepted) {
    all += times;
    if (times == 0) std::printf("  no case of %s got past its checks\n", type.c_str());
  }
  std::printf("%lld cases of %zu operators of the engine, of which %lld ran: no fault\n", static_cast<long long>(done),
              entries.size(), static_cast<long long>(all));
  return 0;
}
