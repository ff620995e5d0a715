// Refuses options by their names: a misspelt option that is passed over in silence is the hardest mistake
// to find. It knows no option's value.

import { HooklineError } from "./hookline_error.ts";
import { nearestNames } from "./nearest_names.ts";

/**
 * Returns when `options` is an object that names known options only. `doing` is what the options are for:
 * `"open a model"`.
 *
 * @throws {HooklineError} OPTION_INVALID with the nearest names.
 */
export function requireOptions(
  doing: string,
  options: unknown,
  known: readonly string[],
): void {
  if (typeof options !== "object" || options === null) {
    throw new HooklineError("OPTION_INVALID", {
      message: `cannot ${doing}: its options are ${
        options === null ? "null" : `of type ${typeof options}`
      }, wanted is an object`,
      fix: "leave the options out, or give an object with some of them",
      details: { options: [...known] },
    });
  }
  const unknown = Object.keys(options).find((name) => !known.includes(name));
  if (unknown === undefined) return;
  const nearest = nearestNames(unknown, known);
  throw new HooklineError("OPTION_INVALID", {
    message: `cannot ${doing}: there is no option "${unknown.slice(0, 80)}"`,
    fix: nearest.length > 0
      ? `did you mean ${nearest.map((name) => `"${name}"`).join(" or ")}?`
      : `use some of ${known.join(", ")}`,
    details: { option: unknown.slice(0, 80), nearest },
  });
}
