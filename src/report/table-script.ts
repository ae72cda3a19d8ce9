/**
 * The script of report pages: it makes the headings of tables buttons that sort, and opens what is folded before the page is
 * printed. Pages are complete without it. It is inserted as it is, so that it must not hold the end of a script element.
 */
export const SCRIPT = `
for (const table of document.querySelectorAll('table.sortable')) {
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  const textOf = (row, column) => row.cells[column].textContent.trim();
  const numberOf = (text) => Number.parseFloat(text.replace(/\\u2212/g, '-').replace(/^[^0-9-]+/, ''));
  heads.forEach((head, column) => {
    if (!head.textContent.trim()) return;
    const button = document.createElement('button');
    button.type = 'button';
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener('click', () => {
      const sign = head.getAttribute('aria-sort') === 'ascending' ? -1 : 1;
      for (const other of heads) other.removeAttribute('aria-sort');
      head.setAttribute('aria-sort', sign > 0 ? 'ascending' : 'descending');
      const rows = [...body.rows];
      const areNumbers = column > 0 && rows.some((row) => !Number.isNaN(numberOf(textOf(row, column))));
      const compare = (a, b) => {
        if (!areNumbers) return sign * textOf(a, column).localeCompare(textOf(b, column));
        const [first, second] = [numberOf(textOf(a, column)), numberOf(textOf(b, column))];
        // What was not measured comes last in either direction.
        if (Number.isNaN(first) || Number.isNaN(second)) return Number.isNaN(first) - Number.isNaN(second);
        return sign * (first - second);
      };
      body.append(...rows.sort(compare));
    });
  });
}
let folded = [];
addEventListener('beforeprint', () => {
  folded = [...document.querySelectorAll('details:not([open])')];
  for (const each of folded) each.open = true;
});
addEventListener('afterprint', () => {
  for (const each of folded) each.open = false;
});
`;
