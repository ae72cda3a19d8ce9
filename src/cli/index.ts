#!/usr/bin/env node
import { receiveArguments, runWithShortCommandLine } from './long-arguments.ts';
import { main } from './main.ts';

const [node = '', entry = '', ...given] = process.argv;
const inherited = await receiveArguments(given);
process.exitCode = await (inherited ? main([node, entry, ...inherited]) : runWithShortCommandLine(entry, given, main));
