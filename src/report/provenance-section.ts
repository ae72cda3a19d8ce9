/** The section of a report that says how it was made. */
import { threadsInWords } from '../base/format.ts';
import { type Markup, type MarkupValue, markup } from '../base/markup.ts';
import type { Section } from './page.ts';
import type { Provenance } from './provenance.ts';

/** As many letters of a hash as tell things apart. */
const SHORT_HASH = 12;

/** The facts by which results can be judged and repeated. */
export function provenanceSections(
  provenance: Provenance | undefined,
  summary: string | undefined,
  sources: readonly string[],
): Section[] {
  const facts: Record<string, MarkupValue> = {
    ...(sources.length > 0 && { Results: sources.join(', ') }),
    ...(provenance && factsOf(provenance)),
  };
  if (Object.keys(facts).length === 0 && summary === undefined) return [];
  const list = Object.entries(facts).map(([name, value]) => markup`<dt>${name}</dt><dd>${value}</dd>`);
  return [
    {
      id: 'made',
      title: 'How it was made',
      body: markup`${summary === undefined ? '' : markup`<p>${summary}</p>`}<div class="card"><dl class="facts">${list}</dl></div>`,
    },
  ];
}

function factsOf({
  command,
  date,
  checkpoint,
  dataset,
  calibration,
  seed,
  rounds,
  runs,
  threads,
  machine,
  versions,
}: Provenance): Record<string, MarkupValue> {
  const { processor, cores, memoryBytes, system } = machine;
  return {
    ...(command !== undefined && { Command: markup`<code>${command}</code>` }),
    Date: `${date.slice(0, 10)}, ${date.slice(11, 16)} UTC`,
    Checkpoint: named(checkpoint.name, checkpoint.hash),
    'Scored on': named(
      `${dataset.name}: ${dataset.images} images, ${dataset.boxes} boxes, ${dataset.categories} categories`,
      dataset.hash,
    ),
    'Calibrated on': named(`${calibration.name}: ${calibration.images} images`, calibration.hash),
    Seed: `${seed}`,
    Timing: `${rounds} processes of ${runs} runs for each variant, in turns, with ${threadsInWords(threads)}`,
    Machine: `${processor}, ${cores} ${cores === 1 ? 'core' : 'cores'}, ${(memoryBytes / 1e9).toFixed(1)} GB of memory, ${system}`,
    Versions: `dino8 ${versions.dino8}, Node.js ${versions.node}, ONNX Runtime ${versions.onnxRuntime}`,
  };
}

const named = (name: string, hash: string): Markup => markup`${name} <code>${hash.slice(0, SHORT_HASH)}</code>`;
