// Which identifiers of a file are uses of a global: not a property, a key or a label that happens to
// have the same spelling. Scopes are not tracked: a local of a forbidden global's name is reported
// too, and should be renamed.

/** True when `node` reads a name from scope, rather than naming a member. */
export function isFreeName(node: Deno.lint.Identifier): boolean {
  const parent = node.parent as Deno.lint.Node | undefined;
  switch (parent?.type) {
    case "MemberExpression":
      return parent.object === node || parent.computed;
    case "Property":
      return parent.value === node || parent.computed;
    case "MethodDefinition":
    case "PropertyDefinition":
      return parent.key !== node || parent.computed;
    case "TSPropertySignature":
    case "TSMethodSignature":
    case "TSEnumMember":
    case "LabeledStatement":
    case "ImportSpecifier":
    case "ExportSpecifier":
      return false;
    default:
      return true;
  }
}

/** `Math.random` of a member expression without computation, or undefined. */
export function dottedName(node: Deno.lint.MemberExpression): string | undefined {
  if (node.computed || node.property.type !== "Identifier") return undefined;
  if (node.object.type === "Identifier") return `${node.object.name}.${node.property.name}`;
  return undefined;
}
