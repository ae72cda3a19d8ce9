/**
 * Adds items to the end of a list, one by one. A spread (`list.push(...items)`) puts every item on the stack, which a hundred
 * thousand exhaust, so that it is for lists whose length no file decides.
 */
export function append<Item>(list: Item[], items: Iterable<Item>): void {
  for (const item of items) list.push(item);
}

/** The maximum of numbers of any count; `lowest` if there are none. */
export function maximum(numbers: Iterable<number>, lowest = Number.NEGATIVE_INFINITY): number {
  let found = lowest;
  for (const number of numbers) if (number > found) found = number;
  return found;
}
