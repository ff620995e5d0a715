// The few ONNX operators that the fake engine computes, on float32, one after the other as the standard
// defines them. It is no inference engine: it is there so that a plugin's tests need no native code.

import { elementCount, float32, type Tensor } from "../tensor/tensor.ts";

/** What an operator is given beside its inputs: integer and float attributes by name. */
export type Attributes = Readonly<Record<string, number>>;

/** Computes a node's outputs. */
export type Operator = (inputs: readonly Tensor[], attributes: Attributes) => readonly Tensor[];

const unary = (apply: (value: number) => number): Operator => ([x]) => {
  const { shape, data } = required(x);
  return [float32(shape, Float32Array.from(data as Float32Array, apply))];
};

const binary = (apply: (left: number, right: number) => number): Operator => ([a, b]) => [
  broadcast(required(a), required(b), apply),
];

/** Every operator of the fake engine, by its ONNX name. */
export const OPERATORS: Readonly<Record<string, Operator>> = {
  Abs: unary(Math.abs),
  Add: binary((left, right) => left + right),
  Div: binary((left, right) => left / right),
  Exp: unary(Math.exp),
  Gemm: ([a, b, c], attributes) => [gemm(required(a), required(b), { c, attributes })],
  Identity: unary((value) => value),
  MatMul: ([a, b]) => [matMul(required(a), required(b))],
  Mul: binary((left, right) => left * right),
  Neg: unary((value) => -value),
  Relu: unary((value) => value < 0 ? 0 : value),
  Sigmoid: unary((value) => 1 / (1 + Math.exp(-value))),
  Softmax: ([x]) => [softmax(required(x))],
  Sqrt: unary(Math.sqrt),
  Sub: binary((left, right) => left - right),
  Tanh: unary(Math.tanh),
};

function required(tensor: Tensor | undefined): Tensor {
  if (tensor !== undefined) return tensor;
  throw new RangeError("an input is missing");
}

/** Elementwise over shapes that fit each other as NumPy's do. */
function broadcast(
  left: Tensor,
  right: Tensor,
  apply: (left: number, right: number) => number,
): Tensor {
  const rank = Math.max(left.shape.length, right.shape.length);
  const shape = Array.from({ length: rank }, (_, axis) => {
    const sizes = [left, right].map(({ shape: own }) => own[axis - rank + own.length] ?? 1);
    const size = Math.max(...sizes);
    if (sizes.some((one) => one !== size && one !== 1)) {
      throw new RangeError(`shapes [${left.shape}] and [${right.shape}] do not fit each other`);
    }
    return size;
  });
  const data = new Float32Array(elementCount(shape));
  const [leftAt, rightAt] = [left, right].map((tensor) => indexer(tensor.shape, shape));
  for (let index = 0; index < data.length; index++) {
    data[index] = apply(
      (left.data as Float32Array)[leftAt?.(index) ?? 0] as number,
      (right.data as Float32Array)[rightAt?.(index) ?? 0] as number,
    );
  }
  return float32(shape, data);
}

/** From an element of the result to the element of an operand that it is made from. */
function indexer(own: readonly number[], shape: readonly number[]): (index: number) => number {
  return (index) => {
    let [rest, at, stride] = [index, 0, 1];
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      const size = shape[axis] as number;
      const position = rest % size;
      rest = (rest - position) / size;
      const ownSize = own[axis - shape.length + own.length] ?? 1;
      if (ownSize !== 1) at += position * stride;
      stride *= ownSize;
    }
    return at;
  };
}

/** `[…, m, k]` by `[k, n]`. */
function matMul(a: Tensor, b: Tensor): Tensor {
  const depth = a.shape.at(-1) ?? 0;
  const [rows, width = 0] = b.shape;
  if (b.shape.length !== 2 || rows !== depth || a.shape.length < 2) {
    throw new RangeError(`cannot multiply [${a.shape}] by [${b.shape}]`);
  }
  const shape = [...a.shape.slice(0, -1), width];
  const data = new Float32Array(elementCount(shape));
  const [left, right] = [a.data as Float32Array, b.data as Float32Array];
  for (let row = 0; row * width < data.length; row++) {
    for (let column = 0; column < width; column++) {
      let sum = 0;
      for (let k = 0; k < depth; k++) {
        sum += (left[row * depth + k] as number) * (right[k * width + column] as number);
      }
      data[row * width + column] = sum;
    }
  }
  return float32(shape, data);
}

function gemm(
  a: Tensor,
  b: Tensor,
  { c, attributes }: { readonly c: Tensor | undefined; readonly attributes: Attributes },
): Tensor {
  const { transA = 0, transB = 0, alpha = 1, beta = 1 } = attributes;
  if (transA !== 0) throw new RangeError("Gemm with transA is not computed here");
  const product = matMul(a, transB === 0 ? b : transposed(b));
  const scaled = float32(
    product.shape,
    (product.data as Float32Array).map((value) => value * alpha),
  );
  return c === undefined ? scaled : broadcast(scaled, c, (left, right) => left + beta * right);
}

function transposed({ shape, data }: Tensor): Tensor {
  const [rows = 0, columns = 0] = shape;
  const turned = new Float32Array(rows * columns);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      turned[column * rows + row] = (data as Float32Array)[row * columns + column] as number;
    }
  }
  return float32([columns, rows], turned);
}

/** Over the last dimension. */
function softmax({ shape, data }: Tensor): Tensor {
  const width = shape.at(-1) ?? 1;
  const result = Float32Array.from(data as Float32Array);
  for (let start = 0; start < result.length; start += width) {
    const row = result.subarray(start, start + width);
    const largest = Math.max(...row);
    let sum = 0;
    for (let index = 0; index < width; index++) {
      sum += row[index] = Math.exp((row[index] as number) - largest);
    }
    for (let index = 0; index < width; index++) row[index] = (row[index] as number) / sum;
  }
  return float32(shape, result);
}
