// Damage to the structure of a decoded model: what a broken exporter, a careless edit or an attacker
// would leave in a file that is still perfectly encoded.

import {
  create,
  type DescMessage,
  fromBinary,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import {
  AttributeProto_AttributeType as AttributeType,
  AttributeProtoSchema,
  type GraphProto,
  GraphProtoSchema,
  type ModelProto,
  type NodeProto,
  NodeProtoSchema,
  SparseTensorProtoSchema,
  type TensorProto,
  TensorProtoSchema,
  type ValueInfoProto,
} from "onnx-buf";
import { walkTensors } from "../../graph/walk_tensors.ts";
import { graph, node, valueInfo } from "../support/build_model.ts";
import type { SeededRandom } from "./seeded_random.ts";

/** Names that break careless code: object keys, paths, patterns, control characters, sheer length. */
const WILD_NAMES: readonly string[] = [
  "",
  "__proto__",
  "constructor",
  "toString",
  "hasOwnProperty",
  "a\0b",
  "/",
  "//",
  "/../..",
  "/a/../b/MatMul",
  "...",
  ".",
  "a..b",
  "*",
  "**",
  "[0]",
  "{a,b}",
  "!x",
  "class:Linear",
  "/x/",
  " ",
  "\n",
  "\u202eabc",
  "\u{1f600}",
  "x@0/y",
  "@self",
  "%s%n",
  "x".repeat(100_000),
  "/".repeat(3000),
  "/a".repeat(3000),
  "a.".repeat(3000),
  "_1".repeat(500),
  `["a", "b`,
  "['', 'a', 'b']",
];

const WILD_NUMBERS: readonly bigint[] = [
  0n,
  -1n,
  1n << 31n,
  -(1n << 31n),
  (1n << 63n) - 1n,
  -(1n << 63n),
  1n << 53n,
  4_000_000_000n,
];

const WILD_LOCATIONS: readonly string[] = [
  "",
  ".",
  "..",
  "/etc/passwd",
  "../../../etc/passwd",
  "nowhere.bin",
  "@self",
  "*/_ORT_MEM_ADDR_/*",
  "a\0b",
  "C:\\x",
  "model.onnx",
  "/dev/zero",
  "x".repeat(5000),
];

type Mutation = (model: ModelProto, random: SeededRandom) => void;

function graphsOf(model: ModelProto): GraphProto[] {
  const found: GraphProto[] = [];
  const visit = (inner: GraphProto): void => {
    found.push(inner);
    for (const holder of inner.node) bodiesOf(holder).forEach(visit);
  };
  if (model.graph !== undefined) visit(model.graph);
  for (const definition of model.functions) {
    for (const holder of definition.node) bodiesOf(holder).forEach(visit);
  }
  return found;
}

function bodiesOf(holder: NodeProto): GraphProto[] {
  return holder.attribute.flatMap((attribute) =>
    attribute.g === undefined ? attribute.graphs : [attribute.g, ...attribute.graphs]
  );
}

/** Every list of nodes: graphs, bodies, functions. */
function nodeLists(model: ModelProto): NodeProto[][] {
  return [
    ...graphsOf(model).map((inner) => inner.node),
    ...model.functions.map((definition) => definition.node),
  ];
}

function pickNode(model: ModelProto, random: SeededRandom): NodeProto | undefined {
  return random.pick(random.pick(nodeLists(model).filter((nodes) => nodes.length > 0)) ?? []);
}

function pickGraph(model: ModelProto, random: SeededRandom): GraphProto | undefined {
  const graphs = graphsOf(model);
  return random.chance(0.6) ? graphs[0] : random.pick(graphs);
}

function anyValue(inner: GraphProto | undefined, random: SeededRandom): string {
  if (inner === undefined) return "";
  return random.pick([
    ...inner.input.map((value) => value.name),
    ...inner.initializer.map((tensor) => tensor.name),
    ...inner.node.flatMap((holder) => holder.output),
  ]) ?? "";
}

function wildName(random: SeededRandom): string {
  return random.pick(WILD_NAMES) ?? "";
}

function renameEverywhere(inner: GraphProto, from: string, to: string): void {
  const change = (name: string): string => name === from ? to : name;
  for (const holder of inner.node) {
    holder.input = holder.input.map(change);
    holder.output = holder.output.map(change);
    for (const body of bodiesOf(holder)) renameEverywhere(body, from, to);
  }
  for (const value of [...inner.input, ...inner.output, ...inner.valueInfo, ...inner.initializer]) {
    value.name = change(value.name);
  }
}

function resize(dims: bigint[], random: SeededRandom): bigint[] {
  const out = [...dims];
  if (out.length === 0 || random.chance(0.2)) out.push(random.pick(WILD_NUMBERS) ?? 0n);
  else out[random.below(out.length)] = random.pick(WILD_NUMBERS) ?? 0n;
  if (random.chance(0.05)) { for (let rank = 0; rank < 300; rank++) out.push(1n); }
  return out;
}

function pickTensor(model: ModelProto, random: SeededRandom): TensorProto | undefined {
  return random.pick([...walkTensors(model)]);
}

function pickDeclared(model: ModelProto, random: SeededRandom): ValueInfoProto | undefined {
  const inner = pickGraph(model, random);
  return random.pick([...inner?.input ?? [], ...inner?.output ?? [], ...inner?.valueInfo ?? []]);
}

function editList<Item>(items: Item[], random: SeededRandom, copy: (item: Item) => Item): void {
  const at = random.below(items.length);
  const item = items[at];
  if (item === undefined) return;
  switch (random.below(4)) {
    case 0:
      items.splice(at, 1);
      break;
    case 1:
      items.splice(at, 0, copy(item));
      break;
    case 2:
      items.splice(at, 1);
      items.splice(random.below(items.length + 1), 0, item);
      break;
    default:
      items.length = 0;
  }
}

/** A deep copy; protobuf-es' own clone refuses what is already damaged. */
function clone<Desc extends DescMessage>(
  schema: Desc,
  message: MessageShape<Desc>,
): MessageShape<Desc> {
  return fromBinary(schema, toBinary(schema, message), { recursionLimit: 1000 });
}

const same = <Item>(item: Item): Item => item;

const MUTATIONS: readonly Mutation[] = [
  function renameConsistently(model, random) {
    const inner = pickGraph(model, random);
    if (inner === undefined) return;
    renameEverywhere(inner, anyValue(inner, random), wildName(random));
  },
  function renameOneUse(model, random) {
    const holder = pickNode(model, random);
    const names = random.chance(0.5) ? holder?.input : holder?.output;
    if (names === undefined || names.length === 0) return;
    names[random.below(names.length)] = random.chance(0.5)
      ? wildName(random)
      : anyValue(pickGraph(model, random), random);
  },
  function renameNodes(model, random) {
    const name = wildName(random);
    for (const nodes of nodeLists(model)) {
      for (const holder of nodes) if (random.chance(0.1)) holder.name = name;
    }
  },
  function renameOperator(model, random) {
    const holder = pickNode(model, random);
    if (holder === undefined) return;
    holder.opType = random.chance(0.5) ? wildName(random) : random.oneOf("If", "Loop", "Constant");
    if (random.chance(0.3)) holder.domain = wildName(random);
  },
  function editNodes(model, random) {
    const nodes = random.pick(nodeLists(model));
    if (nodes !== undefined) {
      editList(nodes, random, (holder) => clone(NodeProtoSchema, holder));
    }
  },
  function shuffleNodes(model, random) {
    const nodes = random.pick(nodeLists(model)) ?? [];
    for (let at = nodes.length - 1; at > 0; at--) {
      const other = random.below(at + 1);
      [nodes[at], nodes[other]] = [nodes[other] as NodeProto, nodes[at] as NodeProto];
    }
  },
  function editInputs(model, random) {
    const holder = pickNode(model, random);
    if (holder === undefined) return;
    editList(random.chance(0.5) ? holder.input : holder.output, random, same);
  },
  function makeCycle(model, random) {
    const nodes = random.pick(nodeLists(model)) ?? [];
    const first = random.below(nodes.length);
    const later = nodes[first + random.below(nodes.length - first)];
    const output = random.pick(later?.output ?? []);
    const input = nodes[first]?.input;
    if (output === undefined || input === undefined) return;
    if (input.length === 0) input.push(output);
    else input[random.below(input.length)] = output;
  },
  function duplicateName(model, random) {
    const inner = pickGraph(model, random);
    const holder = random.pick(inner?.node ?? []);
    if (inner === undefined || holder === undefined || holder.output.length === 0) return;
    holder.output[random.below(holder.output.length)] = anyValue(inner, random);
  },
  function editDeclarations(model, random) {
    const inner = pickGraph(model, random);
    if (inner === undefined) return;
    const list = random.oneOf(inner.input, inner.output, inner.valueInfo);
    if (random.chance(0.3)) list.push(valueInfo(anyValue(inner, random)));
    else editList(list, random, same);
  },
  function editInitializers(model, random) {
    const inner = pickGraph(model, random);
    if (inner !== undefined) {
      editList(inner.initializer, random, (tensor) => clone(TensorProtoSchema, tensor));
    }
  },
  function declareInitializersAsInputs(model) {
    for (const tensor of model.graph?.initializer ?? []) {
      model.graph?.input.push(valueInfo(tensor.name));
    }
  },
  function wildDtype(model, random) {
    const type = random.oneOf(0, 8, 14, 16, 21, 24, 99, -1, 2_147_483_647);
    const tensor = pickTensor(model, random);
    const declared = pickDeclared(model, random)?.type?.value;
    if (random.chance(0.5) && tensor !== undefined) tensor.dataType = type;
    else if (declared?.case === "tensorType") declared.value.elemType = type;
  },
  function wildSizes(model, random) {
    const tensor = pickTensor(model, random);
    const declared = pickDeclared(model, random)?.type?.value;
    if (random.chance(0.5) && tensor !== undefined) tensor.dims = resize(tensor.dims, random);
    else if (declared?.case === "tensorType") {
      for (const dim of declared.value.shape?.dim ?? []) {
        if (random.chance(0.5)) {
          dim.value = { case: "dimValue", value: random.pick(WILD_NUMBERS) ?? 0n };
        } else dim.value = { case: "dimParam", value: wildName(random) };
      }
    }
  },
  function wildData(model, random) {
    const tensor = pickTensor(model, random);
    if (tensor === undefined) return;
    if (random.chance(0.3)) tensor.rawData = tensor.rawData.subarray(0, random.below(20)) as never;
    if (random.chance(0.3)) tensor.int64Data = [1n, 2n];
    if (random.chance(0.3)) tensor.floatData = [NaN, 1, 2];
    if (random.chance(0.3)) tensor.stringData = [new Uint8Array([255, 254])];
  },
  function wildExternal(model, random) {
    const tensor = pickTensor(model, random);
    if (tensor === undefined) return;
    tensor.dataLocation = random.oneOf(1, 1, 1, 0, 2 as never);
    tensor.externalData = [
      ["location", random.pick(WILD_LOCATIONS) ?? ""],
      ["offset", random.oneOf("0", "-1", "4096", "9007199254740993", "1e3", "x", "")],
      ["length", random.oneOf("0", "-1", "16", "9999999999999999999", "NaN", "")],
    ].filter(() => random.chance(0.8)).map(([key = "", value = ""]) =>
      ({ $typeName: "onnx.StringStringEntryProto", key, value }) as never
    );
    if (random.chance(0.5)) tensor.rawData = new Uint8Array() as never;
  },
  function wildAttribute(model, random) {
    const attribute = random.pick(pickNode(model, random)?.attribute ?? []);
    if (attribute === undefined) return;
    attribute.type = random.oneOf(0, 1, 2, 3, 4, 5, 10, 13, 99 as never) as AttributeType;
    if (random.chance(0.3)) attribute.name = wildName(random);
    if (random.chance(0.3)) attribute.refAttrName = wildName(random);
    if (random.chance(0.2)) attribute.i = random.pick(WILD_NUMBERS) ?? 0n;
    if (random.chance(0.2)) delete attribute.g;
  },
  function addBody(model, random) {
    const holder = pickNode(model, random);
    const source = random.pick(graphsOf(model));
    if (holder === undefined || source === undefined || source.node.length > 60) return;
    const body = clone(GraphProtoSchema, source);
    if (random.chance(0.7)) body.input = [];
    holder.attribute.push(
      create(AttributeProtoSchema, { name: "body", type: AttributeType.GRAPH, g: body }),
    );
  },
  function nestDeep(model, random) {
    const inner = pickGraph(model, random);
    if (inner === undefined) return;
    const name = anyValue(inner, random);
    let body = graph({ nodes: [node("Identity", [name], ["deep"])], outputs: ["deep"] });
    for (let depth = random.below(90); depth > 0; depth--) {
      body = graph({
        nodes: [node("If", [name], ["deep"], {
          attributes: { then_branch: body, else_branch: graph({ outputs: [name] }) },
        })],
        outputs: ["deep"],
      });
    }
    inner.node.push(...body.node);
  },
  function wildOpset(model, random) {
    const entry = random.pick(model.opsetImport);
    if (entry === undefined || random.chance(0.2)) model.opsetImport = [];
    else if (random.chance(0.5)) entry.version = random.pick(WILD_NUMBERS) ?? 0n;
    else model.opsetImport.push({ ...entry, domain: wildName(random) });
    if (random.chance(0.3)) model.irVersion = random.pick(WILD_NUMBERS) ?? 0n;
  },
  function editFunctions(model, random) {
    const definition = random.pick(model.functions);
    if (definition === undefined) return;
    switch (random.below(7)) {
      case 0:
        editList(model.functions, random, same);
        break;
      case 1: // a circle
        definition.node.push(
          node(definition.name, [...definition.input], ["again"], { domain: definition.domain }),
        );
        break;
      case 2:
        definition.domain = random.oneOf("pkg.onnxscript.torch_lib", "", "ai.onnx", "local");
        break;
      case 3:
        editList(random.oneOf(definition.input, definition.output), random, same);
        break;
      case 4:
        definition.opsetImport = definition.opsetImport.map((entry) => ({ ...entry, version: 7n }));
        break;
      case 5: {
        const other = random.pick(model.functions) ?? definition;
        definition.node.push(
          node(other.name, [...definition.input], [`${other.name}_more`], { domain: other.domain }),
        );
        break;
      }
      default:
        definition.name = wildName(random);
    }
  },
  function addSparse(model, random) {
    const inner = pickGraph(model, random);
    const values = pickTensor(model, random);
    if (inner === undefined || values === undefined) return;
    inner.sparseInitializer.push(
      create(SparseTensorProtoSchema, {
        values: random.chance(0.8)
          ? { ...clone(TensorProtoSchema, values), name: anyValue(inner, random) }
          : undefined as never,
        dims: [random.pick(WILD_NUMBERS) ?? 0n],
      }),
    );
  },
  function wildMetadata(model, random) {
    const lists = [
      model.metadataProps,
      ...nodeLists(model).flat().filter(() => random.chance(0.2)).map((holder) =>
        holder.metadataProps
      ),
    ];
    for (const list of lists) {
      list.push(
        {
          $typeName: "onnx.StringStringEntryProto",
          key: random.oneOf(
            "pkg.torch.onnx.name_scopes",
            "pkg.torch.onnx.class_hierarchy",
            "namespace",
            "__proto__",
          ),
          value: random.chance(0.5) ? wildName(random) : `['', '${wildName(random)}', 'x.y']`,
        } as never,
      );
    }
  },
  function wildType(model, random) {
    const declared = pickDeclared(model, random);
    if (declared === undefined) return;
    if (random.chance(0.3)) delete declared.type;
    else {
      declared.type = {
        $typeName: "onnx.TypeProto",
        denotation: "",
        value: random.oneOf(
          { case: undefined },
          { case: "sequenceType", value: { $typeName: "onnx.TypeProto.Sequence" } },
          { case: "optionalType", value: { $typeName: "onnx.TypeProto.Optional" } },
        ),
      } as never;
    }
  },
];

/** One damage to the structure. */
export function mutateStructure(model: ModelProto, random: SeededRandom): void {
  random.pick(MUTATIONS)?.(model, random);
}
