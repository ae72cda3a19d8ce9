// A model, as it is handed over node by node, and its runs.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "operator.h"

namespace dino8::engine {

// A value of a graph, by its number; nodes leave out an input or output by kNoValue.
using ValueNumber = int32_t;
constexpr ValueNumber kNoValue = -1;

// More values and nodes than that are refused.
constexpr int32_t kMostValues = 1 << 20;

// A graph whose nodes come in an order in which they can run. It is used in three steps: values, constants and nodes are added; `finish`
// computes what depends on constants alone and makes the operators; then inputs are set and nodes are run, as often as one likes.
class Graph {
 public:
  explicit Graph(int32_t values);
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;

  // The following return false where something is wrong, and `problem` then says what.
  // The numbers of an input that is steady are the same in most runs.
  bool add_input(ValueNumber value, bool is_steady);
  bool add_output(ValueNumber value);
  // Memory for the elements of a constant, to be filled in before `finish`; null where something is wrong.
  char* add_constant(ValueNumber value, Element element, const Shape& shape);
  // Adds a node. Its constants and the number of its outputs are found by `finish`. One that is kept computes the same as long as all
  // inputs of the graph have the same types and sizes, and steady ones the same numbers: it runs again only if they have not, or if the
  // run before did not come to its end.
  bool add_node(Node node, std::vector<ValueNumber> inputs, std::vector<ValueNumber> outputs, bool is_kept);
  bool finish();

  // The nodes that are left to run.
  int32_t nodes() const { return static_cast<int32_t>(steps_.size()); }
  const Node& node(int32_t index) const { return steps_[static_cast<size_t>(index)].node; }

  // Memory for the elements of an input of the next run; null where something is wrong. Values of an earlier run are released.
  char* set_input(ValueNumber value, Element element, const Shape& shape);
  // Runs the nodes from `begin` to before `end`. A run calls this for all of them in order.
  bool run(int32_t begin, int32_t end);
  // A value after a run: that of an output, null if there is none.
  const Tensor* value(ValueNumber number) const;
  // Releases the values of a run, but for those that are kept.
  void end_run();

  const std::string& problem() const { return problem_; }

 private:
  struct Step {
    Node node;
    std::vector<ValueNumber> inputs, outputs;
    std::unique_ptr<Operator> made;
    std::vector<ValueNumber> released;  // values that nobody reads after this step
    bool is_kept = false;
  };
  enum class Kind : uint8_t { kUnknown, kInput, kConstant, kComputed };
  struct Value {
    Kind kind = Kind::kUnknown;
    bool is_output = false, is_read = false;
    bool is_steady = false;
    bool is_kept = false;  // a result of a kept step that other steps or the caller read
    std::shared_ptr<Tensor> tensor;
    Tensor last;  // of an input: its value in the run before, whose numbers are left out unless it is steady
  };
  class StepRun;

  bool fail(std::string problem);
  bool fail(const Step& step, Problem problem);
  bool is_value(ValueNumber value) const { return value >= 0 && static_cast<size_t>(value) < values_.size(); }
  Value& at(ValueNumber value) { return values_[static_cast<size_t>(value)]; }
  bool prepare(Step& step);
  bool run_step(Step& step);
  void release(const Step& step);
  void release_unread_constants();
  bool has_constants_only(const Step& step) const;
  void find_releases();
  void forget_kept_values();
  void compare_inputs();

  std::vector<Value> values_;
  std::vector<Step> steps_;
  std::vector<ValueNumber> inputs_;
  bool is_finished_ = false;
  bool has_kept_values_ = false;
  std::string problem_;
};

}  // namespace dino8::engine
