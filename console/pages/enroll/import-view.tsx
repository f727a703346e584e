// Many devices from a file: its columns are read here, the rows are judged and worked off by the service.
import { useState } from 'react'
import type { Job } from '../../../client/jobs.ts'
import { query, upload } from '../../api/request.ts'
import { usePages } from '../../api/use-pages.ts'
import { StateBadge } from '../../components/badge.tsx'
import { Button } from '../../components/button.tsx'
import { Card } from '../../components/card.tsx'
import { FileDrop } from '../../components/file-drop.tsx'
import { FailureNotice } from '../../components/notice.tsx'
import { Empty, Skeleton } from '../../components/placeholders.tsx'
import { TableFrame } from '../../components/table-frame.tsx'
import { Timestamp } from '../../components/timestamp.tsx'
import { bytes, count } from '../../labels/formats.ts'
import { ColumnMapping } from './column-mapping.tsx'
import { type Columns, columnsOf, mappingOf } from './csv-columns.ts'
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
    setColumns(lines ? null : columnsOf(await chosen.slice(0, HEADER_BYTES).text()))
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
        {jobs.loading ? <Skeleton /> : null}
        {!jobs.loading && jobs.items.length === 0 ? (
          <Empty icon="upload" title="Nothing was imported yet">
            <p>
              A row registers a device; with a column <code>csr</code> it also enrolls it, with{' '}
              <code>attr.NAME</code> columns it sets attributes, with <code>groups</code> (separated by ;) its
              groups.
            </p>
          </Empty>
        ) : null}
        {jobs.items.length === 0 ? null : (
          <TableFrame label="Imports">
            <table className="fits">
              <thead>
                <tr>
                  <th>Started</th>
                  <th className="tight">State</th>
                  <th className="end">Rows</th>
                  <th className="end">Refused</th>
                  <th className="wide-only">By</th>
                  <th className="tight">
                    <span className="hidden-from-sight">Actions</span>
                  </th>
                </tr>
              </thead>
              <tbody>
                {jobs.items.map(one => (
                  <tr key={one.id}>
                    <td>
                      <Timestamp at={one.createdAt} />
                      {one.dryRun ? <span className="faint"> · dry run</span> : null}
                    </td>
                    <td className="tight">
                      <StateBadge state={one.state} />
                    </td>
                    <td className="end">
                      {count(one.rowsDone)} of {count(one.rowsTotal)}
                    </td>
                    <td className="end">{count(one.counts.refused)}</td>
                    <td className="wide-only">{one.createdBy}</td>
                    <td className="tight">
                      <Button small onClick={() => setJob({ id: one.id, dryRun: one.dryRun })}>
                        Show
                      </Button>
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          </TableFrame>
        )}
      </Card>
    </>
  )
}
