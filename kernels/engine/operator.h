// The interface of the engine's operators: the node that one is made from, and the run that it computes.
//
// A model may come from a stranger, so an operator believes nothing about its inputs before it has checked it: their number, their
// types, their dimensions and the numbers by which it indexes.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tensor.h"

namespace dino8::engine {

// Null if all is well, or else a sentence without its full stop that says what is wrong, such as "its inputs have different
// types". The engine puts the node's name before it.
using Problem = const char*;

constexpr Problem kNoMemory = "there is not enough memory";
constexpr Problem kWrongType = "an input has a type that is not supported";
constexpr Problem kWrongShape = "the dimensions of its inputs do not fit each other";
constexpr Problem kMissingInput = "an input is missing";

// An attribute of a node. Only the member of its kind has a value.
struct Attribute {
  std::string name;
  std::vector<int64_t> integers;  // one for an integer
  std::vector<float> floats;      // one for a float
  std::string text;
};

// A node of a model.
struct Node {
  std::string domain, type, name;
  int64_t opset = 0;  // the version of its domain's operators
  std::vector<Attribute> attributes;
  std::vector<const Tensor*> constants;  // one for each input: its value if it is a constant of the model, otherwise null
  size_t outputs = 0;

  // The attribute of a name; null if there is none.
  const Attribute* find(const char* name) const;
  int64_t integer(const char* name, int64_t otherwise) const;
  float number(const char* name, float otherwise) const;
  std::string text(const char* name, const char* otherwise) const;
};

// One run of a node.
class Run {
 public:
  virtual ~Run() = default;

  // The number of inputs, those included that are left out.
  virtual size_t inputs() const = 0;
  // Null if the node leaves this input out, or has fewer.
  virtual const Tensor* input(size_t index) const = 0;
  // False if nobody reads this output.
  virtual bool has_output(size_t index) const = 0;
  // Makes an output whose memory is not initialised. `out` is valid until the end of the run of the node. Outputs that nobody reads
  // are made as well.
  virtual Problem make_output(size_t index, Element element, const Shape& shape, Tensor*& out) = 0;
  // Sets an output that shares the memory of another tensor.
  virtual void set_output(size_t index, Tensor value) = 0;
  // Calls `task(data, part)` for each of `parts` parts, on all threads.
  virtual void parallel_for(size_t parts, void (*task)(void*, size_t), void* data) = 0;
};

// Calls `task(part)` for each of `parts` parts, on all threads.
template <class Task>
void for_each_part(Run& run, size_t parts, Task& task) {
  run.parallel_for(parts, [](void* data, size_t part) { (*static_cast<Task*>(data))(part); },
                   const_cast<void*>(static_cast<const void*>(&task)));
}

// The state of a node of a model.
class Operator {
 public:
  virtual ~Operator() = default;
  virtual Problem run(Run& run) = 0;
};

// Makes the operator of a node, or says what is wrong with the node.
using MakeOperator = Problem (*)(const Node& node, std::unique_ptr<Operator>& out);

// An operator that the engine has.
struct OperatorEntry {
  const char* domain;  // "" for the standard's
  const char* type;
  MakeOperator make;
};

// An operator without state: a function of a run.
template <Problem (*compute)(Run&)>
Problem make_stateless(const Node&, std::unique_ptr<Operator>& out) {
  class Stateless : public Operator {
   public:
    Problem run(Run& run) override { return compute(run); }
  };
  out = std::make_unique<Stateless>();
  return nullptr;
}

// An operator of the class `Kind`, which has a constructor without arguments and `Problem start(const Node&)`. It is made even if
// that says a problem, whose sentence it may own.
template <class Kind>
Problem make_operator(const Node& node, std::unique_ptr<Operator>& out) {
  auto made = std::make_unique<Kind>();
  const Problem problem = made->start(node);
  out = std::move(made);
  return problem;
}

}  // namespace dino8::engine
