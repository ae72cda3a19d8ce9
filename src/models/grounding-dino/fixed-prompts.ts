/**
 * Models for fixed phrases. What depends on the prompt alone is constant: the features and positions of its tokens, and the masks. Of
 * several prompts each of these is one table, and the input `prompt` says which of its rows the model reads.
 *
 * Shorter prompts are filled up to the length of the longest. The masks keep every other token, and the image, from what fills them.
 * It is a copy of the first token, which sees itself alone and has the same features in every layer: so the range of each value is
 * that of the prompt without it, and layers whose range is found at each run quantize it by the same steps.
 */
import { copyModel } from '../../onnx/copy.ts';
import type { Model } from '../../onnx/read.ts';
import { makeNode, removeUnused } from '../../onnx/rewrite.ts';
import { makeTensor } from '../../onnx/tensor.ts';
import { DataType } from '../../onnx/types.ts';
import { makeValueInfo } from '../../onnx/value-info.ts';
import { foldConstants } from '../../runtime/fold-constants.ts';
import type { Feeds } from '../../runtime/session.ts';
import { booleans, floatData, floats, integers, type Tensor } from '../../runtime/tensor.ts';
import { LARGEST_CONSTANT } from '../specialize.ts';
import { extractHalf } from './grounding-dino.ts';
import { CHOICE } from './half-feeds.ts';

/**
 * The half `detect` for some prompts.
 * @param prompts what `promptFeeds` gave for each
 */
export function fixPrompts(model: Model, prompts: readonly Feeds[]): Model {
  const half = extractHalf(model, 'detect');
  const { graph } = half;
  const [only] = prompts;
  const isOne = prompts.length === 1;
  const constants = isOne && only ? only : stackPrompts(prompts);
  const names = graph.input.map(({ name }) => name).filter((name) => constants[name]);
  graph.input = graph.input.filter(({ name }) => !constants[name]);
  for (const name of names) {
    const { shape, data, type } = constants[name] as Tensor; // by the filter
    const table = isOne ? name : `${name}.prompts`;
    graph.initializer.push(makeTensor(table, shape, data, type));
    if (!isOne) graph.node.unshift(makeNode('Gather', `${table}/Gather`, [table, CHOICE], [name], { axis: 0 }));
  }
  if (!isOne) graph.input.push(makeValueInfo(CHOICE, DataType.INT64, [1]));
  removeUnused(half);
  return half;
}

/** A model for one of the prompts of a model that `fixPrompts` made for several. */
export async function choosePrompt(model: Model, index: number): Promise<Model> {
  const chosen = copyModel(model);
  const { graph } = chosen;
  graph.input = graph.input.filter(({ name }) => name !== CHOICE);
  graph.initializer.push(makeTensor(CHOICE, [1], BigInt64Array.of(BigInt(index))));
  await foldConstants(chosen, LARGEST_CONSTANT);
  return chosen;
}

/** The tables of several prompts, [prompts, …], in which each has the length of the longest. */
function stackPrompts(prompts: readonly Feeds[]): Feeds {
  const count = prompts.length;
  const tensorOf = (prompt: Feeds, name: string) => prompt[name] as Tensor; // `promptFeeds` gives all of them
  const lengthOf = (prompt: Feeds) => tensorOf(prompt, 'text_token_mask').shape[1] ?? 0;
  const longest = Math.max(...prompts.map(lengthOf));
  const width = prompts[0]?.text_features?.shape[2] ?? 0;
  const features = new Float32Array(count * longest * width);
  const positions = new BigInt64Array(count * longest);
  const tokenMask = new Uint8Array(count * longest);
  const selfAttentionMask = new Uint8Array(count * longest * longest);
  for (const [place, prompt] of prompts.entries()) {
    const length = lengthOf(prompt);
    const own = floatData(tensorOf(prompt, 'text_features'));
    const attends = tensorOf(prompt, 'text_self_attention_mask').data as Uint8Array; // booleans are bytes
    const first = place * longest;
    features.set(own, first * width);
    positions.set(tensorOf(prompt, 'position_ids').data as BigInt64Array, first); // int64
    tokenMask.set(tensorOf(prompt, 'text_token_mask').data as Uint8Array, first);
    for (let row = 0; row < longest; row++) {
      const begin = (first + row) * longest;
      if (row < length) selfAttentionMask.set(attends.subarray(row * length, (row + 1) * length), begin);
      else {
        selfAttentionMask[begin + row] = 1;
        features.set(own.subarray(0, width), (first + row) * width);
      }
    }
  }
  return {
    text_features: floats(features, [count, longest, width]),
    position_ids: integers(positions, [count, longest]),
    text_token_mask: booleans(tokenMask, [count, longest]),
    text_self_attention_mask: booleans(selfAttentionMask, [count, longest, longest]),
  };
}
