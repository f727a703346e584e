// Runs in the browser that opens a report: draws the curves that the page carries, with uPlot.
// Knows nothing of runs. Whatever it shows of the data goes through textContent or the canvas, never through HTML.
;(() => {
  const uPlot = window.uPlot
  const { seconds, charts, stages, marks } = JSON.parse(document.getElementById('run-data').textContent)
  const style = name => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim()
  const font = '11px system-ui, sans-serif'
  const plots = []
  const minute = 60
  const hour = 60 * minute
  const steps = [
    1,
    2,
    5,
    10,
    15,
    30,
    ...[1, 2, 5, 10, 15, 30].map(n => n * minute),
    ...[1, 2, 4, 8, 24].map(n => n * hour),
  ]
  let logarithmic = false

  const number = value => {
    if (value >= 1000) return value.toLocaleString('en-US', { maximumFractionDigits: 0 })
    return String(Number(value.toPrecision(3)))
  }
  const measure = (value, unit) => {
    if (value === null || value === undefined) return '–'
    if (unit === 'ms' && value >= 1000) return `${number(value / 1000)} s`
    return `${number(value)}${unit === '' || unit === '/s' ? '' : ' '}${unit}`
  }
  const clock = at => {
    const whole = Math.floor(at)
    const parts = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60]
    const text = parts.map(part => String(part).padStart(2, '0')).join(':')
    return text.replace(/^0?0:0?/, '').replace(/^0(?=\d:)/, '')
  }

  function backdrop(plot) {
    const { ctx, bbox } = plot
    const ratio = devicePixelRatio || 1
    ctx.save()
    ctx.beginPath()
    ctx.rect(bbox.left, bbox.top - 16 * ratio, bbox.width, bbox.height + 16 * ratio)
    ctx.clip()
    ctx.font = font.replace('11px', `${11 * ratio}px`)
    ctx.textBaseline = 'bottom'
    ctx.textAlign = 'left'
    let free = bbox.left
    stages.forEach((stage, index) => {
      const begin = plot.valToPos(stage.begins, 'x', true)
      const end = plot.valToPos(stage.ends, 'x', true)
      if (index % 2 === 1) {
        ctx.fillStyle = style('band')
        ctx.fillRect(begin, bbox.top, end - begin, bbox.height)
      }
      const left = Math.max(begin, bbox.left) + 3 * ratio
      const width = ctx.measureText(stage.name).width
      if (left < free || left + width > Math.min(end, bbox.left + bbox.width)) return
      ctx.fillStyle = style('faint')
      ctx.fillText(stage.name, left, bbox.top - 2 * ratio)
      free = left + width
    })
    ctx.restore()
  }

  function flags(plot) {
    const { ctx, bbox } = plot
    const ratio = devicePixelRatio || 1
    ctx.save()
    ctx.beginPath()
    ctx.rect(bbox.left - 1, bbox.top, bbox.width + 2, bbox.height)
    ctx.clip()
    for (const mark of marks) {
      const at = Math.round(plot.valToPos(mark.at, 'x', true)) + 0.5
      ctx.strokeStyle = ctx.fillStyle = style(mark.good ? 'mark' : 'red')
      ctx.lineWidth = ratio
      ctx.setLineDash([3 * ratio, 3 * ratio])
      ctx.beginPath()
      ctx.moveTo(at, bbox.top)
      ctx.lineTo(at, bbox.top + bbox.height)
      ctx.stroke()
      ctx.beginPath()
      ctx.moveTo(at - 4 * ratio, bbox.top)
      ctx.lineTo(at + 4 * ratio, bbox.top)
      ctx.lineTo(at, bbox.top + 6 * ratio)
      ctx.fill()
    }
    ctx.restore()
  }

  function nearby(plot) {
    const caption = plot.caption
    const at = plot.cursor.left < 0 ? null : plot.posToVal(plot.cursor.left, 'x')
    if (at === null) {
      caption.textContent = caption.dataset.note
      return
    }
    const reach = Math.abs(plot.posToVal(6, 'x') - plot.posToVal(0, 'x'))
    const near = marks.filter(mark => Math.abs(mark.at - at) <= reach).slice(0, 3)
    caption.textContent =
      near.map(mark => `${clock(mark.at)} ${mark.text}`).join(' · ') || caption.dataset.note
  }

  /** A second with nothing measured before and after it has no line to either side. */
  function lonely(plot, series) {
    const values = plot.data[series]
    const none = at => values[at] === null || values[at] === undefined
    return values.flatMap((_value, at) => (!none(at) && none(at - 1) && none(at + 1) ? [at] : []))
  }

  function axes(unit) {
    const common = {
      stroke: () => style('faint'),
      font,
      grid: { stroke: () => style('grid'), width: 1 },
      ticks: { stroke: () => style('grid'), width: 1, size: 4 },
    }
    return [
      { ...common, size: 30, values: (_plot, splits) => splits.map(clock), space: 60, incrs: steps },
      {
        ...common,
        size: 66,
        values: (_plot, splits) =>
          splits.map(value => (value === null ? '' : measure(value, unit === '/s' ? '' : unit))),
      },
    ]
  }

  function draw(chart, index) {
    const figure = document.getElementById(`chart-${index}`)
    const room = figure.querySelector('.plot')
    const shownBefore = plots[index]?.series.map(one => one.show)
    plots[index]?.destroy()
    const log = logarithmic && chart.unit === 'ms'
    const options = {
      width: room.clientWidth,
      height: 210,
      padding: [18, 24, 0, 0],
      cursor: { sync: { key: 'run' }, drag: { x: true, y: false }, points: { size: 6 } },
      scales: {
        x: { time: false },
        y: log ? { distr: 3 } : { range: (_plot, _min, max) => [0, max > 0 ? max * 1.08 : 1] },
      },
      axes: axes(chart.unit),
      legend: { live: true },
      series: [
        { label: 'time', value: (_plot, at) => (at === null || at === undefined ? '–' : clock(at)) },
        ...chart.curves.map((curve, position) => ({
          label: curve.label,
          show: shownBefore?.[position + 1] ?? !curve.hidden,
          stroke: () => style(curve.tone),
          width: seconds.length > 900 ? 1 : 1.5,
          points: { show: true, size: 3, fill: () => style(curve.tone), filter: lonely },
          value: (_plot, value) => measure(value, chart.unit),
        })),
      ],
      hooks: { drawClear: [backdrop], draw: [flags], setCursor: [nearby] },
    }
    const positive = values => (log ? values.map(value => (value > 0 ? value : null)) : values)
    const plot = new uPlot(options, [seconds, ...chart.curves.map(curve => positive(curve.values))], room)
    plot.caption = figure.querySelector('.note')
    plots[index] = plot
  }

  const drawn = charts
    .map((chart, index) => ({ chart, index }))
    .filter(({ chart }) => chart.curves.length > 0)
  for (const { chart, index } of drawn) draw(chart, index)

  const observer = new ResizeObserver(entries => {
    for (const { target, contentRect } of entries) {
      const plot = plots[Number(target.dataset.index)]
      if (plot && contentRect.width > 0 && Math.round(contentRect.width) !== plot.width) {
        plot.setSize({ width: Math.round(contentRect.width), height: 210 })
      }
    }
  })
  for (const { index } of drawn) observer.observe(document.querySelector(`#chart-${index} .plot`))
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
    for (const { chart, index } of drawn) draw(chart, index)
  })
  document.getElementById('logarithmic')?.addEventListener('change', event => {
    logarithmic = event.target.checked
    for (const { chart, index } of drawn) if (chart.unit === 'ms') draw(chart, index)
  })
})()
