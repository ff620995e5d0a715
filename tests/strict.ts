// The one switch between "still being built" and "finished". While it is false, a documentation or
// layout check whose subject does not exist yet is skipped with its reason; once true, it fails.

/** Whether what the repo promises must already be there. */
export const STRICT: boolean = true;
