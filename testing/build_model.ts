// Models for tests of plugins: a chain of residual-free blocks, each a module with two modules inside, of
// operators that the fake engine computes. Weights are made up from the position alone, so that the same
// call gives the same bytes everywhere.

import { create, toBinary } from "@bufbuild/protobuf";
import {
  GraphProtoSchema,
  ModelProtoSchema,
  NodeProtoSchema,
  type TensorProto,
  TensorProtoSchema,
  type ValueInfoProto,
  ValueInfoProtoSchema,
} from "onnx-buf";
import { HooklineError } from "../errors/hookline_error.ts";

/** How large {@linkcode buildModel} makes a model. */
export interface BuildModelOptions {
  /** Number of blocks, `layers.0` to `layers.N-1`; 3 by default. */
  readonly layers?: number;
  /** Size of the last dimension throughout; 4 by default. */
  readonly width?: number;
}

const FLOAT = 1;

/**
 * The bytes of a model with named modules: `layers.I` holds `layers.I.linear` (MatMul, Add) and
 * `layers.I.activation` (Tanh).
 *
 * Shape: input `x` and output `y` are float32 `[batch, width]`.
 *
 * @throws {HooklineError} OPTION_INVALID for sizes below 1.
 *
 * @example
 * ```ts
 * import { openModel } from "@hookline/hookline";
 * import { buildModel, fakeEngine } from "@hookline/hookline/testing";
 * await using model = await openModel(buildModel({ layers: 1 }), { engine: fakeEngine() });
 * console.log(model.select("layers.0.*").map((module) => module.path));
 * ```
 */
export function buildModel(options: BuildModelOptions = {}): Uint8Array<ArrayBuffer> {
  const layers = size("layers", options.layers ?? 3);
  const width = size("width", options.width ?? 4);
  const initializer: TensorProto[] = [];
  const node = [];
  let value = "x";
  for (let index = 0; index < layers; index++) {
    const path = `layers.${index}`;
    const output = index === layers - 1 ? "y" : `h${index}`;
    initializer.push(
      floats(`${path}.linear.weight`, [width, width], index),
      floats(`${path}.linear.bias`, [width], index + 0.5),
    );
    const steps = [
      ["MatMul", `${path}/linear`, [value, `${path}.linear.weight`], `${path}.product`],
      ["Add", `${path}/linear`, [`${path}.product`, `${path}.linear.bias`], `${path}.sum`],
      ["Tanh", `${path}/activation`, [`${path}.sum`], output],
    ] as const;
    for (const [opType, scope, input, out] of steps) {
      const name = `/${scope}/${opType}`;
      node.push(create(NodeProtoSchema, { opType, name, input: [...input], output: [out] }));
    }
    value = output;
  }
  const model = create(ModelProtoSchema, {
    irVersion: 10n,
    opsetImport: [{ domain: "", version: 20n }],
    graph: create(GraphProtoSchema, {
      name: "test",
      node,
      initializer,
      input: [matrix("x", width)],
      output: [matrix("y", width)],
    }),
  });
  return new Uint8Array(toBinary(ModelProtoSchema, model));
}

function size(name: string, value: number): number {
  if (Number.isSafeInteger(value) && value >= 1) return value;
  throw new HooklineError("OPTION_INVALID", {
    message: `cannot build a model with ${name} ${value}: wanted a whole number from 1`,
    fix: `give ${name} a whole number from 1`,
    details: { option: name },
  });
}

/** Small numbers that differ from element to element and from tensor to tensor. */
function floats(name: string, dims: readonly number[], seed: number): TensorProto {
  const count = dims.reduce((product, dim) => product * dim, 1);
  const data = Float32Array.from(
    { length: count },
    (_, index) => ((index * 37 + seed * 11) % 19 - 9) / 16,
  );
  return create(TensorProtoSchema, {
    name,
    dims: dims.map(BigInt),
    dataType: FLOAT,
    rawData: new Uint8Array(data.buffer),
  });
}

function matrix(name: string, width: number): ValueInfoProto {
  return create(ValueInfoProtoSchema, {
    name,
    type: {
      value: {
        case: "tensorType",
        value: {
          elemType: FLOAT,
          shape: {
            dim: [
              { value: { case: "dimParam", value: "batch" } },
              { value: { case: "dimValue", value: BigInt(width) } },
            ],
          },
        },
      },
    },
  });
}
