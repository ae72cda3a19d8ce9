/** The files of a bundle that are the same for every model, and its README, which is filled in. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { readText } from '../../base/files.ts';
import { packageRoot } from '../../base/package-root.ts';
import type { FixedPrompt } from '../../models/fixed-prompt.ts';

const folderOf = (name: string) => join(packageRoot, 'bundles', name);
/** The folder of the scripts that bundles of several runtimes share. */
const SHARED = 'python';
/** The folder of those that only bundles with a text encoder have. */
const TEXT = 'text';
const README = 'README.md';

/**
 * The scripts of a bundle by their names. Nothing is put into them: what they need they read from data.
 * @param runtime the folder of the runtime's own scripts
 * @param hasText whether the bundle has a text encoder
 */
export async function bundleScripts(runtime: string, hasText: boolean): Promise<Map<string, string>> {
  const scripts = new Map<string, string>();
  for (const folder of [SHARED, ...(hasText ? [TEXT] : []), runtime].map(folderOf))
    for (const name of (await readdir(folder)).filter((each) => each !== README).toSorted())
      scripts.set(name, await readText(join(folder, name)));
  return scripts;
}

/** What the README of a bundle says of its phrases. */
export function textFacts({
  prompt,
  text,
}: {
  readonly prompt: FixedPrompt;
  readonly text?: { readonly tokens: number } | undefined;
}) {
  const count = prompt.phrases.length;
  if (!text)
    return {
      phrases: `The phrases, of which there are ${count}, are part of them; \`bundle.json\` lists them. Other phrases need another bundle.`,
      others: '',
    };
  return {
    phrases: `\`model.text.onnx\` is the text encoder, which runs once for a prompt of up to ${text.tokens} tokens; phrases that do not fit into one fill several. \`bundle.json\` lists the phrases, of which there are ${count}, that are looked for if no others are given.
- \`tokenizer.py\`, \`prompt.py\`, \`vocabulary.json\`, \`characters.json\`: from phrases to the inputs of the models, without other packages than numpy. \`bundle.json\` has the tokens and the names of the inputs, for programs of your own.`,
    others: 'python3 run.py --phrase "red hat" --phrase person photo.jpg    # other phrases than those of the bundle\n',
  };
}

/**
 * The README of a bundle.
 * @param runtime the folder of its template
 * @param facts what stands for `{{name}}` in the template
 */
export async function bundleReadme(runtime: string, facts: Readonly<Record<string, string>>): Promise<string> {
  const template = await readText(join(folderOf(runtime), README));
  return template.replaceAll(/\{\{(\w+)\}\}/g, (_, name: string) => {
    const fact = facts[name];
    if (fact === undefined) throw new Error(`the README of bundles needs ${name}`);
    return fact;
  });
}
