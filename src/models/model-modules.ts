/** The modules of a network as publications speak of them, such as its encoder and its decoder. */
import { matchesPath } from '../quant/match-path.ts';

/** A module of a network: everything whose module path fits one of its patterns. */
export interface ModelModule {
  /** The name of the module, as tables show it. */
  readonly name: string;
  /** Patterns of module paths, as in recipes. */
  readonly match: readonly string[];
}

/** The module that a module path belongs to: the last one of which a pattern fits; undefined if none fits. */
export function moduleOf(modules: readonly ModelModule[], path: string): string | undefined {
  return modules.findLast(({ match }) => match.some((pattern) => matchesPath(pattern, path)))?.name;
}
