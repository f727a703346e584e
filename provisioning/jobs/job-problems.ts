// Problems of imports and exports, and what each becomes on the wire.

export const jobProblems = {
  upload_unusable: {
    status: 400,
    title: 'The upload is not a list of rows',
    hint: 'Nothing of it was kept. Send JSON lines or CSV with a header; docs/bulk.md tells what a row may say.',
  },
  job_unknown: {
    status: 404,
    title: 'There is no such job',
    hint: 'rollcall job list shows those there are.',
  },
  job_finished: { status: 409, title: 'The job has ended', hint: null },
  results_elsewhere: {
    status: 409,
    title: 'What became of the rows is on record at another service',
    hint: 'Ask the service that took the upload; or upload the file again, which does nothing twice.',
  },
  upload_too_large: {
    status: 413,
    title: 'The upload is too large for one job',
    hint: 'Nothing of it was kept. Split the file, and import one part after the other.',
  },
  jobs_exceeded: {
    status: 429,
    title: 'Too many jobs have not ended',
    hint: 'Wait for one, or cancel one: rollcall job list, rollcall job cancel ID.',
    retryAfterSeconds: 10,
  },
  disk_short: {
    status: 507,
    title: 'The disk has too little room for an upload',
    hint: 'Make room in the data directory; nothing of the upload was kept.',
    retryAfterSeconds: 60,
  },
} as const
