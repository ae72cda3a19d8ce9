/** The files of a bundle that are the same for every model, and its README, which is filled in. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { readText } from '../../base/files.ts';
import { packageRoot } from '../../base/package-root.ts';

const FOLDER = join(packageRoot, 'bundles', 'tensorrt');
const README = 'README.md';

/** The scripts of a bundle by their names. Nothing is put into them: what they need they read from data. */
export async function bundleScripts(): Promise<Map<string, string>> {
  const names = (await readdir(FOLDER)).filter((name) => name !== README).toSorted();
  return new Map(await Promise.all(names.map(async (name) => [name, await readText(join(FOLDER, name))] as const)));
}

/**
 * The README of a bundle.
 * @param facts what stands for `{{name}}` in the template
 */
export async function bundleReadme(facts: Readonly<Record<string, string>>): Promise<string> {
  const template = await readText(join(FOLDER, README));
  return template.replaceAll(/\{\{(\w+)\}\}/g, (_, name: string) => {
    const fact = facts[name];
    if (fact === undefined) throw new Error(`the README of bundles needs ${name}`);
    return fact;
  });
}
