// The operators of the standard that make one number, or a few, of the numbers along an axis.
#include "../operators.h"
#include "cumulative_sum.h"
#include "largest.h"
#include "reduce.h"

namespace dino8::engine {
namespace {

constexpr OperatorEntry kEntries[] = {
    {"", "ArgMax", make_operator<ArgMax>},
    {"", "CumSum", make_operator<CumulativeSum>},
    {"", "ReduceMax", make_operator<Reduce<Largest, 18, float, int64_t, int32_t, uint8_t, int8_t, Truth>>},
    {"", "ReduceMean", make_operator<Reduce<Mean, 18, float, int64_t, int32_t>>},
    {"", "ReduceMin", make_operator<Reduce<Smallest, 18, float, int64_t, int32_t, uint8_t, int8_t, Truth>>},
    {"", "ReduceProd", make_operator<Reduce<Product, 18, float, int64_t, int32_t>>},
    {"", "ReduceSum", make_operator<Reduce<Sum, 13, float, int64_t, int32_t>>},
    {"", "TopK", make_operator<TopK>},
};

}  // namespace

OperatorTable reduction_operators() { return table_of(kEntries); }

}  // namespace dino8::engine
