// One hook function on one activation: gather the shards, capture, edit, check, capture, scatter. Every
// choice is made anew in every call, from the shapes that are there.

import type { ForwardCall, Tensor, TensorMap } from "../../mod.ts";
import { fault, shapeText } from "./_fault.ts";
import { activationOf, isTensor } from "./activation.ts";
import type { CapturedActivation, CaptureStore } from "./capture_store.ts";
import type {
  CaptureWhen,
  EditScope,
  HelperModule,
  HookFunction,
  HookType,
} from "./hook_function.ts";
import type { ShardGroup, ShardPlace } from "./shard_group.ts";
import { joinTensors, splitTensor } from "./tensor_axes.ts";

/** What hooks of one editor share. */
export interface EditShared {
  /** The saved context. */
  readonly saveCtx: Record<string, unknown>;
  /** Finds a helper module. */
  readonly helper: (name: string) => HelperModule;
  /** Where captured values go. */
  readonly captures: CaptureStore;
  /** What hooks keep that do not say it. */
  readonly capture: CaptureWhen;
  /** The shard group, or null for one model. */
  readonly group: ShardGroup | null;
}

/** A registered hook function. */
export interface RegisteredFunction {
  /** Its number among all of its editor, from 0: the order in which functions of one module run. */
  readonly id: number;
  /** The hook function. */
  readonly hook: HookFunction;
  /** When it runs. */
  readonly type: HookType;
}

/** One call, seen by one hook function. */
export interface EditSite {
  readonly call: ForwardCall;
  /** The value that is edited. */
  readonly name: string;
  /** All outputs (inputs) as they stand. */
  readonly tensors: TensorMap;
  readonly inputs: TensorMap | null;
  readonly shared: EditShared;
}

/** The tensors that change, by name; empty when none does. */
export async function applyHook(
  registered: RegisteredFunction,
  site: EditSite,
): Promise<TensorMap> {
  const { hook } = registered;
  const { shared, call, name } = site;
  const local = site.tensors[name] as Tensor;
  const place = shared.group?.place;
  if (shared.group !== null && place === undefined) {
    throw fault("HOOK_UNSUPPORTED", {
      message:
        `cannot run hook ${registered.id} of "${call.module.path}": its shard was run by itself`,
      fix: "run the shard group, or the model that it is part of",
      details: { module: call.module.path },
    });
  }
  if (hook.expectedShape === null || shared.group === null || place === undefined) {
    if (hook.expectedShape !== null) requireExpected(hook.expectedShape, local, call);
    const shard = place === undefined ? null : place.rank;
    return await editWhole(registered, site, { shard, runId: place?.run.runId ?? call.runId });
  }
  return await editTogether(registered, site, { place, group: shared.group, local });
}

interface Brought {
  readonly site: EditSite;
  readonly local: Tensor;
}

/** All shards meet; what they have is joined, edited once, and cut up again. */
async function editTogether(
  registered: RegisteredFunction,
  site: EditSite,
  { place, group, local }: {
    readonly place: ShardPlace;
    readonly group: ShardGroup;
    readonly local: Tensor;
  },
): Promise<TensorMap> {
  const { call } = site;
  const key = `"${call.module.path}" (hook ${registered.id}, call ${call.callIndex})`;
  const { rank, run } = place;
  const given = registered.hook.expectedShape ?? [];
  // Rows share out the batch, whatever its size: dimension 0 is theirs.
  const expected = group.mesh.data > 1 && given.length > 0 ? given.with(0, null) : given;
  return await run.meet<Brought, TensorMap>(
    key,
    { rank, value: { site, local } },
    async (brought) => {
      const locals = brought.map((one) => one.local);
      const axis = gatherAxis(expected, locals, call);
      const { data, tensor } = group.mesh;
      if (axis === null && data === 1) {
        const edited: TensorMap[] = [];
        for (const [shard, one] of brought.entries()) {
          edited.push(await editWhole(registered, one.site, { shard, runId: run.runId }));
        }
        return edited;
      }
      // Without a dimension to gather, the shards of a row hold the same: the first stands for all.
      const rows = Array.from({ length: data }, (_, row) => {
        const parts = locals.slice(row * tensor, (row + 1) * tensor);
        return axis === null ? parts[0] as Tensor : joinTensors(parts, axis);
      });
      for (const row of rows) requireExpected(expected, row, call);
      const whole = joinTensors(rows, 0);
      const first = (brought[0] as Brought).site;
      const changed = await editWhole(
        registered,
        { ...first, tensors: { ...first.tensors, [site.name]: whole } },
        { shard: null, runId: run.runId },
      );
      return scatter(changed, { rows, locals, axis, group, site, whole });
    },
  );
}

function scatter(
  changed: TensorMap,
  { rows, locals, axis, group, site, whole }: {
    readonly rows: readonly Tensor[];
    readonly locals: readonly Tensor[];
    readonly axis: number | null;
    readonly group: ShardGroup;
    readonly site: EditSite;
    readonly whole: Tensor;
  },
): TensorMap[] {
  const { tensor } = group.mesh;
  const others = Object.keys(changed).filter((name) => name !== site.name);
  const edited = changed[site.name];
  if (others.length > 0 || (edited !== undefined && !sameShape(edited, whole))) {
    throw fault("HOOK_UNSUPPORTED", {
      message: others.length > 0
        ? `cannot change ${others.join(", ")} from a hook that gathered "${site.name}"`
        : `cannot scatter "${site.name}" to its shards: its shape is ${
          shapeText(edited?.shape ?? [])
        }, it was ${shapeText(whole.shape)}`,
      fix: "return the gathered tensor alone, in its own shape",
      details: { module: site.call.module.path },
    });
  }
  if (edited === undefined) return locals.map(() => ({}));
  const byRow = splitTensor(edited, { axis: 0, sizes: rows.map((row) => row.shape[0] ?? 1) });
  return locals.map((_, rank) => {
    const row = Math.floor(rank / tensor);
    const value = byRow[row] as Tensor;
    if (axis === null) return { [site.name]: value };
    const sizes = locals.slice(row * tensor, (row + 1) * tensor).map((one) => one.shape[axis] ?? 0);
    return { [site.name]: splitTensor(value, { axis, sizes })[rank % tensor] as Tensor };
  });
}

/** Captures, edits and captures again. */
async function editWhole(
  registered: RegisteredFunction,
  site: EditSite,
  { shard, runId }: { readonly shard: number | null; readonly runId: number },
): Promise<TensorMap> {
  const { hook } = registered;
  const { call, name, shared, tensors } = site;
  const before = tensors[name] as Tensor;
  const when = hook.capture ?? shared.capture;
  const keep = (moment: CapturedActivation["when"], tensor: Tensor): void =>
    shared.captures.add({
      module: call.module.path,
      name,
      tensor,
      when: moment,
      callIndex: call.callIndex,
      runId,
      step: call.step,
      context: call.context,
      shard,
    });
  if (when === "pre-edit" || when === "both") keep("pre-edit", before);
  const changed = await edit(hook, before, scopeOf(site, shard));
  for (const [changedName, value] of Object.entries(changed)) {
    checkEdited(registered, { call, name: changedName, value, before: tensors[changedName] });
  }
  if (when === "post-edit" || when === "both") keep("post-edit", changed[name] ?? before);
  return changed;
}

function scopeOf(site: EditSite, shard: number | null): EditScope {
  const { call, name, tensors, inputs, shared } = site;
  return {
    module: call.module,
    call,
    name,
    tensors,
    inputs,
    saveCtx: shared.saveCtx,
    shard,
    helper: shared.helper,
  };
}

async function edit(hook: HookFunction, before: Tensor, scope: EditScope): Promise<TensorMap> {
  if (hook.edit !== null) {
    const result = await hook.edit.apply(before, scope);
    if (result === undefined || result === before) return {};
    return isTensor(result) ? { [scope.name]: plain(result) } : result;
  }
  if (hook.editingFunction === null) return {};
  const activation = activationOf(before);
  const result: unknown = await hook.editingFunction(activation, scope);
  // Nothing returned: the activation is its own copy, and what was written into it counts.
  if (result === undefined) return { [scope.name]: plain(activation) };
  if (isTensor(result)) return { [scope.name]: plain(result) };
  if (typeof result === "object" && result !== null && !Array.isArray(result)) {
    return result as TensorMap;
  }
  throw fault("HOOK_RESULT", {
    message: `cannot use what the editing function of "${scope.module.path}" returned: it is ${
      result === null ? "null" : Array.isArray(result) ? "an array" : `of type ${typeof result}`
    }, wanted is a tensor, a dictionary of tensors by name, or nothing`,
    fix: "return the edited tensor",
    details: { module: scope.module.path },
  });
}

function plain({ dtype, shape, data }: Tensor): Tensor {
  return Object.freeze({ dtype, shape, data });
}

function checkEdited(
  { hook, type }: RegisteredFunction,
  { call, name, value, before }: {
    readonly call: ForwardCall;
    readonly name: string;
    readonly value: unknown;
    readonly before: Tensor | undefined;
  },
): void {
  const path = call.module.path;
  if (before === undefined || !isTensor(value)) {
    throw fault("HOOK_RESULT", {
      message: before === undefined
        ? `cannot use what the editing function of "${path}" returned: "${name}" is none of its ${
          type === "forward" ? "outputs" : "inputs"
        }`
        : `cannot use what the editing function of "${path}" returned: "${name}" is no tensor`,
      fix: `name only ${(type === "forward" ? call.outputNames : call.inputNames).join(", ")}`,
      details: { module: path, tensor: name },
    });
  }
  const isSame = value.dtype === before.dtype &&
    (hook.changesShape ? value.shape.length === before.shape.length : sameShape(value, before));
  if (isSame) return;
  throw fault("HOOK_SHAPE", {
    message:
      `cannot use what the editing function of "${path}" returned: "${name}" is ${value.dtype} ${
        shapeText(value.shape)
      }, it was ${before.dtype} ${shapeText(before.shape)}`,
    fix: hook.changesShape
      ? "keep the dtype and the number of dimensions"
      : "keep dtype and shape, or say changesShape for other sizes",
    details: { module: path, tensor: name },
  });
}

function sameShape(left: Tensor, right: Tensor): boolean {
  return left.shape.length === right.shape.length &&
    left.shape.every((size, axis) => size === right.shape[axis]);
}

/** The one dimension in which shards differ from what is expected, or null; two are too many. */
function gatherAxis(
  expected: readonly (number | null)[],
  locals: readonly Tensor[],
  call: ForwardCall,
): number | null {
  const axes = new Set<number>();
  for (const { shape } of locals) {
    requireRank(expected, shape, call);
    for (const [axis, size] of expected.entries()) {
      if (size !== null && size !== shape[axis]) axes.add(axis);
    }
  }
  if (axes.size <= 1) return [...axes][0] ?? null;
  throw fault("HOOK_UNSUPPORTED", {
    message: `cannot gather the shards of "${call.module.path}": they differ from the expected ${
      shapeText(expected)
    } in the dimensions ${[...axes].sort((left, right) => left - right).join(" and ")}`,
    fix: "expect null where the shard's own size is right; only one dimension can be gathered",
    details: { module: call.module.path },
  });
}

function requireRank(
  expected: readonly (number | null)[],
  shape: readonly number[],
  call: ForwardCall,
): void {
  if (expected.length === shape.length) return;
  throw fault("HOOK_SHAPE", {
    message: `cannot use expectedShape ${
      shapeText(expected)
    } on "${call.module.path}": it has ${expected.length} dimensions, the activation ${
      shapeText(shape)
    } has ${shape.length}`,
    fix: "give one entry a dimension; null takes the size that is there",
    details: { module: call.module.path },
  });
}

function requireExpected(
  expected: readonly (number | null)[],
  value: Tensor,
  call: ForwardCall,
): void {
  requireRank(expected, value.shape, call);
  if (expected.every((size, axis) => size === null || size === value.shape[axis])) return;
  throw fault("HOOK_SHAPE", {
    message: `cannot edit "${call.module.path}": its activation is ${shapeText(value.shape)}, ` +
      `expected is ${shapeText(expected)}`,
    fix: "correct expectedShape, or hook the shard group that holds the rest",
    details: { module: call.module.path },
  });
}
