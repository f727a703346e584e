// What an error of PostgreSQL means for what was asked, by its SQLSTATE (PostgreSQL 15, Appendix A).

/**
 * Whether PostgreSQL itself refused it, and would again. What passes: lost connections (08), read-only after a
 * failover (25006), serialization and deadlocks (40), a full disk, memory and connections (53), locks (55), shutdowns and cancelled statements
 * (57), the operating system's errors (58).
 */
export function isAnswer(error: unknown): error is { code: string } {
  const code = (error as { code?: unknown }).code
  return typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) && !/^(08|25006|40|53|55|57|58)/.test(code)
}

/**
 * Whether it is about what a row holds: its data (22), a constraint (23), a check option (44), its size (54), a trigger (P0). Others may be
 * taken.
 */
export function isOfRow(error: unknown): boolean {
  return isAnswer(error) && /^(22|23|44|54|P0)/.test(error.code)
}
