// Dotted module paths as in PyTorch's named_modules(): components joined by ".", the root is "". A
// component never holds a dot. It knows no graph and no exporter.

/** The components of a path; none for the root. */
export function pathComponents(path: string): string[] {
  return path === "" ? [] : path.split(".");
}

/** The path of the module around this one; null for the root. */
export function parentPath(path: string): string | null {
  if (path === "") return null;
  const dot = path.lastIndexOf(".");
  return dot < 0 ? "" : path.slice(0, dot);
}

/** The path of a child. */
export function childPath(parent: string, name: string): string {
  return parent === "" ? name : `${parent}.${name}`;
}

/** The last component; `""` for the root. */
export function lastComponent(path: string): string {
  return path.slice(path.lastIndexOf(".") + 1);
}

/** True when `path` is `ancestor` or lies below it. */
export function isWithin(path: string, ancestor: string): boolean {
  return ancestor === "" || path === ancestor ||
    (path.length > ancestor.length && path.startsWith(ancestor) && path[ancestor.length] === ".");
}

/** The deepest path that holds both. */
export function commonAncestor(left: string, right: string): string {
  if (isWithin(left, right)) return right;
  let ancestor: string | null = left;
  while (ancestor !== null && !isWithin(right, ancestor)) ancestor = parentPath(ancestor);
  return ancestor ?? "";
}

/** Every path from the root down to the path itself. */
export function pathAndAncestors(path: string): string[] {
  if (path === "") return [""];
  const found = [""];
  for (let dot = path.indexOf("."); dot >= 0; dot = path.indexOf(".", dot + 1)) {
    found.push(path.slice(0, dot));
  }
  found.push(path);
  return found;
}

/** The number of components. */
export function pathDepth(path: string): number {
  if (path === "") return 0;
  let depth = 1;
  for (let index = 0; index < path.length; index++) {
    if (path.charCodeAt(index) === 46) depth++;
  }
  return depth;
}
