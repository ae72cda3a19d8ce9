#include "graph.h"

#include <algorithm>
#include <cstring>

#include "operators.h"
#include "threads.h"

namespace dino8::engine {

const Attribute* Node::find(const char* wanted) const {
  for (const Attribute& attribute : attributes)
    if (attribute.name == wanted) return &attribute;
  return nullptr;
}

int64_t Node::integer(const char* wanted, int64_t otherwise) const {
  const Attribute* found = find(wanted);
  return found != nullptr && found->integers.size() == 1 ? found->integers[0] : otherwise;
}

float Node::number(const char* wanted, float otherwise) const {
  const Attribute* found = find(wanted);
  return found != nullptr && found->floats.size() == 1 ? found->floats[0] : otherwise;
}

std::string Node::text(const char* wanted, const char* otherwise) const {
  const Attribute* found = find(wanted);
  return found != nullptr ? found->text : otherwise;
}

// A run of one step: its inputs and outputs are values of the graph.
class Graph::StepRun : public Run {
 public:
  StepRun(Graph& graph, const Step& step) : graph_(graph), step_(step), spare_(step.outputs.size()) {}

  size_t inputs() const override { return step_.inputs.size(); }

  const Tensor* input(size_t index) const override {
    if (index >= step_.inputs.size() || step_.inputs[index] == kNoValue) return nullptr;
    return graph_.at(step_.inputs[index]).tensor.get();
  }

  bool has_output(size_t index) const override {
    if (index >= step_.outputs.size() || step_.outputs[index] == kNoValue) return false;
    const Value& value = graph_.at(step_.outputs[index]);
    return value.is_read || value.is_output;
  }

  Problem make_output(size_t index, Element element, const Shape& shape, Tensor*& out) override {
    if (!is_possible(shape, element)) return "an output would be too large";
    auto made = std::make_shared<Tensor>();
    made->element = element, made->shape = shape;
    made->memory = allocate(shape.count() * static_cast<int64_t>(bytes_of(element)));
    if (made->memory == nullptr) return kNoMemory;
    out = made.get();
    keep(index, std::move(made));
    return nullptr;
  }

  void set_output(size_t index, Tensor value) override { keep(index, std::make_shared<Tensor>(std::move(value))); }

  void parallel_for(size_t parts, void (*task)(void*, size_t), void* data) override {
    dino8::engine::parallel_for(parts, task, data);
  }

 private:
  // An output that the node does not name lives until the end of the run of the node.
  void keep(size_t index, std::shared_ptr<Tensor> tensor) {
    if (index < step_.outputs.size() && step_.outputs[index] != kNoValue)
      graph_.at(step_.outputs[index]).tensor = std::move(tensor);
    else if (index < spare_.size())
      spare_[index] = std::move(tensor);
    else
      spare_.push_back(std::move(tensor));
  }

  Graph& graph_;
  const Step& step_;
  std::vector<std::shared_ptr<Tensor>> spare_;
};

Graph::Graph(int32_t values) : values_(static_cast<size_t>(values)) {}

bool Graph::fail(std::string problem) {
  if (problem_.empty()) problem_ = std::move(problem);
  return false;
}

bool Graph::fail(const Step& step, Problem problem) {
  const std::string& name = step.node.name;
  return fail((name.empty() ? "a node" : "the node " + name) + " (" + step.node.type + "): " + problem);
}

bool Graph::add_input(ValueNumber value, bool is_steady) {
  if (!is_value(value) || at(value).kind != Kind::kUnknown) return fail("an input has the name of another value");
  at(value).kind = Kind::kInput;
  at(value).is_steady = is_steady;
  inputs_.push_back(value);
  return true;
}

bool Graph::add_output(ValueNumber value) {
  if (!is_value(value)) return fail("an output is no value of the graph");
  at(value).is_output = true;
  return true;
}

char* Graph::add_constant(ValueNumber value, Element element, const Shape& shape) {
  if (!is_value(value) || at(value).kind != Kind::kUnknown)
    return fail("a constant has the name of another value"), nullptr;
  if (!is_possible(shape, element)) return fail("a constant is too large, or of a type that is not supported"), nullptr;
  auto tensor = std::make_shared<Tensor>();
  tensor->element = element, tensor->shape = shape;
  tensor->memory = allocate(shape.count() * static_cast<int64_t>(bytes_of(element)));
  if (tensor->memory == nullptr) return fail(kNoMemory), nullptr;
  char* const data = tensor->memory.get();
  at(value).kind = Kind::kConstant;
  at(value).tensor = std::move(tensor);
  return data;
}

bool Graph::add_node(Node node, std::vector<ValueNumber> inputs, std::vector<ValueNumber> outputs, bool is_kept) {
  if (is_finished_ || nodes() == kMostValues) return fail("there are too many nodes");
  Step step;
  step.node = std::move(node), step.inputs = std::move(inputs), step.outputs = std::move(outputs);
  step.is_kept = is_kept;
  for (const ValueNumber input : step.inputs) {
    if (input == kNoValue) continue;
    if (!is_value(input) || at(input).kind == Kind::kUnknown)
      return fail(step, "it reads a value that no node before it computes");
    at(input).is_read = true;
  }
  for (const ValueNumber output : step.outputs) {
    if (output == kNoValue) continue;
    if (!is_value(output) || at(output).kind != Kind::kUnknown) return fail(step, "it computes a value for the second time");
    at(output).kind = Kind::kComputed;
  }
  steps_.push_back(std::move(step));
  return true;
}

bool Graph::has_constants_only(const Step& step) const {
  return std::all_of(step.inputs.begin(), step.inputs.end(), [&](ValueNumber input) {
    return input == kNoValue || values_[static_cast<size_t>(input)].kind == Kind::kConstant;
  });
}

// Makes the operator of a step.
bool Graph::prepare(Step& step) {
  Node& node = step.node;
  const MakeOperator make = find_operator(node.domain, node.type);
  if (make == nullptr) return fail(step, "there is no such operator");
  node.outputs = step.outputs.size();
  for (const ValueNumber input : step.inputs) {
    const bool is_constant = input != kNoValue && at(input).kind == Kind::kConstant;
    node.constants.push_back(is_constant ? at(input).tensor.get() : nullptr);
  }
  const Problem problem = make(node, step.made);
  return problem == nullptr || fail(step, problem);
}

bool Graph::run_step(Step& step) {
  StepRun run(*this, step);
  const Problem problem = step.made->run(run);
  if (problem != nullptr) return fail(step, problem);
  for (const ValueNumber output : step.outputs)
    if (output != kNoValue && at(output).tensor == nullptr && (at(output).is_read || at(output).is_output))
      return fail(step, "it has fewer outputs than the graph reads");
  release(step);
  return true;
}

void Graph::release(const Step& step) {
  for (const ValueNumber value : step.released) at(value).tensor = nullptr;
}

bool Graph::finish() {
  if (is_finished_ || !problem_.empty()) return false;
  is_finished_ = true;
  std::vector<Step> left;
  for (Step& step : steps_) {
    if (!prepare(step)) return false;
    if (!has_constants_only(step)) {
      left.push_back(std::move(step));
      continue;
    }
    if (!run_step(step)) return false;
    for (const ValueNumber output : step.outputs)
      if (output != kNoValue) at(output).kind = Kind::kConstant;
  }
  steps_ = std::move(left);
  release_unread_constants();
  for (size_t number = 0; number < values_.size(); number++)
    if (values_[number].is_output && values_[number].kind == Kind::kUnknown) return fail("no node computes an output");
  find_releases();
  return true;
}

// Constants that were read by nodes with constants alone are not needed any more.
void Graph::release_unread_constants() {
  std::vector<bool> is_read(values_.size());
  for (const Step& step : steps_)
    for (const ValueNumber input : step.inputs)
      if (input != kNoValue) is_read[static_cast<size_t>(input)] = true;
  for (size_t number = 0; number < values_.size(); number++) {
    Value& value = values_[number];
    if (value.kind == Kind::kConstant && !is_read[number] && !value.is_output) value.tensor = nullptr;
  }
}

// A value is released after the last step that reads it. Those that the next run needs again are kept: the constants, and results of
// kept steps that other steps read.
void Graph::find_releases() {
  std::vector<bool> is_alive(values_.size()), is_read_in_each_run(values_.size());
  for (const Step& step : steps_)
    if (!step.is_kept)
      for (const ValueNumber input : step.inputs)
        if (input != kNoValue) is_read_in_each_run[static_cast<size_t>(input)] = true;
  for (const Step& step : steps_)
    if (step.is_kept)
      for (const ValueNumber output : step.outputs)
        if (output != kNoValue) at(output).is_kept = at(output).is_output || is_read_in_each_run[static_cast<size_t>(output)];
  for (size_t number = 0; number < values_.size(); number++) {
    const Value& value = values_[number];
    is_alive[number] = value.is_output || value.is_kept || value.kind == Kind::kConstant;
  }
  for (auto step = steps_.rbegin(); step != steps_.rend(); ++step)
    for (const auto* list : {&step->inputs, &step->outputs})
      for (const ValueNumber value : *list)
        if (value != kNoValue && !is_alive[static_cast<size_t>(value)]) {
          is_alive[static_cast<size_t>(value)] = true;
          step->released.push_back(value);
        }
}

char* Graph::set_input(ValueNumber value, Element element, const Shape& shape) {
  problem_.clear();
  if (!is_finished_ || !is_value(value) || at(value).kind != Kind::kInput)
    return fail("this value is no input of the model"), nullptr;
  if (!is_possible(shape, element)) return fail("an input is too large, or has too many dimensions"), nullptr;
  auto tensor = std::make_shared<Tensor>();
  tensor->element = element, tensor->shape = shape;
  tensor->memory = allocate(shape.count() * static_cast<int64_t>(bytes_of(element)));
  if (tensor->memory == nullptr) return fail(kNoMemory), nullptr;
  char* const data = tensor->memory.get();
  at(value).tensor = std::move(tensor);
  return data;
}

void Graph::forget_kept_values() {
  for (Value& value : values_)
    if (value.is_kept) value.tensor = nullptr;
  has_kept_values_ = false;
}

static bool have_same_bytes(const Tensor& some, const Tensor& others) {
  const auto bytes = static_cast<size_t>(some.shape.count()) * bytes_of(some.element);
  return std::memcmp(some.memory.get(), others.memory.get(), bytes) == 0;
}

// Forgets what is kept if an input has another type or other dimensions than in the run before, or a steady one other numbers.
void Graph::compare_inputs() {
  for (const ValueNumber number : inputs_) {
    Value& input = at(number);
    if (input.tensor == nullptr) continue;
    const Tensor& now = *input.tensor;
    const bool is_alike = input.last.element == now.element && input.last.shape == now.shape;
    const bool has_numbers = !input.is_steady || input.last.memory != nullptr;
    if (!is_alike || !has_numbers || (input.is_steady && !have_same_bytes(input.last, now))) forget_kept_values();
    input.last = now;
    if (!input.is_steady) input.last.memory = nullptr;
  }
}

bool Graph::run(int32_t begin, int32_t end) {
  if (!is_finished_ || begin < 0 || end > nodes()) return fail("these nodes cannot be run");
  problem_.clear();
  if (begin == 0) {
    for (const ValueNumber input : inputs_)
      if (at(input).tensor == nullptr && at(input).is_read) return fail("an input is missing");
    compare_inputs();
    // A run that did not come to its end has left some of them.
    if (!has_kept_values_) forget_kept_values();
  }
  for (int32_t index = begin; index < end; index++) {
    Step& step = steps_[static_cast<size_t>(index)];
    if (step.is_kept && has_kept_values_) release(step);
    else if (!run_step(step)) return false;
  }
  if (end == nodes()) has_kept_values_ = true;
  return true;
}

const Tensor* Graph::value(ValueNumber number) const {
  return is_value(number) ? values_[static_cast<size_t>(number)].tensor.get() : nullptr;
}

void Graph::end_run() {
  for (Value& value : values_)
    if (value.kind != Kind::kConstant && !value.is_kept) value.tensor = nullptr;
}

}  // namespace dino8::engine
