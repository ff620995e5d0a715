// Gives up permissions of this process for good. What Deno has revoked can only be granted again by a
// person at a prompt, which `--no-prompt` rules out. It decides nothing: which permissions, and when, is
// sessions/harden.ts.

/** A permission that can be given up, as Deno names it. */
export type RevocablePermission =
  | "read"
  | "write"
  | "net"
  | "env"
  | "run"
  | "ffi"
  | "sys"
  | "import";

/** The part of Deno that revokes; absent in Node. */
interface RevocationHost {
  readonly permissions?: {
    revokeSync(permission: { readonly name: string }): { readonly state: string };
  };
}

function host(): RevocationHost["permissions"] {
  return (globalThis as { readonly Deno?: RevocationHost }).Deno?.permissions;
}

/** Whether this runtime has permissions that can be given up. */
export function canRevoke(): boolean {
  return host() !== undefined;
}

/** Gives a permission up, lists of paths or names with it, and says whether it is gone. */
export function revokePermission(name: RevocablePermission): boolean {
  const permissions = host();
  if (permissions === undefined) return false;
  return permissions.revokeSync({ name }).state !== "granted";
}
