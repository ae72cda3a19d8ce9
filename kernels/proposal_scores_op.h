// The custom operator of the scores of proposals.
#pragma once

#include "ort_abi.h"

namespace dino8 {

// Adds the operator ai.dino8::ProposalScores.
OrtStatus* add_proposal_scores(const OrtApi& api, OrtCustomOpDomain* domain);

}  // namespace dino8
