/** The files of a bundle that are the same for every model, and its README, which is filled in. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { readText } from '../../base/files.ts';
import { packageRoot } from '../../base/package-root.ts';

const folderOf = (name: string) => join(packageRoot, 'bundles', name);
/** The folder of the scripts that bundles of several runtimes share. */
const SHARED = 'python';
const README = 'README.md';

/**
 * The scripts of a bundle by their names. Nothing is put into them: what they need they read from data.
 * @param runtime the folder of the runtime's own scripts
 */
export async function bundleScripts(runtime: string): Promise<Map<string, string>> {
  const scripts = new Map<string, string>();
  for (const folder of [folderOf(SHARED), folderOf(runtime)])
    for (const name of (await readdir(folder)).filter((each) => each !== README).toSorted())
      scripts.set(name, await readText(join(folder, name)));
  return scripts;
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
