// The functions that the module exports to JavaScript. Numbers of values are those that the caller gives to the values of its graph; texts are bytes of the
// module's memory, as `dino8_allocate` returns it. src/web/engine/engine-functions.ts has the same functions with types.
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "graph.h"
#include "operators.h"

#if defined(__wasm__)
#define DINO8_ENGINE_EXPORT(name) extern "C" __attribute__((export_name(#name)))
#else
#define DINO8_ENGINE_EXPORT(name) extern "C" __attribute__((visibility("default")))
#endif

using namespace dino8::engine;

namespace {

// A graph, and the node that is being described.
struct OpenGraph {
  explicit OpenGraph(int32_t values) : graph(values) {}

  Graph graph;
  Node node;
  std::vector<ValueNumber> inputs, outputs;
  bool is_kept = false;
};

Shape shape_of(const int32_t* dims, int32_t rank) {
  Shape shape;
  shape.rank = static_cast<size_t>(rank);  // more than kMaxRank is refused by is_possible
  if (rank >= 0 && shape.rank <= kMaxRank)
    for (size_t axis = 0; axis < shape.rank; axis++) shape.dims[axis] = dims[axis];
  return shape;
}

}  // namespace

// Memory for texts and dimensions, to be released by `dino8_release`; null if there is not enough.
DINO8_ENGINE_EXPORT(dino8_allocate) void* dino8_allocate(size_t bytes) { return std::malloc(bytes); }
DINO8_ENGINE_EXPORT(dino8_release) void dino8_release(void* memory) { std::free(memory); }

// 1 if the engine has an operator, which it then takes in place of a function of this name.
DINO8_ENGINE_EXPORT(dino8_has_operator)
int32_t dino8_has_operator(const char* domain, size_t domain_bytes, const char* type, size_t type_bytes) {
  return find_operator(std::string(domain, domain_bytes), std::string(type, type_bytes)) != nullptr;
}

// A graph of so many values; null if that is not possible.
DINO8_ENGINE_EXPORT(dino8_graph_create) OpenGraph* dino8_graph_create(int32_t values) {
  return values >= 0 && values <= kMostValues ? new OpenGraph(values) : nullptr;
}
DINO8_ENGINE_EXPORT(dino8_graph_release) void dino8_graph_release(OpenGraph* open) { delete open; }

// The sentence that says what is wrong, after a function returned 0. Its bytes end with a 0.
DINO8_ENGINE_EXPORT(dino8_graph_problem) const char* dino8_graph_problem(const OpenGraph* open) {
  return open->graph.problem().c_str();
}

// The numbers of an input that is steady are the same in most runs.
DINO8_ENGINE_EXPORT(dino8_graph_input)
int32_t dino8_graph_input(OpenGraph* open, int32_t value, int32_t is_steady) {
  return open->graph.add_input(value, is_steady != 0);
}
DINO8_ENGINE_EXPORT(dino8_graph_output) int32_t dino8_graph_output(OpenGraph* open, int32_t value) {
  return open->graph.add_output(value);
}
// Where to write the elements of a constant.
DINO8_ENGINE_EXPORT(dino8_graph_constant)
char* dino8_graph_constant(OpenGraph* open, int32_t value, int32_t element, const int32_t* dims, int32_t rank) {
  return open->graph.add_constant(value, static_cast<Element>(element), shape_of(dims, rank));
}

// A node is described by these functions, and added by the last one. Its inputs and outputs come in order, -1 where one is left out. One that
// is kept runs again only if inputs have other types or sizes than in the run before, or steady ones other numbers, or if that run
// did not come to its end.
DINO8_ENGINE_EXPORT(dino8_node_begin) void dino8_node_begin(OpenGraph* open, int32_t opset, int32_t is_kept) {
  open->node = {}, open->inputs.clear(), open->outputs.clear();
  open->is_kept = is_kept != 0;
  open->node.opset = opset;
}
DINO8_ENGINE_EXPORT(dino8_node_domain) void dino8_node_domain(OpenGraph* open, const char* text, size_t bytes) {
  open->node.domain.assign(text, bytes);
}
DINO8_ENGINE_EXPORT(dino8_node_type) void dino8_node_type(OpenGraph* open, const char* text, size_t bytes) {
  open->node.type.assign(text, bytes);
}
DINO8_ENGINE_EXPORT(dino8_node_name) void dino8_node_name(OpenGraph* open, const char* text, size_t bytes) {
  open->node.name.assign(text, bytes);
}
DINO8_ENGINE_EXPORT(dino8_node_input) void dino8_node_input(OpenGraph* open, int32_t value) {
  open->inputs.push_back(value);
}
DINO8_ENGINE_EXPORT(dino8_node_output) void dino8_node_output(OpenGraph* open, int32_t value) {
  open->outputs.push_back(value);
}
// Begins an attribute, to which the following functions add values.
DINO8_ENGINE_EXPORT(dino8_attribute) void dino8_attribute(OpenGraph* open, const char* name, size_t bytes) {
  open->node.attributes.emplace_back();
  open->node.attributes.back().name.assign(name, bytes);
}
DINO8_ENGINE_EXPORT(dino8_attribute_integer) void dino8_attribute_integer(OpenGraph* open, int64_t value) {
  if (!open->node.attributes.empty()) open->node.attributes.back().integers.push_back(value);
}
DINO8_ENGINE_EXPORT(dino8_attribute_float) void dino8_attribute_float(OpenGraph* open, float value) {
  if (!open->node.attributes.empty()) open->node.attributes.back().floats.push_back(value);
}
DINO8_ENGINE_EXPORT(dino8_attribute_text)
void dino8_attribute_text(OpenGraph* open, const char* text, size_t bytes) {
  if (!open->node.attributes.empty()) open->node.attributes.back().text.assign(text, bytes);
}
DINO8_ENGINE_EXPORT(dino8_node_end) int32_t dino8_node_end(OpenGraph* open) {
  return open->graph.add_node(std::move(open->node), std::move(open->inputs), std::move(open->outputs), open->is_kept);
}

// Computes what depends on constants alone. Nothing can be added afterwards.
DINO8_ENGINE_EXPORT(dino8_graph_finish) int32_t dino8_graph_finish(OpenGraph* open) { return open->graph.finish(); }
DINO8_ENGINE_EXPORT(dino8_graph_nodes) int32_t dino8_graph_nodes(const OpenGraph* open) { return open->graph.nodes(); }
// The name and the operator of a node, for profiles.
DINO8_ENGINE_EXPORT(dino8_node_name_of) const char* dino8_node_name_of(const OpenGraph* open, int32_t index) {
  return index >= 0 && index < open->graph.nodes() ? open->graph.node(index).name.c_str() : nullptr;
}
DINO8_ENGINE_EXPORT(dino8_node_type_of) const char* dino8_node_type_of(const OpenGraph* open, int32_t index) {
  return index >= 0 && index < open->graph.nodes() ? open->graph.node(index).type.c_str() : nullptr;
}

// Where to write the elements of an input of the next run.
DINO8_ENGINE_EXPORT(dino8_run_input)
char* dino8_run_input(OpenGraph* open, int32_t value, int32_t element, const int32_t* dims, int32_t rank) {
  return open->graph.set_input(value, static_cast<Element>(element), shape_of(dims, rank));
}
// Runs the nodes from `begin` to before `end`; a run is all of them in order.
DINO8_ENGINE_EXPORT(dino8_run) int32_t dino8_run(OpenGraph* open, int32_t begin, int32_t end) {
  return open->graph.run(begin, end);
}
// The type, the number of dimensions, a dimension and the elements of an output; 0 and null if it has no value.
DINO8_ENGINE_EXPORT(dino8_result_element) int32_t dino8_result_element(const OpenGraph* open, int32_t value) {
  const Tensor* tensor = open->graph.value(value);
  return tensor == nullptr ? 0 : static_cast<int32_t>(tensor->element);
}
DINO8_ENGINE_EXPORT(dino8_result_rank) int32_t dino8_result_rank(const OpenGraph* open, int32_t value) {
  const Tensor* tensor = open->graph.value(value);
  return tensor == nullptr ? 0 : static_cast<int32_t>(tensor->shape.rank);
}
DINO8_ENGINE_EXPORT(dino8_result_dimension)
int32_t dino8_result_dimension(const OpenGraph* open, int32_t value, int32_t axis) {
  const Tensor* tensor = open->graph.value(value);
  const bool has_axis = tensor != nullptr && axis >= 0 && static_cast<size_t>(axis) < tensor->shape.rank;
  return has_axis ? static_cast<int32_t>(tensor->shape.dims[axis]) : 0;
}
DINO8_ENGINE_EXPORT(dino8_result_data) const char* dino8_result_data(const OpenGraph* open, int32_t value) {
  const Tensor* tensor = open->graph.value(value);
  return tensor == nullptr ? nullptr : tensor->memory.get();
}
// Releases the values of a run.
DINO8_ENGINE_EXPORT(dino8_end_run) void dino8_end_run(OpenGraph* open) { open->graph.end_run(); }
