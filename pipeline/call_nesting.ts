// Which module call lies in which. Calls nest as modules do, with two complications: a parent may
// consist of one child, so that both have the same nodes, and spans or modules that a user defines may
// overlap without nesting. It knows sets of nodes and paths, no data flow.

import { HooklineError } from "../errors/hookline_error.ts";
import { type CallDemand, nameOf } from "./demand.ts";

/** The calls of one region, by the nodes that they hold. */
export class CallNesting {
  readonly #around = new Map<number, CallDemand[]>();
  readonly #enclosing = new Map<CallDemand, readonly CallDemand[]>();

  constructor(calls: readonly CallDemand[]) {
    for (const call of [...calls].sort(outerFirst)) {
      for (const node of call.nodes) {
        const around = this.#around.get(node);
        if (around === undefined) this.#around.set(node, [call]);
        else around.push(call);
      }
    }
  }

  /** The calls that a node lies in, outermost first. */
  aroundNode(node: number): readonly CallDemand[] {
    return this.#around.get(node) ?? NONE;
  }

  /** The other calls that a call lies in, outermost first. */
  aroundCall(call: CallDemand): readonly CallDemand[] {
    let enclosing = this.#enclosing.get(call);
    if (enclosing === undefined) {
      enclosing = this.aroundNode(firstNode(call)).filter((other) => contains(other, call));
      this.#enclosing.set(call, enclosing);
    }
    return enclosing;
  }

  /**
   * Refuses calls that share nodes although neither lies in the other, where at least one runs alone
   * or both change what they compute: no order would give both what they ask for.
   *
   * @throws {HooklineError} PLAN_CYCLE.
   */
  requireNested(calls: readonly CallDemand[]): void {
    for (const call of calls) {
      if (!changes(call)) continue;
      const others = new Set([...call.nodes].flatMap((node) => this.aroundNode(node)));
      for (const other of others) {
        const matters = isAlone(call) || (changes(other) && !isAlone(other));
        if (other === call || !matters) continue;
        if (!contains(other, call) && !contains(call, other)) throw overlap(call, other);
      }
    }
  }
}

const NONE: readonly CallDemand[] = Object.freeze([]);

/** True when `inside` lies within `outside`; of calls with equal nodes one lies in the other. */
export function contains(outside: CallDemand, inside: CallDemand): boolean {
  if (outside === inside || inside.nodes.size > outside.nodes.size) return false;
  if (inside.nodes.size === outside.nodes.size && outerFirst(outside, inside) > 0) return false;
  for (const node of inside.nodes) if (!outside.nodes.has(node)) return false;
  return true;
}

/** The first node of a call; 0 when all that it computes is constant. */
export function firstNode({ call }: CallDemand): number {
  return call.nodes[0] ?? 0;
}

function changes({ demand }: CallDemand): boolean {
  return demand.editsOutputs || demand.isolation !== null;
}

function isAlone({ demand }: CallDemand): boolean {
  return demand.isolation !== null;
}

/** A total order in which whatever encloses comes first. */
export function outerFirst(left: CallDemand, right: CallDemand): number {
  const bySize = right.nodes.size - left.nodes.size;
  if (bySize !== 0) return bySize;
  const [leftModule, rightModule] = [left.demand.module, right.demand.module];
  const [leftDepth, rightDepth] = [depth(leftModule.path), depth(rightModule.path)];
  if (leftDepth !== rightDepth) return leftDepth < rightDepth ? -1 : 1;
  // A span of one module has that module's nodes and depth.
  if (leftModule.children.includes(rightModule.path)) return -1;
  if (rightModule.children.includes(leftModule.path)) return 1;
  if (leftModule.path !== rightModule.path) return leftModule.path < rightModule.path ? -1 : 1;
  return left.callIndex - right.callIndex;
}

/** Operators of a module (`attn::Softmax`) lie in whatever has the same nodes. */
function depth(path: string): number {
  if (path.includes("::")) return Infinity;
  return path === "" ? 0 : path.split(".").length;
}

function overlap(left: CallDemand, right: CallDemand): HooklineError {
  const modules = [left.demand.module.path, right.demand.module.path];
  return new HooklineError("PLAN_CYCLE", {
    message: `cannot cut ${nameOf(left.demand.module)} and ${
      nameOf(right.demand.module)
    } apart: they share nodes and neither lies in the other`,
    fix: "choose modules or spans that do not overlap",
    details: { modules },
  });
}
