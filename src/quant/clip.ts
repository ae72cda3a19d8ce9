/** Clipping what layers give, such as sampling offsets: a few far ones would take the steps from all others. */
import { indexGraph } from '../onnx/graph-index.ts';
import type { Model } from '../onnx/read.ts';
import { makeNode, replaceUses, sortTopologically } from '../onnx/rewrite.ts';
import { makeTensor } from '../onnx/tensor.ts';
import type { Statistics } from './observe/calibrate.ts';
import { binnedMagnitudes } from './observe/histogram.ts';
import { percentileMaximum } from './observe/percentile.ts';
import { biasOf } from './placement/bias.ts';
import type { Recipe } from './recipe.ts';
import { assignTreatments } from './targets.ts';

/** The results that a recipe clips, with the percentile of their magnitudes at which it does. */
export function clippedResults(model: Model, recipe: Recipe): Map<string, number> {
  const index = indexGraph(model.graph);
  return new Map(
    assignTreatments(model, recipe).flatMap(({ node, rule }) =>
      rule?.clip === undefined ? [] : [[biasOf(node, index)?.node.output[0] ?? node.output[0] ?? '', rule.clip]],
    ),
  );
}

/** Answers how many results are clipped. */
export function clipResults(model: Model, recipe: Recipe, statistics: Statistics): number {
  const { graph } = model;
  let clipped = 0;
  for (const [value, percentile] of clippedResults(model, recipe)) {
    const statistic = statistics.get(value);
    if (!statistic) continue;
    const most = percentileMaximum(binnedMagnitudes(statistic.histogram), percentile);
    const inner = (what: string) => `${value}.clip.${what}`;
    graph.initializer.push(
      makeTensor(inner('low'), [], Float32Array.of(-most)),
      makeTensor(inner('high'), [], Float32Array.of(most)),
    );
    const node = makeNode('Clip', inner('Clip'), [value, inner('low'), inner('high')], [inner('result')]);
    replaceUses(graph, value, inner('result'));
    graph.node.push(node);
    clipped++;
  }
  if (clipped > 0) sortTopologically(graph);
  return clipped;
}
