/** The symbols of `using`, for browsers that do not have them yet. This is imported before everything that uses them. */

for (const name of ['dispose', 'asyncDispose'] as const)
  if (!Symbol[name]) Object.defineProperty(Symbol, name, { value: Symbol(`Symbol.${name}`) });
