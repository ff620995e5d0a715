// An engine without native code: it computes small float32 models in JavaScript, so that the tests of a
// plugin need no permission but to read their own files. Plans, cuts, taps and hooks are the real ones.

import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fromBinary } from "@bufbuild/protobuf";
import { type GraphProto, ModelProtoSchema, type NodeProto, type ValueInfoProto } from "onnx-buf";
import { HooklineError } from "../errors/hookline_error.ts";
import { decodeTensorProto } from "../graph/tensor_proto.ts";
import type {
  Engine,
  EngineSession,
  SessionSettings,
  SessionSource,
  ValueSpec,
} from "../sessions/engine.ts";
import { FeedGuard } from "../sessions/feed_guard.ts";
import { FetchGuard } from "../sessions/fetch_guard.ts";
import { sessionReleasedError } from "../sessions/session_errors.ts";
import { sessionLedger } from "../sessions/session_ledger.ts";
import { emptyTensorMap, type Tensor, type TensorMap } from "../tensor/tensor.ts";
import { type Attributes, OPERATORS } from "./operators.ts";

/** The operators that a fake engine computes, sorted. */
export const FAKE_OPERATORS: readonly string[] = Object.keys(OPERATORS).sort();

/**
 * Makes an engine that computes models of {@linkcode FAKE_OPERATORS} on float32, without ONNX Runtime.
 *
 * @throws {HooklineError} SESSION_CREATE, when a model is opened that holds anything else.
 *
 * @example
 * ```ts
 * import { float32, openModel } from "@hookline/hookline";
 * import { buildModel, fakeEngine } from "@hookline/hookline/testing";
 * await using model = await openModel(buildModel({ layers: 2, width: 4 }), { engine: fakeEngine() });
 * console.log(model.modules.map((module) => module.path)); // [ "", "layers", "layers.0", … ]
 * console.log((await model.run({ x: float32([1, 4], [1, 2, 3, 4]) }))["y"]?.shape); // [ 1, 4 ]
 * ```
 */
export function fakeEngine(): Engine {
  return {
    // Sessions are told apart by their owner alone, so it may stand where the napi engine stands.
    name: "napi",
    version: () => Promise.resolve("1.29.0"),
    open: (source, settings) => openFake(source, settings),
  };
}

// deno-lint-ignore require-await -- engines open asynchronously, and what is wrong must reject
async function openFake(source: SessionSource, settings: SessionSettings): Promise<EngineSession> {
  const bytes = source.kind === "file" ? readFileSync(source.path) : source.bytes;
  const folder = source.kind === "file" ? dirname(source.path) : source.weightFolder;
  let program: Program;
  try {
    const { graph } = fromBinary(ModelProtoSchema, bytes);
    if (graph === undefined) throw new TypeError("there is no graph");
    program = compile(graph, folder);
  } catch (cause) {
    throw new HooklineError("SESSION_CREATE", {
      message: `cannot open ${settings.label} on the fake engine: ${
        cause instanceof Error ? cause.message : String(cause)
      }`,
      fix: `use ${FAKE_OPERATORS.join(", ")} on float32, or a real engine`,
      details: { label: settings.label },
      cause,
    });
  }
  return sessionOf(program, settings, bytes.byteLength);
}

interface Program {
  readonly inputs: readonly ValueSpec[];
  readonly outputs: readonly ValueSpec[];
  readonly constants: ReadonlyMap<string, Tensor>;
  readonly nodes: readonly { readonly node: NodeProto; readonly attributes: Attributes }[];
}

function compile(graph: GraphProto, folder: string | null): Program {
  const constants = new Map(graph.initializer.map((tensor) => {
    const { externalData } = tensor;
    if (externalData.length === 0) return [tensor.name, decodeTensorProto(tensor)] as const;
    const of = (key: string): string => externalData.find((one) => one.key === key)?.value ?? "0";
    const file = readFileSync(join(folder ?? "", of("location")));
    const start = Number(of("offset"));
    const rawData = new Uint8Array(file.subarray(start, start + Number(of("length"))));
    const inline = { ...tensor, rawData, dataLocation: 0, externalData: [] };
    return [tensor.name, decodeTensorProto(inline as typeof tensor)] as const;
  }));
  const nodes = graph.node.map((node) => {
    if (node.opType === "Constant") {
      const value = node.attribute.find(({ name }) => name === "value")?.t;
      if (value === undefined) throw new TypeError("a Constant holds no tensor");
      constants.set(node.output[0] ?? "", decodeTensorProto(value));
    } else if (!Object.hasOwn(OPERATORS, node.opType) || node.domain !== "") {
      throw new TypeError(`it holds the operator ${node.opType}`);
    }
    const attributes = Object.fromEntries(
      node.attribute.map(({ name, type, f, i }) => [name, type === 1 ? f : Number(i)]),
    );
    return { node, attributes };
  });
  return {
    inputs: graph.input.filter(({ name }) => !constants.has(name)).map(specOf),
    outputs: graph.output.map(specOf),
    constants,
    nodes: nodes.filter(({ node }) => node.opType !== "Constant"),
  };
}

function specOf({ name, type }: ValueInfoProto): ValueSpec {
  const shape = type?.value.case === "tensorType" ? type.value.value.shape : undefined;
  const sizes = shape?.dim.map(({ value }) =>
    value.case === "dimValue" ? Number(value.value) : value.case === "dimParam" ? value.value : null
  );
  // ONNX Runtime says nothing of the shape of a scalar either.
  const isKnown = sizes !== undefined && sizes.length > 0;
  return { name, isTensor: true, dtype: "float32", shape: isKnown ? sizes : null };
}

function sessionOf(
  program: Program,
  settings: SessionSettings,
  byteLength: number,
): EngineSession {
  const guard = new FeedGuard(program.inputs, settings.label);
  const fetchGuard = new FetchGuard(program.outputs, settings.label);
  const { label, provider, threads } = settings;
  const strikeOff = sessionLedger.add({ label, engine: "napi", provider, byteLength, threads });
  let released = false;
  const release = (): Promise<void> => {
    released = true;
    strikeOff();
    return Promise.resolve();
  };
  return {
    inputs: program.inputs,
    outputs: program.outputs,
    get released() {
      return released;
    },
    // deno-lint-ignore require-await -- runs are asynchronous, and what is wrong must reject
    async run(feeds: TensorMap, fetches = fetchGuard.names, options = {}): Promise<TensorMap> {
      if (released) throw sessionReleasedError(settings);
      options.signal?.throwIfAborted();
      guard.check(feeds);
      fetchGuard.check(fetches);
      return compute(program, feeds, { fetches, label });
    },
    release,
    [Symbol.asyncDispose]: release,
  };
}

function compute(
  { constants, nodes }: Program,
  feeds: TensorMap,
  { fetches, label }: { readonly fetches: readonly string[]; readonly label: string },
): TensorMap {
  const values = new Map<string, Tensor>([...constants, ...Object.entries(feeds)]);
  for (const { node, attributes } of nodes) {
    try {
      const inputs = node.input.map((name) => values.get(name) as Tensor);
      const outputs = OPERATORS[node.opType]?.(inputs, attributes) ?? [];
      outputs.forEach((tensor, index) => values.set(node.output[index] ?? "", tensor));
    } catch (cause) {
      throw new HooklineError("SESSION_RUN", {
        message: `cannot run ${label} on the fake engine: ${node.opType} "${node.name}": ${
          cause instanceof Error ? cause.message : String(cause)
        }`,
        fix: "check the shapes of the inputs",
        details: { label, node: node.name },
        cause,
      });
    }
  }
  const outputs = emptyTensorMap();
  for (const name of fetches) {
    const { dtype, shape, data } = values.get(name) as Tensor;
    // The caller's own memory: an output may be a feed or a weight.
    outputs[name] = { dtype, shape: [...shape], data: (data as Float32Array).slice() };
  }
  return outputs;
}
