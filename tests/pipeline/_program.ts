// Random models as programs: modules that call modules, as PyTorch code does. A program is both the
// graph that Hookline gets and what the reference interpreter runs statement by statement, so that what
// a hook means is said once, by scoping, and not by the graph algorithms under test.
//
// Everything is int32 and wraps around, so that equality is exact whatever ONNX Runtime fuses.

import type { GraphProto, ModelProto, NodeProto, TensorProto } from "onnx-buf";
import { create } from "@bufbuild/protobuf";
import { TensorProtoSchema } from "onnx-buf";
import { graph, modelOf, node, valueInfo } from "../support/build_model.ts";

/** `full` is [4, 4], `half` is [2, 4]. */
export type Kind = "full" | "half";

/** The shape of a kind. */
export const SHAPES: Readonly<Record<Kind, readonly number[]>> = { full: [4, 4], half: [2, 4] };

/** One operation. */
export interface Operation {
  readonly kind: "operation";
  readonly op: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
}

/** One call of a module. */
export interface Call {
  readonly kind: "call";
  readonly path: string;
  readonly callIndex: number;
  readonly body: readonly Statement[];
}

/** What a module consists of. */
export type Statement = Operation | Call;

/** A program: the root's statements and what goes in and out. */
export interface Program {
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** Weights by name: [4, 4] matrices `m*` and [4] rows `r*`. */
  readonly weights: ReadonlyMap<string, Int32Array>;
  /** Values that constant nodes compute from weights, by name: [4] rows. */
  readonly constants: ReadonlyMap<string, Int32Array>;
  readonly body: readonly Statement[];
  readonly kinds: ReadonlyMap<string, Kind>;
}

/** Random numbers that a seed decides. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = (seed * 2654435761 + 12345) >>> 0;
  }

  next(): number {
    let value = this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    value = Math.imul(value ^ (value >>> 15), value | 1);
    value ^= value + Math.imul(value ^ (value >>> 7), value | 61);
    return ((value ^ (value >>> 14)) >>> 0) / 4294967296;
  }

  below(limit: number): number {
    return Math.floor(this.next() * limit);
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  pick<Item>(items: readonly Item[]): Item {
    return items[this.below(items.length)] as Item;
  }
}

interface Formal {
  readonly name: string;
  readonly kind: Kind;
}

/** A module's code: formal names that every call replaces by its own. */
interface Definition {
  readonly path: string;
  readonly parameters: readonly Formal[];
  readonly body: readonly Step[];
  readonly returns: readonly Formal[];
}

type Step =
  | { readonly op: string; readonly inputs: readonly string[]; readonly outputs: readonly Formal[] }
  | {
    readonly definition: Definition;
    readonly args: readonly string[];
    readonly results: readonly Formal[];
  };

/** A random program. */
export function randomProgram(random: Random): Program {
  return new Generator(random).program();
}

class Generator {
  readonly #random: Random;
  readonly #weights = new Map<string, Int32Array>();
  readonly #constants = new Map<string, Int32Array>();
  readonly #definitions: Definition[] = [];
  #formal = 0;
  #calls = new Map<string, number>();
  #fresh = 0;
  #kinds = new Map<string, Kind>();

  constructor(random: Random) {
    this.#random = random;
  }

  program(): Program {
    for (let index = 0; index < 3; index++) {
      this.#weights.set(`m${index}`, this.#numbers(16, 2));
      this.#weights.set(`r${index}`, this.#numbers(4, 5));
      const row = this.#weights.get(`r${index}`) as Int32Array;
      this.#constants.set(`k${index}`, row.map((value) => -value));
    }
    const inputs: Formal[] = [
      { name: "x0", kind: "full" },
      { name: "x1", kind: "full" },
      { name: "x2", kind: "half" },
      { name: "unused", kind: "full" },
    ];
    for (const { name, kind } of inputs) this.#kinds.set(name, kind);
    const root = this.#define("", inputs.slice(0, 3), 0);
    const names = new Map(inputs.map(({ name }) => [name, name]));
    const body = this.#expand(root, names);
    const computed = [...this.#kinds.keys()].filter((name) =>
      !inputs.some((input) => input.name === name)
    );
    const outputs = new Set(root.returns.map(({ name }) => names.get(name) as string));
    // Values from the middle of any module.
    while (this.#random.chance(0.5)) outputs.add(this.#random.pick(computed));
    if (this.#random.chance(0.2)) outputs.add("x1");
    if (this.#random.chance(0.2)) outputs.add(this.#random.pick(["k0", "r1"]));
    return {
      inputs: ["flag", ...inputs.map(({ name }) => name)],
      outputs: [...outputs],
      weights: this.#weights,
      constants: this.#constants,
      body,
      kinds: this.#kinds,
    };
  }

  #numbers(count: number, limit: number): Int32Array {
    return Int32Array.from({ length: count }, () => this.#random.below(2 * limit + 1) - limit);
  }

  #define(path: string, parameters: readonly Formal[], depth: number): Definition {
    const random = this.#random;
    const visible = [...parameters];
    const own: Formal[] = [];
    const body: Step[] = [];
    const count = 1 + random.below(depth === 0 ? 6 : 4);
    let children = 0;
    const add = (step: Step, made: readonly Formal[]): void => {
      body.push(step);
      visible.push(...made);
      own.push(...made);
    };
    for (let index = 0; index < count; index++) {
      if (depth < 3 && random.chance(depth === 0 ? 0.75 : 0.45)) {
        const definition = random.chance(0.25) && this.#definitions.length > 0
          ? this.#reusable(path, visible)
          : this.#child(path, visible, { depth, index: children++ });
        if (definition !== null) {
          const args = definition.parameters.map(({ kind }) =>
            random.pick(visible.filter((value) => value.kind === kind)).name
          );
          const results = definition.returns.map(({ kind }) => this.#local(kind));
          add({ definition, args, results }, results);
          continue;
        }
      }
      const step = this.#operation(visible);
      add(step, step.outputs);
    }
    // An alias of one child's border: parent and child with equal nodes.
    const returns = own.filter(() => random.chance(0.5));
    if (returns.length === 0) returns.push(own[own.length - 1] as Formal);
    return { path, parameters, body, returns };
  }

  #child(
    path: string,
    visible: readonly Formal[],
    { depth, index }: { readonly depth: number; readonly index: number },
  ): Definition {
    const chosen = visible.filter(() => this.#random.chance(0.6));
    const given = chosen.length > 0 ? chosen : [this.#random.pick(visible)];
    const parameters = given.map(({ kind }) => this.#local(kind));
    const child = path === "" ? `b${index}` : `${path}.c${index}`;
    const definition = this.#define(child, parameters, depth + 1);
    this.#definitions.push(definition);
    return definition;
  }

  /** A module defined before that may be called from here: not one that is being defined. */
  #reusable(path: string, visible: readonly Formal[]): Definition | null {
    const fitting = this.#definitions.filter((definition) =>
      (path === "" || definition.path.startsWith(`${path}.`)) &&
      definition.parameters.every(({ kind }) => visible.some((value) => value.kind === kind))
    );
    return fitting.length === 0 ? null : this.#random.pick(fitting);
  }

  #local(kind: Kind): Formal {
    return { name: `f${this.#formal++}`, kind };
  }

  #operation(visible: readonly Formal[]): Extract<Step, { op: string }> {
    const random = this.#random;
    const first = random.pick(visible);
    const same = visible.filter(({ kind }) => kind === first.kind);
    const other = random.pick(same);
    const one = [this.#local(first.kind)];
    switch (random.below(9)) {
      case 0:
        return {
          op: "MatMul",
          inputs: [first.name, random.pick(["m0", "m1", "m2"])],
          outputs: one,
        };
      case 1:
        return {
          op: "Add",
          inputs: [first.name, random.pick(["r0", "r1", "k0", "k1", "k2"])],
          outputs: one,
        };
      case 2:
        return { op: random.pick(["Neg", "Abs"]), inputs: [first.name], outputs: one };
      case 3:
        return { op: "If", inputs: [first.name, other.name], outputs: one };
      case 4: {
        const full = random.pick(visible.filter(({ kind }) => kind === "full"));
        if (full === undefined) break;
        return {
          op: "Split",
          inputs: [full.name],
          outputs: [this.#local("half"), this.#local("half")],
        };
      }
      case 5: {
        const halves = visible.filter(({ kind }) => kind === "half");
        if (halves.length === 0) break;
        return {
          op: "Concat",
          inputs: [random.pick(halves).name, random.pick(halves).name],
          outputs: [this.#local("full")],
        };
      }
    }
    return {
      op: random.pick(["Add", "Sub", "Mul", "Max"]),
      inputs: [first.name, other.name],
      outputs: one,
    };
  }

  #expand(definition: Definition, names: Map<string, string>): Statement[] {
    return definition.body.map((step): Statement => {
      const actual = (name: string): string => names.get(name) ?? name; // weights keep their names
      const made = (formal: Formal): string => {
        const name = `v${this.#fresh++}`;
        names.set(formal.name, name);
        this.#kinds.set(name, formal.kind);
        return name;
      };
      if ("op" in step) {
        const inputs = step.inputs.map(actual);
        return { kind: "operation", op: step.op, inputs, outputs: step.outputs.map(made) };
      }
      const { definition: inner } = step;
      const local = new Map<string, string>();
      inner.parameters.forEach(({ name }, index) =>
        local.set(name, actual(step.args[index] as string))
      );
      const callIndex = this.#calls.get(inner.path) ?? 0;
      this.#calls.set(inner.path, callIndex + 1);
      const body = this.#expand(inner, local);
      inner.returns.forEach(({ name }, index) =>
        names.set((step.results[index] as Formal).name, local.get(name) as string)
      );
      return { kind: "call", path: inner.path, callIndex, body };
    });
  }
}

/** All operations in program order. */
export function operationsOf(body: readonly Statement[]): Operation[] {
  return body.flatMap((statement) =>
    statement.kind === "operation" ? [statement] : operationsOf(statement.body)
  );
}

/** All calls with the root's first, outer before inner. */
export function callsOf(program: Program): Call[] {
  const found: Call[] = [];
  const visit = (call: Call): void => {
    found.push(call);
    for (const statement of call.body) if (statement.kind === "call") visit(statement);
  };
  visit({ kind: "call", path: "", callIndex: 0, body: program.body });
  return found;
}

/** The border of a call: values that it reads from outside, and those that outside reads from it. */
export function borderOf(program: Program, call: Call): { inputs: string[]; outputs: string[] } {
  const own = operationsOf(call.body);
  const inside = new Set<Operation>(own);
  const made = new Set(own.flatMap((operation) => operation.outputs));
  const isConstant = (name: string) => program.weights.has(name) || program.constants.has(name);
  const inputs = own.flatMap((operation) => operation.inputs.concat(flagOf(operation)))
    .filter((name) => !made.has(name) && !isConstant(name));
  const readOutside = new Set([
    ...program.outputs,
    ...operationsOf(program.body).filter((operation) => !inside.has(operation)).flatMap((
      operation,
    ) => operation.inputs),
  ]);
  return {
    inputs: [...new Set(inputs)],
    outputs: [...made].filter((name) => readOutside.has(name)),
  };
}

function flagOf(operation: Operation): string[] {
  return operation.op === "If" ? ["flag"] : [];
}

/** The model of a program; `order` permutes the operations, topologically. */
export function modelOfProgram(program: Program, order: readonly Operation[]): ModelProto {
  const nodes: NodeProto[] = [...program.constants.keys()].map((name) =>
    node("Neg", [`r${name.slice(1)}`], [name])
  );
  for (const operation of order) nodes.push(nodeOf(operation));
  const declare = (name: string) => {
    if (name === "flag") return valueInfo(name, "bool", []);
    const kind = program.kinds.get(name);
    return valueInfo(name, "int32", kind === undefined ? [4] : SHAPES[kind]);
  };
  return modelOf({
    nodes,
    inputs: program.inputs.map(declare),
    outputs: program.outputs.map(declare),
    initializers: [...program.weights].map(([name, data]) => int32s(name, data)),
  });
}

function nodeOf({ op, inputs, outputs }: Operation): NodeProto {
  switch (op) {
    case "If":
      return node("If", ["flag"], outputs, {
        attributes: { then_branch: branch("Sub", inputs), else_branch: branch("Add", inputs) },
      });
    case "Split":
      return node("Split", inputs, outputs, { attributes: { axis: 0, num_outputs: 2 } });
    case "Concat":
      return node("Concat", inputs, outputs, { attributes: { axis: 0 } });
    default:
      return node(op, inputs, outputs);
  }
}

function branch(op: string, captures: readonly string[]): GraphProto {
  return graph({
    name: "branch",
    nodes: [node(op, captures, ["inner"])],
    outputs: [valueInfo("inner", "int32")],
  });
}

function int32s(name: string, data: Int32Array): TensorProto {
  return create(TensorProtoSchema, {
    name,
    dims: data.length === 16 ? [4n, 4n] : [4n],
    dataType: 6,
    rawData: new Uint8Array(data.slice().buffer),
  });
}

/** A random topological order of a program's operations. */
export function shuffled(program: Program, random: Random): Operation[] {
  const waiting = operationsOf(program.body);
  const known = new Set<string>([
    ...program.inputs,
    ...program.weights.keys(),
    ...program.constants.keys(),
  ]);
  const order: Operation[] = [];
  while (waiting.length > 0) {
    const ready = waiting.filter(({ inputs }) => inputs.every((name) => known.has(name)));
    const next = random.pick(ready);
    waiting.splice(waiting.indexOf(next), 1);
    for (const name of next.outputs) known.add(name);
    order.push(next);
  }
  return order;
}
