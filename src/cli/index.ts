#!/usr/bin/env node
import { exitWhenOutputCloses } from './closed-output.ts';
import { askedCommand } from './commands.ts';
import { isSupervised, receiveArguments, supervise } from './supervision.ts';

exitWhenOutputCloses();
const [node = '', entry = '', ...given] = process.argv;
const worksLong = askedCommand(process.argv) !== undefined;
const run = async (args: readonly string[]) => (await import('./main.ts')).main([node, entry, ...args]);
if (isSupervised(given)) process.exitCode = await run(await receiveArguments());
else process.exitCode = await (worksLong ? supervise(entry, given) : run(given));
