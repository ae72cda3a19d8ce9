#!/usr/bin/env node
import { exitWhenOutputCloses } from './closed-output.ts';
import { receiveArguments, runWithShortCommandLine } from './long-arguments.ts';
import { main } from './main.ts';

exitWhenOutputCloses();
const [node = '', entry = '', ...given] = process.argv;
const inherited = await receiveArguments(given);
process.exitCode = await (inherited ? main([node, entry, ...inherited]) : runWithShortCommandLine(entry, given, main));
