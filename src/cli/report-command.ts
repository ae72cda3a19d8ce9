import { Command, Option } from '@commander-js/extra-typings';
import { UsageError } from '../base/errors.ts';
import { report } from '../pipeline/report-step.ts';
import { TUNE_DEFAULTS } from '../pipeline/tune-step.ts';
import { examples } from './examples.ts';
import { maxPixelsOption } from './max-pixels-option.ts';
import { notice } from './notices.ts';
import { print, printJson } from './output.ts';
import { allowedDropOption, overwriteOption } from './shared-options.ts';

/** `dino8 report` */
export const reportCommand = () =>
  new Command('report')
    .description(
      'Say which variant of a model to ship and what it costs, by results that other commands wrote, and write the report that shows why: one HTML file that needs nothing else. The fastest variant is recommended whose loss of AP is, at the lower end of its 95 % confidence interval, no larger than allowed.',
    )
    .argument(
      '<results...>',
      'the results.json of dino8 compress; or what eval, score and errors wrote with -o and bench, measure and tune printed with --json, of one model on one data set. Results of sensitivity, tune, contribution and vocabulary may be added to either',
    )
    .option('-o, --output <file>', 'the HTML file to write')
    .addOption(allowedDropOption(`(default: what dino8 compress was told, else ${TUNE_DEFAULTS.maxDrop})`))
    .option('--title <text>', 'the title of the report (default: that of the results)')
    .addOption(overwriteOption())
    .addOption(maxPixelsOption())
    .addOption(
      new Option('--markdown', 'print the answer and a table of the variants as Markdown').conflicts(['csv', 'json']),
    )
    .addOption(new Option('--csv', 'print a line for each variant as CSV').conflicts(['markdown', 'json']))
    .addOption(
      new Option('--json', 'print the answer, and all that was measured of the variants, as JSON').conflicts([
        'markdown',
        'csv',
      ]),
    )
    .addHelpText(
      'after',
      examples(
        'dino8 report compressed/results.json -o report.html --allowed-drop 1',
        'dino8 report compressed/results.json sensitivity.json contribution.json -o report.html',
        'dino8 report fp32.eval.json int8.eval.json bench.json --markdown',
      ),
    )
    .action(async (results, { markdown, csv, json, ...options }) => {
      if (options.output === undefined && !markdown && !csv && !json)
        throw new UsageError('Nothing is to be written or printed; give -o report.html, --markdown, --csv or --json.');
      const { markdown: asMarkdown, csv: asCsv, ...decided } = await report({ ...options, results });
      for (const sentence of decided.missingImages) notice(sentence);
      if (json) return printJson(decided);
      if (markdown) return print(asMarkdown.trimEnd());
      // On a terminal and in pipes, lines end with a line feed alone.
      if (csv) return print(asCsv.trimEnd().replaceAll('\r\n', '\n'));
      const { answer, advice } = decided;
      print(`${answer}${advice === undefined ? '' : `\n${advice}`}`);
      print(`\nThe report is ${options.output}`);
    });
