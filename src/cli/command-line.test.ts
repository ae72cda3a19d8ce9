/** The running command in reports, which are passed on. */
import { expect, test } from 'vitest';
import { commandLine, noteArguments, reportedCommandLine } from './command-line.ts';

test('the command of a report is the one that was given, without the folders of absolute paths', () => {
  // As in a process whose own arguments say only that a parent sends them.
  noteArguments(['compress', '/home/someone/it is mine', '--output=/tmp/out', '--phrases', "cat's"]);
  expect(commandLine()).toBe("dino8 compress '/home/someone/it is mine' --output=/tmp/out --phrases 'cat'\\''s'");
  expect(reportedCommandLine()).toBe("dino8 compress 'it is mine' --output=out --phrases 'cat'\\''s'");
});
