// Refuses knowledge about one model family outside of its folder: everything else must work for any family, and learns about
// a model from `models/family.ts`. Two kinds of leaks are found: names of values, modules, parameters and settings in the text of
// a file, comments excluded; and imports from a family's folder.
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

const source = join(dirname(fileURLToPath(import.meta.url)), '..', 'src');

/** Per folder of a family, the names that may not occur anywhere else. */
const FAMILIES = {
  'models/grounding-dino': [
    // inputs, outputs and inner values of the model, and stages of the network
    'pixel_values',
    'pixel_mask',
    'valid_pixels',
    'input_ids',
    'attention_mask',
    'position_ids',
    'text_token_mask',
    'text_self_attention_mask',
    'text_features',
    'pred_boxes',
    'encoder_vision',
    'encoder_text',
    'query_logits',
    'proposal_logits',
    // modules and parameters
    'bbox_embed',
    'class_embed',
    'fusion_layer',
    'deformable_layer',
    'text_backbone',
    'text_projection',
    'conv_encoder',
    'input_proj_vision',
    'sampling_offsets',
    'level_embed',
    'relative_position_bias_table',
    'query_position_embeddings',
    'vision_proj',
    'vision_param',
    'enc_output',
    // settings of the configuration
    'num_queries',
    'max_text_len',
    'decoder_layers',
    'encoder_layers',
    'text_config',
    'backbone_config',
    'grounding-dino',
    'GroundingDino',
  ],
};

/** Files that may name a family: the tables of families, and the public face of `dino8/models`. */
const ALLOWED = new Set(['models/families.ts', 'models/detection-steps.ts', 'public-models.ts']);

/** Names in commands that a help text shows are names of files, not of model families. */
const withoutExamples = (text) => text.replaceAll(/\$ dino8 [^'"`]*/g, '');

/** Comments may mention a family as an example. */
const withoutComments = (text) => text.replaceAll(/\/\*[\s\S]*?\*\//g, '').replaceAll(/(^|\s)\/\/.*$/gm, '$1');

const problems = [];
for (const entry of readdirSync(source, { recursive: true, withFileTypes: true })) {
  if (!entry.isFile() || !/\.ts$/.test(entry.name) || entry.name.endsWith('.test.ts')) continue;
  const path = join(entry.parentPath, entry.name);
  const file = relative(source, path).replaceAll(sep, '/');
  if (ALLOWED.has(file)) continue;
  const text = withoutExamples(withoutComments(readFileSync(path, 'utf8')));
  for (const [folder, words] of Object.entries(FAMILIES)) {
    if (file.startsWith(`${folder}/`)) continue;
    const found = words.filter((word) => new RegExp(`(?<![\\w-])${word}(?!\\w)`).test(text));
    // An import says the folder's name as well; one message is enough.
    if (new RegExp(`from '[^']*${folder.split('/').at(-1)}/`).test(text))
      problems.push(`src/${file} imports from src/${folder}; use what src/models/family.ts provides`);
    else if (found.length > 0) problems.push(`src/${file} knows ${found.join(', ')}, which only src/${folder} may`);
  }
}

if (problems.length > 0) {
  console.error(problems.join('\n'));
  process.exit(1);
}
console.log('No knowledge about a model family is outside of its folder.');
