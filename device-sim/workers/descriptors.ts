// How many files a process of this machine may open. Does not know what for.

/** Files that a process may open; null where the system does not say. */
export function descriptorsMax(): number | null {
  if (!process.report) return null
  // The network section looks up names, which may take seconds.
  Object.assign(process.report, { excludeNetwork: true })
  const report = process.report.getReport() as { userLimits?: { open_files?: { soft?: number | string } } }
  const soft = Number(report.userLimits?.open_files?.soft)
  return Number.isFinite(soft) ? soft : null
}
