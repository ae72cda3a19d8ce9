/** Says what a folder without usable weights holds, and what to do about it. */

/** Explanations by the names of files in a folder. The first one that applies is given. */
const SIGNS: readonly (readonly [pattern: RegExp, say: (found: readonly string[]) => string])[] = [
  [
    /^adapter_(?:model|config)\./,
    () =>
      'it holds a LoRA or PEFT adapter without its model; merge it into the model with merge_and_unload, and save that.',
  ],
  [
    /^checkpoint-\d+$/,
    (found) => `it is the folder of a whole training; name one of its checkpoints, such as ${latest(found)}.`,
  ],
  [/^snapshots$/, () => "it is a folder of the Hub's cache; name the folder in snapshots."],
  [
    /^(?!optimizer|scheduler|rng_state|training_args|random_states|scaler).*\.(?:pth|pt|ckpt|safetensors|bin)$/i,
    (found) => `it holds ${some(found)}; name that file.`,
  ],
  [/^flax_model\.msgpack/, () => 'it holds a Flax model; save it as safetensors with transformers.'],
  [
    /^(?:tf_model\.h5|saved_model\.pb|model\.ckpt.*\.index|.*\.keras)$/,
    () => 'it holds a TensorFlow model; use the PyTorch checkpoint.',
  ],
  [/\.gguf$/, () => 'it holds a GGUF model of llama.cpp, which dino8 does not read; use the original checkpoint.'],
  [
    /\.onnx$/,
    (found) => `it holds ONNX models (${some(found)}); name such a file, or the checkpoint that it was made from.`,
  ],
  [
    /^(?:pytorch_model_fsdp_0|global_step\d+|.*\.distcp)$/,
    () =>
      'it holds a checkpoint in the parts of several processes; join them first (zero_to_fp32.py, or accelerate merge-weights).',
  ],
  [
    /^(?:optimizer|scheduler|rng_state|training_args|trainer_state|random_states|scaler)/,
    (found) => `it holds the state of a training alone (${some(found)}); name the folder with the weights.`,
  ],
];

/** A clause about what is in a folder, given the names in it, with what to do. */
export function describeFolder(names: readonly string[]): string {
  if (names.length === 0) return 'it is empty.';
  for (const [pattern, say] of SIGNS) {
    const found = names.filter((name) => pattern.test(name));
    if (found.length > 0) return say(found.toSorted());
  }
  return 'is the checkpoint complete?';
}

const latest = (names: readonly string[]) =>
  names.toSorted((a, b) => Number(a.split('-')[1]) - Number(b.split('-')[1])).at(-1);

const some = (names: readonly string[]) =>
  names.length > 3 ? `${names.slice(0, 3).join(', ')} and others` : names.join(', ');
