// The names of a chart's series, each with its colour and its sum.
export function Legend({ entries }: { entries: readonly { name: string; color: string; value: string }[] }) {
  return (
    <ul className="legend">
      {entries.map(({ name, color, value }) => (
        <li key={name}>
          <span className="swatch" style={{ background: color }} aria-hidden="true" />
          {name} <span className="faint number">{value}</span>
        </li>
      ))}
    </ul>
  )
}
