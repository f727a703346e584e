// How sure a mean of repeated runs is, and a difference of two of them: intervals of 95 % by Student's t. Pure.

/** `halfWidth`: the mean of all possible runs lies within so much of `mean`, with 95 %; null for a single run. */
export type Interval = { mean: number; halfWidth: number | null }

/** Quantiles of 97.5 % of Student's t, by degrees of freedom from 1 on. */
const T = [
  ...[12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228],
  ...[2.201, 2.179, 2.16, 2.145, 2.131, 2.12, 2.11, 2.101, 2.093, 2.086],
  ...[2.08, 2.074, 2.069, 2.064, 2.06, 2.056, 2.052, 2.048, 2.045, 2.042],
]
const T_OF_MANY = 2.042

export function intervalOf(values: readonly number[]): Interval {
  const { mean, variance, count } = momentsOf(values)
  return { mean, halfWidth: count < 2 ? null : quantile(count - 1) * Math.sqrt(variance / count) }
}

/** b − a, whose runs may differ in their scatter (Welch). Null where one of both was run once. */
export function differenceOf(a: readonly number[], b: readonly number[]): Interval | null {
  if (a.length < 2 || b.length < 2) return null
  const [of, by] = [momentsOf(a), momentsOf(b)]
  const [shareA, shareB] = [of.variance / of.count, by.variance / by.count]
  const sum = shareA + shareB
  // Welch and Satterthwaite.
  const freedom = sum === 0 ? 1 : sum ** 2 / (shareA ** 2 / (of.count - 1) + shareB ** 2 / (by.count - 1))
  return { mean: by.mean - of.mean, halfWidth: quantile(freedom) * Math.sqrt(sum) }
}

function momentsOf(values: readonly number[]): { mean: number; variance: number; count: number } {
  const count = values.length
  const mean = values.reduce((sum, value) => sum + value, 0) / Math.max(1, count)
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0)
  return { mean, variance: count < 2 ? 0 : squares / (count - 1), count }
}

/** Rounded towards fewer degrees of freedom, so towards a wider interval. */
function quantile(freedom: number): number {
  return T[Math.max(1, Math.floor(freedom)) - 1] ?? T_OF_MANY
}
