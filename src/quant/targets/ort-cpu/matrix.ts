/** Matrices of numbers in rows, and what merging weights needs of them. */
export interface Matrix {
  readonly data: Float64Array;
  readonly rows: number;
  readonly columns: number;
}

/** The product a · b. */
export function times(a: Matrix, b: Matrix): Matrix {
  const data = new Float64Array(a.rows * b.columns);
  for (let row = 0; row < a.rows; row++) {
    const result = data.subarray(row * b.columns, (row + 1) * b.columns);
    for (let inner = 0; inner < a.columns; inner++) {
      const factor = a.data[row * a.columns + inner] ?? 0;
      const start = inner * b.columns;
      for (let column = 0; column < b.columns; column++)
        result[column] = (result[column] ?? 0) + factor * (b.data[start + column] ?? 0);
    }
  }
  return { data, rows: a.rows, columns: b.columns };
}

/** The matrix with columns in the place of rows. */
export function transposed({ data, rows, columns }: Matrix): Matrix {
  const result = new Float64Array(data.length);
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++) result[column * rows + row] = data[row * columns + column] ?? 0;
  return { data: result, rows: columns, columns: rows };
}

/** The matrix with each column multiplied by a number. */
export function scaledColumns({ data, rows, columns }: Matrix, factors: Float64Array): Matrix {
  return { data: data.map((value, at) => value * (factors[at % columns] ?? 0)), rows, columns };
}

/** The columns of part `part` of `parts` equal ones. */
export function columnsOf({ data, rows, columns }: Matrix, part: number, parts: number): Matrix {
  const width = columns / parts;
  const result = new Float64Array(rows * width);
  for (let row = 0; row < rows; row++) {
    const start = row * columns + part * width;
    result.set(data.subarray(start, start + width), row * width);
  }
  return { data: result, rows, columns: width };
}

/** The rows of part `part` of `parts` equal ones. */
export function rowsOf({ data, rows, columns }: Matrix, part: number, parts: number): Matrix {
  const height = rows / parts;
  return { data: data.subarray(part * height * columns, (part + 1) * height * columns), rows: height, columns };
}

/** Matrices of as many columns below each other. */
export function joinedRows(parts: readonly Matrix[]): Matrix {
  const rows = parts.reduce((sum, part) => sum + part.rows, 0);
  const columns = parts[0]?.columns ?? 0;
  const data = new Float64Array(rows * columns);
  let at = 0;
  for (const part of parts) {
    data.set(part.data, at);
    at += part.data.length;
  }
  return { data, rows, columns };
}

/** Matrices of as many rows beside each other. */
export function joinedColumns(parts: readonly Matrix[]): Matrix {
  return transposed(joinedRows(parts.map(transposed)));
}
