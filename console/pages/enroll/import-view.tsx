// Many devices from a file: its columns are read here, the rows are judged and worked off by the service.
import { useState } from 'react'
import type { Job } from '../../../client/jobs.ts'
import { query, upload } from '../../api/request.ts'
import { usePages } from '../../api/use-pages.ts'
import { StateBadge } from '../../components/badge.tsx'
import { Button } from '../../components/button.tsx'
import { Card } from '../../components/card.tsx'
import { DataTable } from '../../components/data-table.tsx'
import { FileDrop } from '../../components/file-drop.tsx'
import { FailureNotice } from '../../components/notice.tsx'
import { Empty } from '../../components/placeholders.tsx'
import { Timestamp } from '../../components/timestamp.tsx'
import { bytes, count } from '../../labels/formats.ts'
import { ColumnMapping } from './column-mapping.tsx'
import { type Columns, columnsOf, mappingOf } from './csv-columns.ts'
import { textOf } from './file-text.ts'
import { JobView } from './job-view.tsx'

const HEADER_BYTES = 64 * 1024

export function ImportView() {
  const [file, setFile] = useState<File | null>(null)
  const [columns, setColumns] = useState<Columns | null>(null)
  const [job, setJob] = useState<{ id: string; dryRun: boolean } | null>(null)
  const [busy, setBusy] = useState<'dry' | 'real' | null>(null)
  const [failure, setFailure] = useState<unknown>(null)
  const jobs = usePages<Job>('/v1/jobs?limit=10', { everyMs: 5_000 })
  const csv = columns !== null

  const choose = async (chosen: File) => {
    setJob(null)
    setFailure(null)
    setFile(chosen)
    const lines = /\.(ndjson|jsonl|json)$/i.test(chosen.name)
    setColumns(lines ? null : columnsOf(textOf(await chosen.slice(0, HEADER_BYTES).bytes())))
  }
  const send = async (dryRun: boolean) => {
    if (file === null) return
    setBusy(dryRun ? 'dry' : 'real')
    setFailure(null)
    try {
      const pairs = columns === null ? [] : mappingOf(columns)
      const maps = pairs.map(pair => `&map=${encodeURIComponent(pair)}`).join('')
      const path = `/v1/jobs${query({ dryRun })}${maps}`
      const made = await upload<Job>(path, file, csv ? 'text/csv' : 'application/x-ndjson')
      setJob({ id: made.id, dryRun })
      jobs.refetch()
    } catch (error) {
      setFailure(error)
    } finally {
      setBusy(null)
    }
  }
  return (
    <>
      <Card title="File" aside="CSV with a header, or JSON lines">
        <FileDrop
          label={
            file === null
              ? 'Drop a .csv or .ndjson file here, or choose one'
              : `${file.name}, ${bytes(file.size)} · choose another`
          }
          accept=".csv,.ndjson,.jsonl,text/csv,application/x-ndjson"
          onFile={chosen => void choose(chosen)}
        />
        {columns === null ? null : <ColumnMapping columns={columns} onChange={setColumns} />}
        <FailureNotice failure={failure} />
        <div className="row">
          <Button
            look={job?.dryRun ? 'plain' : 'primary'}
            busy={busy === 'dry'}
            disabled={file === null || busy !== null}
            onClick={() => void send(true)}
          >
            {busy === 'dry' ? 'Sending…' : 'Try it (dry run)'}
          </Button>
          <Button
            look={job?.dryRun ? 'primary' : 'plain'}
            busy={busy === 'real'}
            disabled={file === null || busy !== null}
            onClick={() => void send(false)}
          >
            {busy === 'real' ? 'Sending…' : 'Import'}
          </Button>
          <span className="small faint">
            The dry run judges every row and changes nothing. The same file again does nothing twice.
          </span>
        </div>
      </Card>
      {job === null ? null : <JobView key={job.id} id={job.id} />}
      <Card title="Imports" aside="newest first" flush>
        <FailureNotice failure={jobs.failure} refetch={jobs.refetch} />
        <DataTable
          label="Imports"
          layout="fits"
          rows={jobs.items}
          rowKey={one => one.id}
          loading={jobs.loading}
          failure={jobs.failure}
          empty={
            <Empty icon="upload" title="Nothing was imported yet">
              <p>
                A row registers a device; with a column <code>csr</code> it also enrolls it, with{' '}
                <code>attr.NAME</code> columns it sets attributes, with <code>groups</code> (separated by ;)
                its groups.
              </p>
            </Empty>
          }
          columns={[
            {
              title: 'Started',
              cell: one => (
                <>
                  <Timestamp at={one.createdAt} />
                  {one.dryRun ? <span className="faint"> · dry run</span> : null}
                </>
              ),
            },
            { title: 'State', className: 'tight', cell: one => <StateBadge state={one.state} /> },
            {
              title: 'Rows',
              className: 'end',
              cell: one => `${count(one.rowsDone)} of ${count(one.rowsTotal)}`,
            },
            { title: 'Refused', className: 'end', cell: one => count(one.counts.refused) },
            { title: 'By', className: 'wide-only', cell: one => one.createdBy },
            {
              title: <span className="hidden-from-sight">Actions</span>,
              className: 'tight',
              cell: one => (
                <Button small onClick={() => setJob({ id: one.id, dryRun: one.dryRun })}>
                  Show
                </Button>
              ),
            },
          ]}
        />
      </Card>
    </>
  )
}
