// Keys for models that declare none: found by class names where the exporter recorded them, else by
// shape: a row of numbered modules, each feeding the next, with a Softmax in each. It attaches nothing.

import type { GraphModule, Model } from "../../mod.ts";
import type { KeyDeclarations } from "./capture_key.ts";
import type { ClassTable } from "./class_table.ts";
import { operatorsInside, OutputRecorder } from "./output_recorder.ts";

/** The classes of a family of models: its layer and the module that holds the attention's Softmax. */
export interface ClassPreset {
  /** Class of the repeated layer. */
  readonly layer: string;
  /** Class of the self-attention. */
  readonly attention: string;
}

/** Families whose classes are known, as transformers declares them. */
export const CLASS_PRESETS: readonly ClassPreset[] = Object.freeze([
  { layer: "AlbertLayer", attention: "AlbertAttention" },
  { layer: "BertLayer", attention: "BertSelfAttention" },
  { layer: "CLIPEncoderLayer", attention: "CLIPAttention" },
  { layer: "DistilBertTransformerBlock", attention: "MultiHeadSelfAttention" },
  { layer: "ElectraLayer", attention: "ElectraSelfAttention" },
  { layer: "GPT2Block", attention: "GPT2Attention" },
  { layer: "GPTNeoXLayer", attention: "GPTNeoXAttention" },
  { layer: "GemmaDecoderLayer", attention: "GemmaAttention" },
  { layer: "LlamaDecoderLayer", attention: "LlamaAttention" },
  { layer: "MistralDecoderLayer", attention: "MistralAttention" },
  { layer: "PhiDecoderLayer", attention: "PhiAttention" },
  { layer: "Qwen2DecoderLayer", attention: "Qwen2Attention" },
  { layer: "RobertaLayer", attention: "RobertaSelfAttention" },
  { layer: "SiglipEncoderLayer", attention: "SiglipAttention" },
  { layer: "ViTLayer", attention: "ViTSelfAttention" },
  { layer: "XLMRobertaLayer", attention: "XLMRobertaSelfAttention" },
]);

const CROSS = /(^|[._])(cross|crossattention|encoder_attn|enc_?dec|multihead_attn)|cross_?attn/i;

/**
 * The keys that can be recorded of a model without any declaration: `hidden_states`, and `attentions`
 * and `cross_attentions` where a Softmax is found. An encoder and a decoder in one file give
 * `encoder_hidden_states`, `decoder_hidden_states` and so on. Empty where nothing fits.
 */
export function presetKeys(model: Model, classes: ClassTable): KeyDeclarations {
  const preset = CLASS_PRESETS.find(({ layer }) =>
    model.modules.some((module) => classes.isInstance(module, layer))
  );
  if (preset !== undefined) {
    const holders = model.modules.filter((module) => classes.isInstance(module, preset.attention));
    const hasSoftmax = holders.some(({ path }) => operatorsInside(model, path, "Softmax") !== null);
    return {
      hidden_states: preset.layer,
      ...hasSoftmax ? { attentions: preset.attention } : {},
    };
  }
  const rows = layerRows(model);
  const encoder = rows.find(({ parent }) => /(^|\.)encoder(\.|$)/.test(parent));
  const decoder = rows.find(({ parent }) => /(^|\.)decoder(\.|$)/.test(parent));
  if (encoder !== undefined && decoder !== undefined) {
    const own = rowKeys(model, decoder);
    return {
      ...prefixed("encoder_", rowKeys(model, encoder)),
      ...prefixed("decoder_", { ...own, cross_attentions: undefined }),
      ...own.cross_attentions === undefined ? {} : { cross_attentions: own.cross_attentions },
    };
  }
  const largest = rows.reduce<LayerRow | undefined>(
    (best, row) => best === undefined || row.nodeCount > best.nodeCount ? row : best,
    undefined,
  );
  return largest === undefined ? {} : defined(rowKeys(model, largest));
}

interface LayerRow {
  /** The path of what holds the layers. */
  readonly parent: string;
  readonly layers: readonly GraphModule[];
  readonly nodeCount: number;
}

type RowKeys = {
  readonly hidden_states: OutputRecorder;
  readonly attentions: OutputRecorder | undefined;
  readonly cross_attentions: OutputRecorder | undefined;
};

/** Rows of numbered modules under one parent, each of which feeds the next and holds a Softmax. */
function layerRows(model: Model): readonly LayerRow[] {
  const rows = new Map<string, GraphModule[]>();
  for (const module of model.modules) {
    const stem = /^(.*?)\d+$/.exec(module.path)?.[1];
    if (stem === undefined || module.calls.length === 0 || module.insideBody !== null) continue;
    rows.set(stem, [...rows.get(stem) ?? [], module]);
  }
  return [...rows].filter(([, layers]) => layers.length > 1 && isChain(layers))
    .filter(([, layers]) =>
      layers.every(({ path }) => operatorsInside(model, path, "Softmax") !== null)
    )
    .map(([stem, layers]) => ({
      parent: stem.replace(/\.?[^.]*$/, ""),
      layers,
      nodeCount: layers.reduce((sum, { calls }) => sum + (calls[0]?.nodes.length ?? 0), 0),
    }));
}

function isChain(layers: readonly GraphModule[]): boolean {
  return layers.every((layer, at) => {
    const next = layers[at + 1]?.calls[0]?.inputs;
    return next === undefined || (layer.calls.at(-1)?.outputs.some((out) => next.includes(out)) ??
      false);
  });
}

function rowKeys(model: Model, { layers }: LayerRow): RowKeys {
  const holders = layers.flatMap((layer) => attentionModules(model, layer));
  const isCross = ({ path }: GraphModule): boolean => {
    const layer = layers.find((one) => path.startsWith(one.path));
    return CROSS.test(path.slice(layer?.path.length ?? 0));
  };
  const recorder = (modules: readonly GraphModule[]): OutputRecorder | undefined =>
    modules.length === 0
      ? undefined
      : new OutputRecorder({ target: modules.map(({ path }) => `${path}::Softmax`) });
  return {
    hidden_states: new OutputRecorder({
      target: layers.map(({ path }) => path),
      firstInput: true,
    }),
    attentions: recorder(holders.filter((module) => !isCross(module))),
    cross_attentions: recorder(holders.filter(isCross)),
  };
}

/** The innermost modules of a layer that hold a Softmax; the layer itself where none inside does. */
function attentionModules(model: Model, layer: GraphModule): readonly GraphModule[] {
  const inside = model.modules.filter(({ path, calls }) =>
    path.startsWith(`${layer.path}.`) && calls.length > 0
  );
  const holders = inside.filter(({ path }) => operatorsInside(model, path, "Softmax") !== null);
  const innermost = holders.filter(({ path }) =>
    !holders.some((other) => other.path.startsWith(`${path}.`))
  );
  return innermost.length > 0 ? innermost : [layer];
}

function prefixed(
  prefix: string,
  keys: Readonly<Record<string, OutputRecorder | undefined>>,
): KeyDeclarations {
  return defined(
    Object.fromEntries(Object.entries(keys).map(([name, value]) => [prefix + name, value])),
  );
}

function defined(keys: Readonly<Record<string, OutputRecorder | undefined>>): KeyDeclarations {
  return Object.fromEntries(
    Object.entries(keys).flatMap(([name, value]) => value === undefined ? [] : [[name, value]]),
  );
}
