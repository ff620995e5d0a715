// Two models of a few dozen bytes, encoded by hand so that the self-test and the provider probes need no
// file and no schema library: protobuf fields written as (number << 3 | wire type), all lengths < 128.
// Field numbers: onnx.proto of ONNX 1.20.

/** A model's output: the operator that makes it from the input `x`. */
interface UnaryOutput {
  readonly name: string;
  readonly op: string;
}

function bytesOf(text: string): number[] {
  return [...new TextEncoder().encode(text)];
}

function field(number: number, content: readonly number[]): number[] {
  const length = content.length < 128
    ? [content.length]
    : [content.length & 127 | 128, content.length >> 7];
  return [number << 3 | 2, ...length, ...content];
}

function valueInfo(name: string): number[] {
  const dimension = field(1, [1 << 3, 1]); // Dimension.dim_value = 1
  const tensorType = [1 << 3, 1, ...field(2, dimension)]; // elem_type = FLOAT, shape
  return [...field(1, bytesOf(name)), ...field(2, field(1, tensorType))];
}

/** A model that makes each output from the one input `x`, all of them `float32[1]`. */
export function unaryModel(outputs: readonly UnaryOutput[]): Uint8Array {
  const graph = [
    ...outputs.flatMap(({ name, op }) =>
      field(1, [
        ...field(1, bytesOf("x")),
        ...field(2, bytesOf(name)),
        ...field(4, bytesOf(op)),
      ])
    ),
    ...field(2, bytesOf("tiny")),
    ...field(11, valueInfo("x")),
    ...outputs.flatMap(({ name }) => field(12, valueInfo(name))),
  ];
  return Uint8Array.from([
    ...[1 << 3, 8], // ir_version = 8
    ...field(7, graph),
    ...field(8, [2 << 3, 13]), // opset_import: the default domain, version 13
  ]);
}
